package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/pki"
	"github.com/dpskit/dpskit/pkg/pki/doctor"
	"github.com/dpskit/dpskit/pkg/pki/workspace"
)

// readKnown reads the CAs of the folder, by which the doctor names what is
// missing. One that cannot be read has a report of its own.
func (c *clinic) readKnown(ctx context.Context) {
	for _, e := range c.ws.Entries() {
		if !e.Profile.IsCA() {
			continue
		}
		file := newFiles(c.ws.Dir(), e.Files).Certificate
		if certs, err := c.certificates(ctx, file); err == nil {
			c.known = append(c.known, doctor.Source{Name: file, Certificates: certs})
		}
	}
}

// examineAll examines everything in the folder, also what only IoT Edge and its
// clients get to see.
func (c *clinic) examineAll(ctx context.Context) ([]doctorReport, error) {
	entries := c.ws.Entries()
	if len(entries) == 0 {
		return nil, cliapp.WithHint(cliapp.WithCode(fmt.Errorf("check certificates: there are none in %q", c.opts.Dir), cliapp.ExitNotFound),
			"give a file, or make some first: %s", commandLine(nextCommand(c.opts.Dir, "init")...))
	}
	proof := func(e workspace.Entry) bool { return e.Profile == pki.ProfileVerification }
	if c.opts.Code != "" && !slices.ContainsFunc(entries, proof) {
		return nil, cliapp.WithCode(fmt.Errorf("check the code: there is no verification certificate in %q", c.opts.Dir), cliapp.ExitNotFound)
	}
	reports := []doctorReport{}
	for _, e := range entries {
		report, err := c.examineName(ctx, e, false)
		if err != nil {
			return nil, err
		}
		reports = append(reports, report)
	}
	return reports, nil
}

// examineName examines the files of one name in the folder. Only a name that
// was asked for is worth a prompt for its password, and only it is taken for
// the proof of --code.
func (c *clinic) examineName(ctx context.Context, e workspace.Entry, asked bool) (doctorReport, error) {
	if err := ctx.Err(); err != nil {
		return doctorReport{}, err
	}
	opts := c.base
	if opts.Role == doctor.RoleAuto && (opts.Code == "" || !asked) {
		opts.Role = roleOf(e)
	}
	paths := newFiles(c.ws.Dir(), e.Files)
	var sources []doctor.Source
	for _, file := range []string{paths.FullChain, paths.Certificate, paths.Key, paths.PFX} {
		if file == "" {
			continue
		}
		password := c.passwordOf(e.Name, file == paths.PFX, paths.PFXPassword, asked)
		source, err := c.readNamed(ctx, file, password)
		switch secret := file == paths.Key || file == paths.PFX; {
		case errors.Is(err, pki.ErrPassphraseRequired):
			notef(c.env, c.opts.commonOptions, "%q was not checked, because its password is not known", file)
			continue
		case secret && errors.Is(err, fs.ErrPermission):
			notef(c.env, c.opts.commonOptions, "%q was not checked, because you may not read it or its password", file)
			continue
		case err != nil:
			return doctorReport{}, err
		}
		sources = append(sources, source)
	}
	report := newDoctorReport(sources, doctor.Check(sources, &opts))
	report.Name, report.Broken = e.Name, e.Broken
	return report, nil
}

// roleOf is the role of a certificate in the folder.
func roleOf(e workspace.Entry) doctor.Role {
	switch {
	case e.Profile == pki.ProfileServer || e.Profile == pki.ProfileEdgeCA:
		return doctor.RoleOther // of IoT Edge and its clients alone
	case e.Profile.IsCA():
		return doctor.RoleGroup
	case e.Profile == pki.ProfileVerification:
		return doctor.RoleVerification
	case e.CA == "" && e.Issuer == e.Subject:
		return doctor.RoleIndividual
	}
	return doctor.RoleDevice
}

// passwordOf says where the password of a file in the folder is: beside it, if
// certgen made it up.
func (c *clinic) passwordOf(name string, pfx bool, stored string, prompt bool) passwordSource {
	if pfx && stored != "" && c.opts.PasswordFile == "" {
		return func(ctx context.Context, _ string) ([]byte, error) {
			if err := checkRegular(stored); err != nil {
				return nil, fmt.Errorf("read %q: %w", stored, err)
			}
			return c.env.SecretContext(ctx, cliapp.SecretSource{File: stored})
		}
	}
	if prompt {
		return openPassword(c.env, c.opts.PasswordFile, name)
	}
	return func(ctx context.Context, variable string) ([]byte, error) {
		return c.env.SecretContext(ctx, cliapp.SecretSource{File: c.opts.PasswordFile, Env: variable})
	}
}

// readNamed reads a file of the folder. What is missing or does not open is a
// finding about the folder.
func (c *clinic) readNamed(ctx context.Context, file string, password passwordSource) (doctor.Source, error) {
	data, err := readFile(ctx, c.env, file)
	if err == nil {
		var source doctor.Source
		if source, err = openSource(ctx, file, data, password); err == nil {
			return source, nil
		}
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return doctor.Source{Name: file, Err: errors.New("the folder lists it, and it is not there")}, nil
	case errors.Is(err, errTooLarge), errors.Is(err, errNotFile):
		return doctor.Source{Name: file, Err: errors.Unwrap(err)}, nil
	case errors.Is(err, pki.ErrWrongPassphrase) && c.opts.PasswordFile == "":
		return doctor.Source{Name: file, Err: pki.ErrWrongPassphrase}, nil
	}
	return doctor.Source{}, err
}

// readArgument reads a file of the command line.
func (c *clinic) readArgument(ctx context.Context, file string) (doctor.Source, error) {
	data, err := readFile(ctx, c.env, file)
	if errors.Is(err, errTooLarge) {
		return doctor.Source{Name: file, Err: errTooLarge}, nil
	}
	if err != nil {
		return doctor.Source{}, err
	}
	source, err := openSource(ctx, file, data, openPassword(c.env, c.opts.PasswordFile, file))
	if errors.Is(err, pki.ErrPassphraseRequired) {
		err = cliapp.WithHint(err, "give it by --%s FILE, by $%s or at a terminal; certgen keeps that of NAME in "+
			"private/NAME.pfx.password", flagPasswordFile, envPFXPassword)
	}
	return source, err
}

// openSource finds out what a file holds; a key that nobody can open is locked.
func openSource(ctx context.Context, file string, data []byte, password passwordSource) (doctor.Source, error) {
	source, err := doctor.Read(file, data, &doctor.ReadOptions{
		PFXPassword:   func() ([]byte, error) { return password(ctx, envPFXPassword) },
		KeyPassphrase: func() ([]byte, error) { return password(ctx, envCAPassword) },
	})
	if errors.Is(err, cliapp.ErrNoSecret) {
		return doctor.Read(file, data, nil)
	}
	return source, err
}
