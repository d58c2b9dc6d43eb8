package main

import (
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/pki"
)

const (
	programName = "certgen"
	defaultDir  = "./pki"
)

// Names of the flags. A misspelt name in urfave/cli reads as "not given", so
// they are written only here.
const (
	flagDir               = "dir"
	flagForce             = "force"
	flagQuiet             = "quiet"
	flagKeyType           = "key-type"
	flagDays              = "days"
	flagNotBefore         = "not-before"
	flagNotAfter          = "not-after"
	flagCA                = "ca"
	flagCACert            = "ca-cert"
	flagCAKey             = "ca-key"
	flagCAKeyPasswordFile = "ca-key-password-file"
	flagIntermediates     = "intermediates"
	flagRootCN            = "root-cn"
	flagIntermediateCN    = "intermediate-cn"
	flagCN                = "cn"
	flagPathLen           = "path-len"
	flagSelfSigned        = "self-signed"
	flagPFX               = "pfx"
	flagPFXProfile        = "pfx-profile"
	flagPFXPasswordFile   = "pfx-password-file"
	flagPasswordFile      = "password-file"
	flagExpiresIn         = "expires-in"
	flagProfile           = "profile"
	flagNewKey            = "new-key"
	flagRebuild           = "rebuild"
	flagFormat            = "format"
	flagPart              = "part"
	flagOut               = "out"
	flagIDScope           = "id-scope"
	flagHost              = "host"
	flagShell             = "shell"
	flagRole              = "role"
	flagRegistrationID    = "registration-id"
	flagCode              = "code"
	flagEnrolled          = "enrolled"
	flagAt                = "at"
	flagBroken            = "broken"
)

// Environment variables. Those of passwords have no flag that takes the
// password itself: the arguments of a process are visible to every user.
const (
	envDir         = "CERTGEN_DIR"
	envPFXPassword = "CERTGEN_PFX_PASSWORD"
	envCAPassword  = "CERTGEN_CA_PASSWORD"
)

// Categories group the flags in --help.
const (
	categoryCommon   = "Common"
	categoryKey      = "Key and validity"
	categoryIssuer   = "Issuer"
	categoryPFX      = "PFX (PKCS#12)"
	categoryPassword = "Password"
	categoryRole     = "Role"
)

// commonOptions are what every command takes.
type commonOptions struct {
	Dir    string
	Format cliapp.Format
	Force  bool
	Quiet  bool
}

// readFlags are the flags of a command that changes nothing.
func readFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{
			Name: flagDir, Aliases: []string{"d"}, Value: defaultDir, EnvVars: []string{envDir},
			Category: categoryCommon, Usage: "keep the certificates in `FOLDER`",
		},
		cliapp.OutputFlag(cliapp.FormatText, cliapp.FormatText, cliapp.FormatJSON),
		&cli.BoolFlag{
			Name: flagQuiet, Aliases: []string{"q"}, Category: categoryCommon,
			Usage: "print neither notes nor text; --output json still prints its document",
		},
	}
}

// writeFlags are the flags of a command that writes files.
func writeFlags() []cli.Flag {
	return append(readFlags(), &cli.BoolFlag{
		Name: flagForce, Aliases: []string{"f"}, Category: categoryCommon,
		Usage: "replace what exists; the replaced files are kept in FOLDER/replaced",
	})
}

// readCommon reads the flags of readFlags.
func readCommon(env *cliapp.Env, c *cli.Context) commonOptions {
	return commonOptions{
		Dir: readDir(env, c), Format: env.OutputFormat(c), Quiet: c.Bool(flagQuiet),
	}
}

// readDir reads the folder. It is defaultDir only where a command without --dir
// would be about that, too.
func readDir(env *cliapp.Env, c *cli.Context) string {
	dir := orDefault(c.String(flagDir), defaultDir)
	if dir == defaultDir && env.Getenv(envDir) != "" {
		return filepath.Clean(dir)
	}
	return dir
}

// readWrite reads the flags of writeFlags.
func readWrite(env *cliapp.Env, c *cli.Context) commonOptions {
	opts := readCommon(env, c)
	opts.Force = c.Bool(flagForce)
	return opts
}

// keyFlags choose the key and the validity of a new certificate.
func keyFlags() []cli.Flag {
	return append([]cli.Flag{
		&cli.StringFlag{
			Name: flagKeyType, Value: string(pki.KeyECP256), Category: categoryKey,
			Usage: "make a key of `TYPE`: " + strings.Join(keyTypeNames(), ", "),
		},
	}, validityFlags()...)
}

func keyTypeNames() []string {
	var names []string
	for _, t := range pki.AllKeyTypes() {
		names = append(names, string(t))
	}
	return names
}

func readKeyType(c *cli.Context) (pki.KeyType, error) {
	t, err := pki.ParseKeyType(c.String(flagKeyType))
	if err != nil {
		return "", cliapp.Usagef("invalid --%s %q: want %s", flagKeyType, c.String(flagKeyType), strings.Join(keyTypeNames(), ", "))
	}
	return t, nil
}

// caFlag chooses the issuer among the CAs of the folder.
func caFlag(def string) cli.Flag {
	return &cli.StringFlag{
		Name: flagCA, Category: categoryIssuer,
		Usage: "sign with the CA `NAME`: root, intermediate, intermediate2 or a name of your own (default: " + def + ")",
	}
}

// caKeyFlag says where the key of a CA from outside the folder is.
func caKeyFlag() cli.Flag {
	return &cli.StringFlag{
		Name: flagCAKey, Category: categoryIssuer, Usage: "its key in `FILE` (default: the key in the file of --" + flagCACert + ")",
	}
}

// caKeyPasswordFlag says where the pass phrase of an encrypted CA key is.
func caKeyPasswordFlag() cli.Flag {
	return &cli.StringFlag{
		Name: flagCAKeyPasswordFile, Category: categoryIssuer,
		Usage: "read the pass phrase, one line, of the CA's encrypted key or PFX from `FILE` (- is standard input; else $" +
			envCAPassword + ", else a prompt)",
	}
}

// pathLenFlag limits how many CAs may stand below a new CA.
func pathLenFlag() cli.Flag {
	return &cli.IntFlag{
		Name: flagPathLen, Category: categoryKey,
		Usage: "allow at most `N` CAs below this one", DefaultText: "no limit",
	}
}

func readPathLen(c *cli.Context) (*int, error) {
	if !c.IsSet(flagPathLen) {
		return nil, nil
	}
	n := c.Int(flagPathLen)
	if n < 0 {
		return nil, cliapp.Usagef("invalid --%s %d: want 0 or more", flagPathLen, n)
	}
	return &n, nil
}

// optionalArg is the Before function of a command that takes one argument or none.
func optionalArg(c *cli.Context) error {
	if c.NArg() == 0 {
		return nil
	}
	return cliapp.ExactArgs("NAME")(c)
}
