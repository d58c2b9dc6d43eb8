package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/urfave/cli/v2"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/arm"
	"github.com/dpskit/dpskit/pkg/dps/bulk"
	"github.com/dpskit/dpskit/pkg/dps/emulator"
	"github.com/dpskit/dpskit/pkg/dps/service"
	"github.com/dpskit/dpskit/pkg/pki"
)

// connectOptions is what the connection flags say.
type connectOptions struct {
	ConnectionString     dps.Secret
	ConnectionStringFile string
	Host                 string
	Cloud                string
	CAFile               string
	APIVersion           string
	Subscription         string
	ResourceGroup        string
	Name                 string
	// ARMVersion is the API version of Azure Resource Manager, for commands that
	// speak to nothing else.
	ARMVersion string
	// SubscriptionOnly is set by commands that need no DPS named, only the
	// subscription.
	SubscriptionOnly bool
	Timeout          time.Duration
	DryRun           bool
	// Output is the form in which a dry run prints its requests.
	Output cliapp.Format
	Logger *slog.Logger
}

func connectOptionsFrom(c *cli.Context, env *cliapp.Env) connectOptions {
	return connectOptions{
		ConnectionString:     dps.Secret(c.String(flagConnectionString)),
		ConnectionStringFile: c.String(flagConnectionStringFile),
		Host:                 c.String(flagHost),
		Cloud:                c.String(flagCloud),
		CAFile:               c.String(flagCAFile),
		APIVersion:           c.String(flagAPIVersion),
		Subscription:         c.String(flagSubscription),
		ResourceGroup:        c.String(flagResourceGroup),
		Name:                 c.String(flagName),
		Timeout:              c.Duration(flagTimeout),
		DryRun:               c.Bool(flagDryRun),
		Output:               env.OutputFormat(c),
		Logger:               env.Logger(c, nil),
	}
}

// given says whether the command line or the environment names a DPS at all.
func (o connectOptions) given() bool {
	return o.ConnectionString != "" || o.ConnectionStringFile != "" || o.Host != "" || o.armGiven()
}

func (o connectOptions) armGiven() bool { return o.ResourceGroup != "" || o.Name != "" }

// endpoint is a DPS that commands talk to: its planes with credentials.
type endpoint struct {
	host       string // host of the service plane, with a port for an emulator; "" when only ARM is known
	emulator   bool   // a dpskit emulator, whose ARM plane is on the same host
	connection *dps.ConnectionString
	roots      *x509.CertPool // nil: the system's
	client     *http.Client
	waits      *waits
	dryRun     *dryRun
	opts       connectOptions
	now        func() time.Time
	getenv     func(string) string
	entra      azcore.TokenCredential // nil: what azidentity finds
}

// connect decides from the options which DPS is meant. Nothing is sent.
func connect(env *cliapp.Env, opts connectOptions) (*endpoint, error) {
	ep := &endpoint{opts: opts, now: env.Now, getenv: env.Getenv}
	if err := ep.chooseHost(env); err != nil {
		return nil, err
	}
	if err := ep.trust(opts.CAFile); err != nil {
		return nil, err
	}
	ep.client = httpClient(ep.roots)
	ep.waits = &waits{env: env, next: ep.client.Transport, timeout: opts.Timeout}
	ep.client.Transport = ep.waits
	if opts.DryRun {
		ep.dryRun = &dryRun{env: env, format: opts.Output, next: ep.client.Transport}
		ep.client.Transport = ep.dryRun
	}
	return ep, nil
}

// trust reads the TLS roots of --ca-file, or of the variable that stands for it.
func (ep *endpoint) trust(file string) (err error) {
	if file == "" {
		return nil
	}
	if ep.getenv == nil || ep.getenv(envCAFile) != file {
		ep.roots, err = trustedRoots(flagCAFile, file)
		return err
	}
	ep.roots, err = readRoots(envCAFile, file)
	if errors.Is(err, fs.ErrNotExist) {
		err = cliapp.WithHint(err, "an emulator with --%s has another CA file each time that it starts: set %s and %s to what the one that runs printed, or unset %[2]s",
			flagMemory, envCAFile, envConnectionString)
	}
	return err
}

// trustedRoots are the roots of the system and those in the file of a flag.
func trustedRoots(flag, file string) (*x509.CertPool, error) { return readRoots("--"+flag, file) }

// readRoots is trustedRoots of whatever named the file.
func readRoots(from, file string) (*x509.CertPool, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", from, err)
	}
	certs, err := pki.ParseCertificates(data)
	if err != nil {
		return nil, fmt.Errorf("read %s %q: %w", from, file, err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	for _, c := range certs {
		pool.AddCert(c)
	}
	return pool, nil
}

func httpClient(roots *x509.CertPool) *http.Client {
	return &http.Client{Transport: &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 15 * time.Second}).DialContext,
		TLSClientConfig:       &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:   15 * time.Second,
		ResponseHeaderTimeout: 60 * time.Second,
		ForceAttemptHTTP2:     true,
		// An import keeps this many requests on their way; the default of two would
		// make the others connect anew each time.
		MaxIdleConnsPerHost: bulk.MaxConcurrency,
		IdleConnTimeout:     90 * time.Second,
	}}
}

