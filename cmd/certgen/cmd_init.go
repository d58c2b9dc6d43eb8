package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/pki"
	"github.com/dpskit/dpskit/pkg/pki/workspace"
)

// flagPlainKey stores a key that comes encrypted as it is not.
const flagPlainKey = "plain-key"

// maxIntermediates bounds the depth of a chain: TLS stacks of devices give up
// at about ten certificates.
const maxIntermediates = 8

// initOptions are what init and root were asked for.
type initOptions struct {
	commonOptions
	Root          pki.CAOptions
	Intermediate  pki.CAOptions
	Intermediates int
	// IntermediateNames are the common names of the CAs below the root; nil for those of the library.
	IntermediateNames []string
	LimitPathLen      bool
	Alone             bool // the root is to be followed by 'certgen intermediate'
	// KeyPasswordFile holds the pass phrase for the keys of the new CAs.
	KeyPasswordFile string
	// IntermediateKeyPasswordFile holds another one for those below the root.
	IntermediateKeyPasswordFile string
	PFX                         pfxOptions // of the intermediates
	// CACert and CAKey are the files of a root to use instead of a new one; a PFX needs no CAKey.
	CACert, CAKey, CAPasswordFile string
	PlainKey                      bool // store the key of that root without a pass phrase
}

type initFunc = func(context.Context, *cliapp.Env, initOptions) error

func newInitCmd(env *cliapp.Env, run initFunc) *cli.Command {
	return &cli.Command{
		Name: "init", Usage: "make a root CA and the CAs below it",
		Description: "Without a flag: a root and one intermediate, with keys on the curve P-256, valid for\n" +
			"30 days. Refuses if the folder has a root already.\n\n" +
			"   certgen init\n" +
			"   certgen init --intermediates 2 --key-type rsa-2048 --days 365\n" +
			"   certgen init --dir ca2 --intermediates 0 --root-cn \"Contoso Test Root\"\n" +
			"   certgen init --dir ca3 --intermediates 3 --intermediate-cn \"Contoso Test {n} CA\" --path-len\n" +
			"   certgen init --dir ca4 --intermediate-cn \"Contoso Policy CA\" --intermediate-cn \"Contoso Plant CA\"\n" +
			"   certgen init --key-password-file my-ca.password\n" +
			"   certgen init --ca-cert my-ca.pfx --ca-key-password-file my-ca.password",
		Flags: append(append(append(keyFlags(), keyPasswordFlag(), intermediateKeyPasswordFlag(),
			&cli.IntFlag{Name: flagIntermediates, Value: 1, Usage: "make a chain of `N` CAs below the root"},
			&cli.StringFlag{Name: flagRootCN, Usage: "call the root `NAME` (default: " + strconv.Quote(pki.DefaultRootCN) + ")"},
			&cli.StringSliceFlag{Name: flagIntermediateCN, Usage: "call the CA below it `NAME`; {n} in it is the number of the CA, and repeated it names one CA after the other (default: " + strconv.Quote(pki.DefaultIntermediateCN) + ")"},
			&cli.BoolFlag{Name: flagPathLen, Category: categoryKey, Usage: "limit the path length of every CA to what is made here, so that no CA can be added below the last one"},
		), append(rootFileFlags(), optionalPFXFlags()...)...), writeFlags()...),
		Before: cliapp.NoArgs,
		Action: func(c *cli.Context) error {
			ca, _, err := readCAOptions(env, c)
			if err != nil {
				return err
			}
			n, names, err := readIntermediates(c)
			if err != nil {
				return err
			}
			opts := initOptions{
				commonOptions: readWrite(env, c), Root: ca, Intermediate: ca, Intermediates: n,
				IntermediateNames: names, LimitPathLen: c.Bool(flagPathLen),
				KeyPasswordFile:             c.String(flagKeyPasswordFile),
				IntermediateKeyPasswordFile: c.String(flagIntermediateKeyPasswordFile),
				CACert:                      c.String(flagCACert), CAKey: c.String(flagCAKey), CAPasswordFile: c.String(flagCAKeyPasswordFile),
				PlainKey: c.Bool(flagPlainKey),
			}
			opts.Root.CommonName = c.String(flagRootCN)
			if opts.PFX, err = readPFX(c); err != nil {
				return err
			}
			if n == 0 && (opts.PFX.Write || opts.IntermediateKeyPasswordFile != "") {
				return cliapp.Usagef("--%s and --%s are for the CAs below the root, and there are none",
					flagPFX, flagIntermediateKeyPasswordFile)
			}
			if err := opts.check(c, flagRootCN); err != nil {
				return err
			}
			return run(c.Context, env, opts)
		},
	}
}

