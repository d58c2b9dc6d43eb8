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
	"github.com/dpskit/dpskit/pkg/pki/doctor"
	"github.com/dpskit/dpskit/pkg/pki/workspace"
)

// maxDoctorFiles bounds the files of one examination.
const maxDoctorFiles = 100

// doctorOptions are what doctor was asked for.
type doctorOptions struct {
	commonOptions
	What           []string // files, names in the folder, or "-"; none: everything in the folder
	Role           doctor.Role
	RegistrationID string
	Code           string
	Enrolled       string   // file
	CAs            []string // files
	At             time.Time
	PasswordFile   string
}

func newDoctorCmd(env *cliapp.Env, run func(context.Context, *cliapp.Env, doctorOptions) error) *cli.Command {
	return &cli.Command{
		Name: "doctor", Usage: "check what DPS will say to certificates", ArgsUsage: "[FILE|NAME...]",
		Description: "Checks chain, order, keys, roles, dates and names against what DPS demands, without asking it.\n" +
			"Each finding says what is wrong, why it matters, what to do and what DPS would answer; then\n" +
			"it says which file goes where. Every NAME that the folder knows is examined on its own, all\n" +
			"FILES (PEM, DER, base64, PFX; - is standard input) together as those of one device; without\n" +
			"an argument, everything in the folder. The exit code is 6 if a finding is fatal.\n\n" +
			"   certgen doctor my-device\n" +
			"   certgen doctor --at 7d\n" +
			"   certgen doctor pki/certs/my-device-full-chain.cert.pem pki/private/my-device.key.pem --registration-id my-device\n" +
			"   certgen doctor my-device --enrolled pki/certs/azure-iot-test-only.intermediate.cert.pem --ca-cert pki/certs/azure-iot-test-only.root.ca.cert.pem\n" +
			"   certgen doctor --role group pki/certs/azure-iot-test-only.root.ca.cert.pem --output json",
		Flags:  append(doctorFlags(), readFlags()...),
		Before: cliapp.MinArgs(0, "FILE or NAME"),
		Action: func(c *cli.Context) error {
			opts := doctorOptions{
				commonOptions: readCommon(env, c), What: c.Args().Slice(), RegistrationID: c.String(flagRegistrationID),
				Code: c.String(flagCode), Enrolled: c.String(flagEnrolled), CAs: c.StringSlice(flagCACert),
				PasswordFile: c.String(flagPasswordFile),
			}
			var err error
			if opts.Role, err = doctor.ParseRole(c.String(flagRole)); err != nil {
				return cliapp.Usagef("invalid --%s %q: want %s", flagRole, c.String(flagRole), strings.Join(roleNames(), ", "))
			}
			if opts.At, err = readTime(c, flagAt, env.Now()); err != nil {
				return err
			}
			if err := opts.check(); err != nil {
				return err
			}
			return run(c.Context, env, opts)
		},
	}
}

func doctorFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{
			Name: flagRole, Category: categoryRole,
			Usage: "check the certificate as `ROLE`: " + strings.Join(roleNames(), ", ") + " (default: what it looks like)",
		},
		&cli.StringFlag{Name: flagRegistrationID, Category: categoryRole, Usage: "say that the device registers as `ID`"},
		&cli.StringFlag{Name: flagCode, Category: categoryRole, Usage: "say that the verification code is `CODE`, and the certificate its proof"},
		&cli.StringFlag{
			Name: flagEnrolled, Category: categoryRole,
			Usage: "say that the enrollment, of a group or of one device, holds the certificate in `FILE`",
		},
		&cli.StringSliceFlag{
			Name: flagCACert, Category: categoryRole,
			Usage: "say that the CA certificates in `FILE` are in the list of the service and verified; may be repeated",
		},
		&cli.StringFlag{
			Name: flagAt, Category: categoryRole,
			Usage: "check for the moment `TIME`: a date, or a duration from now such as 30d (default: now)",
		},
		&cli.StringFlag{
			Name: flagPasswordFile, Category: categoryPassword,
			Usage: "read the password of a PFX or an encrypted key, one line, from `FILE` (- is standard input; else $" + envPFXPassword +
				" or $" + envCAPassword + ", else a prompt)",
		},
	}
}

func roleNames() []string {
	var names []string
	for _, r := range doctor.AllRoles() {
		names = append(names, string(r))
	}
	return names
}

