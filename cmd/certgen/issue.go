package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/pki"
	"github.com/dpskit/dpskit/pkg/pki/workspace"
)

// issueOptions are what every command takes that has a certificate signed.
type issueOptions struct {
	CA             string // "": the default of the command
	CAPasswordFile string
	KeyType        pki.KeyType
	Validity       pki.Validity
	// ExpiryAsked says that the command line asks for an expiry, so that less is
	// worth a note.
	ExpiryAsked bool
}

// readIssue reads the flags of keyFlags, caFlag and caKeyPasswordFlag.
func readIssue(env *cliapp.Env, c *cli.Context) (issueOptions, error) {
	opts := issueOptions{CA: c.String(flagCA), CAPasswordFile: c.String(flagCAKeyPasswordFile)}
	var err error
	if opts.KeyType, err = readKeyType(c); err != nil {
		return opts, err
	}
	opts.Validity, opts.ExpiryAsked, err = readValidity(c, env.Now())
	return opts, err
}

// request is what the library is asked for.
func (opts issueOptions) request(env *cliapp.Env, profile pki.Profile, cn string) pki.IssueRequest {
	return pki.IssueRequest{
		Profile: profile, CommonName: cn, KeyType: opts.KeyType, Validity: opts.Validity, Now: env.Now,
	}
}

// pfxOptions say whether and how a PFX is written.
type pfxOptions struct {
	Write        bool
	Profile      pki.PFXProfile
	PasswordFile string
}

// pfxFlags say whether and how a PFX is written beside a certificate.
func pfxFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: flagPFX, Value: true, Category: categoryPFX, Usage: "write a PFX, too; --pfx=false leaves it out"},
		pfxProfileFlag(),
		&cli.StringFlag{
			Name: flagPFXPasswordFile, Category: categoryPFX,
			Usage: "read the PFX password, one line, from `FILE` (- is standard input; else $" + envPFXPassword + ", else a random one)",
		},
	}
}

// optionalPFXFlags are the flags of a command that writes no PFX unless asked to.
func optionalPFXFlags() []cli.Flag {
	flags := pfxFlags()
	flags[0] = &cli.BoolFlag{Name: flagPFX, Category: categoryPFX, Usage: "write a PFX, too"}
	return flags
}

func pfxProfileFlag() cli.Flag {
	return &cli.StringFlag{
		Name: flagPFXProfile, Value: string(pki.PFXModern), Category: categoryPFX,
		Usage: "encrypt the PFX for `READERS`: modern, or legacy for Windows before 2019 and old devices",
	}
}

func readPFX(c *cli.Context) (pfxOptions, error) {
	opts := pfxOptions{Write: c.Bool(flagPFX), PasswordFile: c.String(flagPFXPasswordFile)}
	if !opts.Write && (c.IsSet(flagPFXProfile) || c.IsSet(flagPFXPasswordFile)) {
		return opts, cliapp.Usagef("without --%s there is nothing for the other --%s flags to do", flagPFX, flagPFX)
	}
	var err error
	opts.Profile, err = readPFXProfile(c)
	return opts, err
}

func readPFXProfile(c *cli.Context) (pki.PFXProfile, error) {
	profile, err := pki.ParsePFXProfile(c.String(flagPFXProfile))
	if err != nil {
		return "", cliapp.Usagef("invalid --%s %q: want modern or legacy", flagPFXProfile, c.String(flagPFXProfile))
	}
	return profile, nil
}

// options returns what the library is asked for, nil when no PFX is wanted.
func (opts pfxOptions) options(ctx context.Context, env *cliapp.Env) (*pki.PFXOptions, error) {
	if !opts.Write {
		return nil, nil
	}
	password, err := pfxPassword(ctx, env, opts.PasswordFile)
	if err != nil {
		return nil, err
	}
	return &pki.PFXOptions{Profile: opts.Profile, Password: password}, nil
}

// findCA returns the name of the CA to sign with, before anything is written.
// An empty name stands for the lowest CA.
func findCA(ws *workspace.Workspace, name string) (string, error) {
	if name == "" {
		name = ws.DefaultCA()
	}
	e, err := ws.Lookup(name)
	if err == nil {
		return e.Name, nil
	}
	if !errors.Is(err, workspace.ErrNotFound) {
		return "", err
	}
	cas := caNames(ws)
	if len(cas) == 0 {
		return "", cliapp.WithHint(fmt.Errorf("find a CA in %q: %w", ws.Dir(), err),
			"make one first: %s", commandLine(nextCommand(ws.Dir(), "init")...))
	}
	return "", cliapp.WithHint(fmt.Errorf("find the CA: %w", err), "the CAs here are: %s", strings.Join(cas, ", "))
}

func caNames(ws *workspace.Workspace) []string {
	var names []string
	for _, e := range ws.Entries() {
		if e.Profile.IsCA() {
			names = append(names, e.Name)
		}
	}
	return names
}

// reportIssued prints what was made. next gives the command to try after the
// first of the certificates.
func reportIssued(env *cliapp.Env, common commonOptions, opts issueOptions, ws *workspace.Workspace,
	issued []workspace.Issued, next func(first certificate) []string,
) error {
	made := &result{Dir: common.Dir}
	for i, item := range issued {
		cert, err := made.add(ws, item.Name)
		if err != nil {
			return err
		}
		if i == 0 {
			noteShortened(env, common, opts, item.Bundle)
			if cert.Broken == "" {
				noteExpired(env, common, item.Bundle.Certificate)
			}
			made.next = next(cert)
		}
	}
	return made.printReplacing(env, common, ws)
}

// noteExpired says that nobody will accept what was made.
func noteExpired(env *cliapp.Env, common commonOptions, cert *x509.Certificate) {
	if env.Now().After(cert.NotAfter) {
		notef(env, common, "%q has expired already, %s: --%s and --%s say until when it is valid", cert.Subject.CommonName,
			formatTime(cert.NotAfter), flagDays, flagNotAfter)
	}
}

// noteShortened says when a certificate got less time than was asked for,
// because it never outlives its issuer. Without an explicit wish, a day less is
// not worth a word.
func noteShortened(env *cliapp.Env, common commonOptions, opts issueOptions, b *pki.Bundle) {
	slack := 24 * time.Hour
	if opts.ExpiryAsked {
		slack = time.Minute
	}
	if len(b.Issuers) > 0 && b.Certificate.NotAfter.Equal(b.Issuers[0].NotAfter) && b.Certificate.NotAfter.Before(wantedEnd(opts.Validity, b.Certificate, env.Now()).Add(-slack)) {
		notef(env, common, "%q expires with its issuer, %s: make a CA that lasts longer to get more",
			b.Certificate.Subject.CommonName, formatTime(b.Certificate.NotAfter))
	}
}

// wantedEnd is when a certificate would expire if its issuer lasted.
func wantedEnd(v pki.Validity, cert *x509.Certificate, now time.Time) time.Time {
	if !v.NotAfter.IsZero() {
		return v.NotAfter
	}
	if !v.NotBefore.IsZero() {
		now = cert.NotBefore
	}
	return now.AddDate(0, 0, v.Days)
}