// nameNumber stands in a common name for the number of the CA.
const nameNumber = "{n}"

// readIntermediates reads how many CAs stand below the root, and their common
// names; no names mean those of the library.
func readIntermediates(c *cli.Context) (n int, names []string, err error) {
	n, names = c.Int(flagIntermediates), c.StringSlice(flagIntermediateCN)
	if !c.IsSet(flagIntermediates) && len(names) > 1 {
		n = len(names)
	}
	switch {
	case n < 0 || n > maxIntermediates:
		return 0, nil, cliapp.Usagef("invalid --%s %d: want 0 to %d", flagIntermediates, n, maxIntermediates)
	case len(names) > 0 && n == 0:
		return 0, nil, cliapp.Usagef("--%s is for the CAs below the root, and there are none", flagIntermediateCN)
	case len(names) > 1 && len(names) != n:
		return 0, nil, cliapp.Usagef("%d names by --%s for %d CAs below the root: give one for each, or one with %s in it",
			len(names), flagIntermediateCN, n, nameNumber)
	case len(names) == 1 && n > 1:
		names = slices.Repeat(names, n)
		if !strings.Contains(names[0], nameNumber) {
			for i := range names[1:] {
				names[i+1] += " " + nameNumber
			}
		}
	}
	for i, name := range names {
		if names[i] = strings.ReplaceAll(name, nameNumber, strconv.Itoa(i+1)); name == "" {
			return 0, nil, cliapp.Usagef("a name by --%s is empty", flagIntermediateCN)
		}
	}
	return n, names, nil
}

// rootFileFlags name the files of a root that was made elsewhere.
func rootFileFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: flagCACert, Category: categoryIssuer, Usage: "use the root CA certificate in `FILE` instead of making one; a PFX brings its key along"},
		caKeyFlag(),
		caKeyPasswordFlag(),
		&cli.BoolFlag{Name: flagPlainKey, Category: categoryIssuer, Usage: "store its key without a pass phrase; else one that comes encrypted keeps its own, unless --" + flagKeyPasswordFile + " gives another"},
	}
}

func newRootCmd(env *cliapp.Env, run initFunc) *cli.Command {
	return &cli.Command{
		Name: "root", Usage: "make a root CA alone",
		Description: "Add CAs below it with 'certgen intermediate'. Refuses if the folder has a root already.\n\n" +
			"   certgen root\n" +
			"   certgen root --dir own --cn \"Contoso Test Root\" --key-type ec-p384 --path-len 1\n" +
			"   certgen root --ca-cert my-ca.pem --ca-key my-ca.key --ca-key-password-file my-ca.password\n" +
			"   certgen root --ca-cert my-ca.pfx --ca-key-password-file my-ca.password",
		Flags: append(append(append(keyFlags(), pathLenFlag(), keyPasswordFlag(),
			&cli.StringFlag{Name: flagCN, Usage: "call the root `NAME` (default: " + strconv.Quote(pki.DefaultRootCN) + ")"},
		), rootFileFlags()...), writeFlags()...),
		Before: cliapp.NoArgs,
		Action: func(c *cli.Context) error {
			ca, _, err := readCAOptions(env, c)
			if err != nil {
				return err
			}
			if ca.MaxPathLen, err = readPathLen(c); err != nil {
				return err
			}
			ca.CommonName = c.String(flagCN)
			opts := initOptions{
				commonOptions: readWrite(env, c), Root: ca, Alone: true, KeyPasswordFile: c.String(flagKeyPasswordFile),
				CACert: c.String(flagCACert), CAKey: c.String(flagCAKey), CAPasswordFile: c.String(flagCAKeyPasswordFile),
				PlainKey: c.Bool(flagPlainKey),
			}
			if err := opts.check(c, flagKeyType, flagDays, flagNotBefore, flagNotAfter, flagPathLen, flagCN); err != nil {
				return err
			}
			return run(c.Context, env, opts)
		},
	}
}

// check refuses to shape, by one of the flags, a root that is there already.
func (opts initOptions) check(c *cli.Context, shaping ...string) error {
	if opts.CACert == "" && opts.CAKey != "" {
		return cliapp.Usagef("--%s is the key of --%s: give both", flagCAKey, flagCACert)
	}
	if opts.PlainKey && (opts.CACert == "" || opts.KeyPasswordFile != "") {
		return cliapp.Usagef("--%s goes with --%s and without --%s", flagPlainKey, flagCACert, flagKeyPasswordFile)
	}
	for _, name := range shaping {
		if opts.CACert != "" && c.IsSet(name) {
			return cliapp.Usagef("--%s is for a new root: leave it out with --%s", name, flagCACert)
		}
	}
	return checkStdin(opts.KeyPasswordFile, opts.IntermediateKeyPasswordFile, opts.CAPasswordFile, opts.PFX.PasswordFile)
}

