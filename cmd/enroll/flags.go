package main

import (
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
)

// Names of the flags. A name is written once, here: a misspelt name would
// silently read as the zero value.
const (
	flagConnectionString     = "connection-string"
	flagConnectionStringFile = "connection-string-file"
	flagHost                 = "host"
	flagCloud                = "cloud"
	flagCAFile               = "ca-file"
	flagAPIVersion           = "api-version"
	flagTimeout              = "timeout"
	flagSubscription         = "subscription"
	flagResourceGroup        = "resource-group"
	flagName                 = "name"
	flagDryRun               = "dry-run"
	flagYes                  = "yes"
	flagForce                = "force"

	flagGenerate       = "generate"
	flagDir            = "dir"
	flagGroupID        = "group-id"
	flagRegistrationID = "registration-id"
	flagCAName         = "ca-name"
	flagKeyType        = "key-type"
	flagDays           = "days"
	flagTransport      = "transport"
	flagServe          = "serve"
	flagIDScope        = "id-scope"
	flagDeviceHost     = "device-host"

	flagCert            = "cert"
	flagKey             = "key"
	flagKeyPasswordFile = "key-password-file"
	flagVerified        = "verified"
	flagSigningCert     = "signing-cert"
	flagSecondaryCert   = "secondary-cert"
	flagCAReference     = "ca-reference"
	flagSecondaryRef    = "secondary-ca-reference"
	flagSymmetricKey    = "symmetric-key"
	flagProvisioning    = "provisioning-status"
	flagPayload         = "payload"

	flagSymmetricKeyFile = "symmetric-key-file"
	flagGroupKeyFile     = "group-key-file"

	flagData       = "data"
	flagMemory     = "memory"
	flagHTTPSAddr  = "https-addr"
	flagMQTTAddr   = "mqtt-addr"
	flagAdminAddr  = "admin-addr"
	flagReadyFile  = "ready-file"
	flagHostname   = "hostname"
	flagLinkedHub  = "linked-hub"
	flagRetryAfter = "retry-after"
	flagRemote     = "allow-remote"
	flagKeyFile    = "key-file"
	flagFault      = "fault"
	flagFaultSeed  = "fault-seed"
)

// Names of the environment variables.
const (
	envConnectionString = "DPS_CONNECTION_STRING"
	envCAFile           = "DPS_CA_FILE"
	envCloud            = "AZURE_ENVIRONMENT"
	envIDScope          = "DPS_ID_SCOPE"
	envDeviceHost       = "DPS_DEVICE_HOST"
	envSubscription     = "AZURE_SUBSCRIPTION_ID"
	envDir              = "CERTGEN_DIR"
	envKeyPassword      = "CERTGEN_CA_PASSWORD"
	envSymmetricKey     = "DPS_SYMMETRIC_KEY"
	envGroupKey         = "DPS_GROUP_KEY"
)

const (
	categoryConnection = "Connection"
	categoryARM        = "Azure Resource Manager"

	defaultDir     = "./pki"
	defaultTimeout = 2 * time.Minute
)

// connectionFlags say which DPS a command talks to.
func connectionFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{
			Name: flagConnectionString, Category: categoryConnection, EnvVars: []string{envConnectionString},
			Usage: "service `CONNECTION-STRING`; other processes can see it on a command line: prefer the environment or --" + flagConnectionStringFile,
		},
		&cli.StringFlag{
			Name: flagConnectionStringFile, Category: categoryConnection,
			Usage: "read the connection string from `FILE` (- is standard input)",
		},
		&cli.StringFlag{
			Name: flagHost, Category: categoryConnection,
			Usage: "service `HOST` (NAME.azure-devices-provisioning.net), with Microsoft Entra credentials",
		},
		&cli.StringFlag{
			Name: flagCloud, Category: categoryConnection, EnvVars: []string{envCloud},
			Usage: "sign in to this `CLOUD`: AzurePublicCloud, AzureUSGovernment or AzureChinaCloud (default: by the host of the DPS)",
		},
		&cli.StringFlag{
			Name: flagCAFile, Category: categoryConnection, EnvVars: []string{envCAFile},
			Usage: "trust the TLS root certificates in `FILE`, too",
		},
		&cli.StringFlag{
			Name: flagAPIVersion, Category: categoryConnection, Usage: "speak this `VERSION` of the API",
		},
		timeoutFlag(),
	}
}

// timedConnectionFlags are the connection flags of a command whose --timeout is
// not about the whole of it.
func timedConnectionFlags(value time.Duration, usage string) []cli.Flag {
	list := slices.DeleteFunc(connectionFlags(), func(f cli.Flag) bool { return f.Names()[0] == flagTimeout })
	return append(list, timeoutFlagOf(value, usage))
}

func timeoutFlag() cli.Flag { return timeoutFlagOf(defaultTimeout, "give up after `DURATION`") }

func timeoutFlagOf(value time.Duration, usage string) cli.Flag {
	return &cli.DurationFlag{
		Name: flagTimeout, Category: categoryConnection, Value: value, Usage: usage,
		Action: func(_ *cli.Context, d time.Duration) error {
			if d <= 0 {
				return cliapp.Usagef("invalid --%s %v: want more than 0", flagTimeout, d)
			}
			return nil
		},
	}
}

// armFlags name the DPS resource for what only Azure Resource Manager can do.
func armFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: flagResourceGroup, Aliases: []string{"g"}, Category: categoryARM, Usage: "resource `GROUP` of the DPS"},
		&cli.StringFlag{Name: flagName, Aliases: []string{"n"}, Category: categoryARM, Usage: "`NAME` of the DPS"},
		&cli.StringFlag{
			Name: flagSubscription, Category: categoryARM, EnvVars: []string{envSubscription}, Usage: "subscription `ID`",
		},
	}
}

func outputFlag() cli.Flag {
	return cliapp.OutputFlag("", cliapp.FormatTable, cliapp.FormatJSON, cliapp.FormatTSV)
}

func yesFlag() cli.Flag {
	return &cli.BoolFlag{Name: flagYes, Aliases: []string{"y"}, Usage: "do not ask for confirmation"}
}

func dryRunFlag() cli.Flag {
	return &cli.BoolFlag{Name: flagDryRun, Usage: "print the request that would change something instead of sending it"}
}

func dirFlag() cli.Flag {
	return &cli.StringFlag{
		Name: flagDir, Value: defaultDir, EnvVars: []string{envDir}, Usage: "workspace `FOLDER` for certificates and keys",
	}
}

// flags joins flag lists into the fresh list that a command owns.
func flags(lists ...[]cli.Flag) []cli.Flag {
	var all []cli.Flag
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}