// service returns the client of the service plane: enrollments, registrations.
func (ep *endpoint) service() (*service.Client, error) {
	return ep.serviceWith(service.ClientOptions{Timeout: ep.opts.Timeout})
}

// serviceWith is service with some options of its own.
func (ep *endpoint) serviceWith(opts service.ClientOptions) (*service.Client, error) {
	if ep.host == "" {
		return nil, cliapp.Usagef("no DPS host given: set %s, or give --%s", envConnectionString, flagHost)
	}
	if err := ep.sameService(); err != nil {
		return nil, err
	}
	var cred service.Credential
	if ep.connection != nil {
		cred = service.SharedKey(ep.connection.SharedAccessKeyName, ep.connection.SharedAccessKey)
	} else {
		if err := ep.checkTokenHost(); err != nil {
			return nil, err
		}
		token, err := ep.token()
		if err != nil {
			return nil, err
		}
		cred = service.Token(token)
	}
	opts.Lost = ep.waits.lost
	opts.APIVersion, opts.HTTPClient, opts.Logger, opts.Now = ep.opts.APIVersion, ep.client, ep.opts.Logger, ep.now
	return service.NewClient(ep.host, cred, &opts)
}

// hasARM says whether proof of possession is possible: on an emulator always,
// on Azure when the resource is named.
func (ep *endpoint) hasARM() bool { return ep.emulator || ep.opts.armGiven() }

// arm returns the client of the resource manager plane: CA certificates, the
// service instance.
func (ep *endpoint) arm() (*arm.Client, error) {
	scope := arm.Scope{SubscriptionID: ep.opts.Subscription, ResourceGroup: ep.opts.ResourceGroup, ServiceName: ep.opts.Name}
	if ep.emulator {
		fillEmpty(&scope.SubscriptionID, emulator.DefaultSubscriptionID)
		fillEmpty(&scope.ResourceGroup, emulator.DefaultResourceGroup)
		fillEmpty(&scope.ServiceName, emulator.DefaultName)
	}
	if scope.ResourceGroup == "" || scope.ServiceName == "" || scope.SubscriptionID == "" {
		return nil, cliapp.WithHint(
			cliapp.Usagef("this goes through Azure Resource Manager: give --%s and --%s (or set %s), and --%s if the name alone is not found",
				flagName, flagSubscription, envSubscription, flagResourceGroup),
			"sign in with 'az login' first; a connection string alone reaches neither the CA certificates nor the settings of a DPS")
	}
	token, err := ep.token()
	if err != nil {
		return nil, err
	}
	return arm.NewClient(scope, token, ep.armOptions())
}

func fillEmpty(s *string, def string) {
	if *s == "" {
		*s = def
	}
}

// checkTokenHost refuses to show a token of Microsoft Entra ID to a host that is
// not of DPS in one of the clouds, whatever --host says.
func (ep *endpoint) checkTokenHost() error {
	host := hostName(ep.host)
	if ep.emulator || slices.ContainsFunc(clouds(), func(c azureCloud) bool { return strings.HasSuffix(host, c.suffix) }) {
		return nil
	}
	return cliapp.WithHint(cliapp.Usagef("host %q is not of DPS: a Microsoft Entra token is not sent there", ep.host),
		"the service host is NAME.azure-devices-provisioning.net; other hosts take a connection string")
}

// token returns the Entra credential: the emulator's documented development
// token for an emulator, else what azidentity finds on this machine.
func (ep *endpoint) token() (azcore.TokenCredential, error) {
	if ep.emulator {
		return arm.StaticToken(ep.emulatorToken()), nil
	}
	if ep.entra != nil {
		return ep.entra, nil
	}
	chosen, err := chooseCloud(ep.opts.Cloud, ep.host)
	if err != nil {
		return nil, err
	}
	cred, err := azidentity.NewDefaultAzureCredential(&azidentity.DefaultAzureCredentialOptions{ClientOptions: azcore.ClientOptions{Cloud: chosen.config}})
	if err != nil {
		return nil, cliapp.WithCode(fmt.Errorf("find Microsoft Entra credentials: %v", err), cliapp.ExitUnauthorized)
	}
	ep.entra = signIn{cred, ep.getenv, ep.opts.Logger} // one for all clients: it keeps the tokens
	return ep.entra, nil
}

// emulatorToken is the bearer token of an emulator: the documented one, or for
// a key of the user's own the one that the emulator derives from it.
func (ep *endpoint) emulatorToken() string {
	if ep.connection == nil {
		return emulator.DevelopmentToken
	}
	return emulator.TokenFor(ep.connection.SharedAccessKey)
}

// withTimeout bounds a command by --timeout.
func (o connectOptions) withTimeout(ctx context.Context) (context.Context, context.CancelFunc) {
	if o.Timeout <= 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeoutCause(ctx, o.Timeout, errTimeout)
}

var errTimeout = errors.New("no answer within --timeout")