// library returns what the library is asked for.
func (opts initOptions) library(ctx context.Context, env *cliapp.Env) (workspace.InitOptions, error) {
	out := workspace.InitOptions{
		Root: opts.Root, Intermediate: opts.Intermediate, Intermediates: opts.Intermediates, Force: opts.Force,
		IntermediateNames: opts.IntermediateNames, LimitPathLen: opts.LimitPathLen,
	}
	var err error
	if out.KeyPassphrase, err = newKeyPassphrase(ctx, env, opts.KeyPasswordFile, envKeyPassword); err != nil {
		return out, err
	}
	if opts.Intermediates > 0 {
		out.IntermediateKeyPassphrase, err = newKeyPassphrase(ctx, env, opts.IntermediateKeyPasswordFile, envIntermediateKeyPassword)
		if err != nil {
			return out, err
		}
	}
	if out.IntermediatePFX, err = opts.PFX.options(ctx, env); err != nil {
		return out, err
	}
	if opts.CACert == "" {
		return out, nil
	}
	var used []byte
	if out.RootAuthority, used, err = openCA(ctx, env, opts.CACert, opts.CAKey, opts.CAPasswordFile); err != nil {
		return out, err
	}
	if len(used) > 0 && out.KeyPassphrase == nil && !opts.PlainKey {
		out.RootKeyPassphrase = func() ([]byte, error) { return used, nil }
	}
	return out, nil
}

// readCAOptions reads the key type and the validity of a new CA. asked says
// whether the command line asks for an expiry.
func readCAOptions(env *cliapp.Env, c *cli.Context) (ca pki.CAOptions, asked bool, err error) {
	ca.Now = env.Now
	if ca.KeyType, err = readKeyType(c); err != nil {
		return ca, false, err
	}
	ca.Validity, asked, err = readValidity(c, env.Now())
	return ca, asked, err
}

func runInit(ctx context.Context, env *cliapp.Env, opts initOptions) error {
	ws, err := workspace.Open(opts.Dir)
	if err != nil {
		return err
	}
	request, err := opts.library(ctx, env)
	if err != nil {
		return err
	}
	noteSlowKeys(env, opts.commonOptions, opts.Root.KeyType, 1+opts.Intermediates)
	root, issuing, err := ws.Init(ctx, request)
	if err != nil {
		return opts.explain(err)
	}
	noteExpired(env, opts.commonOptions, root.Certificate())
	if request.RootKeyPassphrase != nil {
		notef(env, opts.commonOptions, "the key of the root stays encrypted with the pass phrase that opened it; --%s stores it without", flagPlainKey)
	}
	chain := issuing.Chain()
	made := &result{Dir: opts.Dir}
	made.ChainCA = ws.ChainCAPath()
	for i := len(chain) - 1; i >= 0; i-- {
		if _, err := made.add(ws, caName(len(chain)-1-i)); err != nil {
			return err
		}
	}
	made.next = nextCommand(opts.Dir, "device", "my-device")
	if opts.Alone {
		made.next = nextCommand(opts.Dir, "intermediate")
	}
	return made.printReplacing(env, opts.commonOptions, ws)
}

// explain says which flag helps.
func (opts initOptions) explain(err error) error {
	switch wrongDate := errors.Is(err, pki.ErrExpired) || errors.Is(err, pki.ErrNotYetValid); {
	case errors.Is(err, workspace.ErrExists):
		return cliapp.WithHint(err, "use another --%s, or --%s: what it replaces is kept in the folder 'replaced'", flagDir, flagForce)
	case wrongDate && opts.CACert != "":
		return cliapp.WithHint(err, "give a root that is valid now by --%s, or leave it out to have one made", flagCACert)
	case wrongDate:
		return cliapp.WithHint(err, "a root that is not valid now signs nothing: change --%s, --%s or --%s, or make the root alone by --%s 0",
			flagNotBefore, flagNotAfter, flagDays, flagIntermediates)
	case (errors.Is(err, pki.ErrPathLen) || errors.Is(err, pki.ErrPathLenTooLarge)) && opts.CACert != "":
		return cliapp.WithHint(err, "make fewer CAs below that root by --%s, or give another one by --%s", flagIntermediates, flagCACert)
	}
	return err
}

// caName is what the workspace calls the CA that stands level steps below the root.
func caName(level int) string {
	switch level {
	case 0:
		return "root"
	case 1:
		return "intermediate"
	}
	return fmt.Sprintf("intermediate%d", level)
}