// check finds what is wrong with the command line.
func (opts doctorOptions) check() error {
	stdin := 0
	for _, file := range append(append([]string{opts.Enrolled, opts.PasswordFile}, opts.CAs...), opts.What...) {
		if file == "-" {
			stdin++
		}
	}
	switch {
	case stdin > 1:
		return cliapp.Usagef("standard input cannot be two things at once")
	case len(opts.What) > maxDoctorFiles:
		return cliapp.Usagef("%d arguments are more than the limit of %d", len(opts.What), maxDoctorFiles)
	case opts.RegistrationID != "" && len(opts.What) == 0:
		return cliapp.Usagef("--%s is for one device: name it", flagRegistrationID)
	case opts.Code != "" && opts.Role != doctor.RoleVerification && opts.Role != doctor.RoleAuto:
		return cliapp.Usagef("--%s is for --%s %s", flagCode, flagRole, doctor.RoleVerification)
	}
	return nil
}

func runDoctor(ctx context.Context, env *cliapp.Env, opts doctorOptions) error {
	c := clinic{env: env, opts: opts}
	if err := c.open(ctx); err != nil {
		return err
	}
	reports, err := c.examine(ctx)
	if err != nil {
		return err
	}
	doc := newDoctorResult(reports)
	if err := printResult(env, opts.commonOptions, doc, doc.render()); err != nil {
		return err
	}
	if doc.Fatal == 0 {
		return nil
	}
	return cliapp.WithCode(fmt.Errorf("check certificates: %s in %s", plural(doc.Fatal, "fatal finding"),
		strings.Join(doc.sick(), ", ")), cliapp.ExitRefused)
}

// clinic examines certificates in the folder and in files.
type clinic struct {
	env   *cliapp.Env
	opts  doctorOptions
	ws    *workspace.Workspace // nil when there is none and nobody needs it
	known []doctor.Source      // the CAs of the folder
	base  doctor.Options
}

// open reads what the whole run needs: the folder, and the files that say what the service has.
func (c *clinic) open(ctx context.Context) error {
	needed := len(c.opts.What) == 0
	for _, what := range c.opts.What {
		needed = needed || isName(what) && !exists(what)
	}
	ws, err := workspace.Open(c.opts.Dir)
	if err != nil && needed {
		return err
	}
	if err == nil {
		c.ws = ws
		if needed {
			noteProblems(c.env, c.opts.commonOptions, ws)
		}
		c.readKnown(ctx)
	}
	c.base = doctor.Options{Role: c.opts.Role, RegistrationID: c.opts.RegistrationID, Code: c.opts.Code, Known: c.known, Now: c.now}
	if c.opts.Enrolled != "" {
		certs, err := c.certificates(ctx, c.opts.Enrolled)
		if err != nil {
			return err
		}
		c.base.Enrolled = certs[0]
	}
	for _, file := range c.opts.CAs {
		certs, err := c.certificates(ctx, file)
		if err != nil {
			return err
		}
		c.base.CAs = append(c.base.CAs, certs...)
	}
	return nil
}

func (c *clinic) now() time.Time {
	if !c.opts.At.IsZero() {
		return c.opts.At
	}
	return c.env.Now()
}

// certificates reads a file that says what the service has.
func (c *clinic) certificates(ctx context.Context, file string) ([]*x509.Certificate, error) {
	data, err := readFile(ctx, c.env, file)
	if err != nil {
		return nil, err
	}
	certs, err := pki.ParseCertificates(data)
	if err != nil {
		return nil, fmt.Errorf("read %q: %w", file, unreadable(err, "x509"))
	}
	return certs, nil
}

// examine makes the reports: one for each name, and one for all files together.
func (c *clinic) examine(ctx context.Context) ([]doctorReport, error) {
	if len(c.opts.What) == 0 {
		return c.examineAll(ctx)
	}
	var reports []doctorReport
	var files []doctor.Source
	place := -1 // of the report about the files
	for _, what := range c.opts.What {
		entry, err := c.lookup(what)
		switch {
		case err == nil:
			report, err := c.examineName(ctx, entry, true)
			if err != nil {
				return nil, err
			}
			reports = append(reports, report)
			continue
		case !errors.Is(err, workspace.ErrNotFound):
			return nil, err
		case isName(what) && !exists(what):
			return nil, cliapp.WithHint(err, "there is no file %q either; 'certgen list' shows the names in the folder", what)
		}
		source, err := c.readArgument(ctx, what)
		if err != nil {
			return nil, err
		}
		if files = append(files, source); place < 0 {
			place, reports = len(reports), append(reports, doctorReport{})
		}
	}
	if place >= 0 {
		reports[place] = newDoctorReport(files, doctor.Check(files, &c.base))
	}
	return reports, nil
}

// lookup finds an argument among the names of the folder.
func (c *clinic) lookup(what string) (workspace.Entry, error) {
	if c.ws == nil || !isName(what) {
		return workspace.Entry{}, workspace.ErrNotFound
	}
	return c.ws.Lookup(what)
}
