package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/arm"
	"github.com/dpskit/dpskit/pkg/dps/device"
	"github.com/dpskit/dpskit/pkg/dps/emulator"
	"github.com/dpskit/dpskit/pkg/dps/service"
	"github.com/dpskit/dpskit/pkg/pki"
	"github.com/dpskit/dpskit/pkg/pki/workspace"
)

// generateOptions is what enroll --generate was asked for.
type generateOptions struct {
	Connect        connectOptions
	Dir            string
	GroupID        string
	RegistrationID string
	CAName         string
	IDScope        string
	DeviceHost     string
	Transport      device.Transport
	KeyType        pki.KeyType
	KeyTypeGiven   bool // by a flag: it must fit the chain that is there
	Days           int
	DaysGiven      bool
	KeyPassword    cliapp.SecretSource
	Force          bool
	Serve          bool
	Output         cliapp.Format
	EmulatorLog    *slog.Logger
}

// generated is the document that --output json prints. Its member names are
// stable.
type generated struct {
	Workspace               string `json:"workspace"`
	Endpoint                string `json:"endpoint"`
	Emulator                bool   `json:"emulator"`
	RootCertificate         string `json:"rootCertificate"`
	IntermediateCertificate string `json:"intermediateCertificate"`
	DeviceCertificate       string `json:"deviceCertificate"`
	DeviceChain             string `json:"deviceChain"`
	DeviceKey               string `json:"deviceKey"`
	CAName                  string `json:"caName"`
	VerificationCode        string `json:"verificationCode"`
	CAVerified              bool   `json:"caVerified"`
	EnrollmentGroupID       string `json:"enrollmentGroupId"`
	RegistrationID          string `json:"registrationId"`
	IDScope                 string `json:"idScope"`
	DeviceID                string `json:"deviceId"`
	AssignedHub             string `json:"assignedHub"`
	Status                  string `json:"status"`
}

// generation is one run of enroll --generate, from an empty folder to an
// assigned device. Each step either finds what it needs and says so, or makes
// it, or reports a conflict; none replaces anything unless told to by --force.
type generation struct {
	env    *cliapp.Env
	opts   generateOptions
	ep     *endpoint
	ws     *workspace.Workspace
	root   *pki.Authority
	issuer *pki.Authority
	device *pki.Bundle
	result generated
	plan   *generatePlan // of a dry run
}

func runGenerate(ctx context.Context, env *cliapp.Env, opts generateOptions) error {
	if err := checkGenerate(opts); err != nil {
		return err
	}
	if opts.Connect.DryRun {
		return runGenerateDry(ctx, env, opts)
	}
	g := &generation{env: env, opts: opts}
	g.result.CAName, g.result.EnrollmentGroupID, g.result.RegistrationID = opts.CAName, opts.GroupID, opts.RegistrationID
	var err error
	if g.ws, err = workspace.Open(opts.Dir); err != nil {
		return err
	}
	emu, err := g.open(ctx)
	if err != nil {
		return err
	}
	if emu != nil {
		defer emu.Close()
	}
	if err := g.enroll(ctx); err != nil {
		return err
	}
	if opts.Output == cliapp.FormatText {
		env.Notef("")
	}
	if err := env.Print(opts.Output, g.view()); err != nil {
		return err
	}
	if opts.Serve && emu != nil {
		return g.serve(ctx, emu)
	}
	return nil
}

// open finds the DPS of the run. Without a connection it starts an emulator in
// this process, which the caller closes.
func (g *generation) open(ctx context.Context) (*emulator.Emulator, error) {
	var err error
	if g.opts.Connect.given() {
		if g.ep, err = connect(g.env, g.opts.Connect); err != nil {
			return nil, err
		}
		if !g.ep.hasARM() && g.opts.IDScope == "" {
			return nil, cliapp.WithHint(
				cliapp.Usagef("the ID scope cannot be read through a connection string: give --%s", flagIDScope),
				"with --%s, --%s and --%s the CA is verified and the ID scope read through Azure Resource Manager",
				flagResourceGroup, flagName, flagSubscription)
		}
		g.result.Endpoint, g.result.Emulator = "https://"+g.ep.host, g.ep.emulator
		g.say("DPS", "%s", g.result.Endpoint)
		return nil, nil
	}
	emu, err := emulator.Start(ctx, &emulator.Options{
		RetryAfter: -1, Logger: g.opts.EmulatorLog, Version: cliapp.Version(),
	})
	if err != nil {
		return nil, err
	}
	info := emu.Info()
	cs, err := dps.ParseConnectionString(info.ConnectionString)
	if err != nil {
		emu.Close()
		return nil, err
	}
	roots := emu.CAPool()
	g.ep = &endpoint{host: cs.HostName, emulator: true, connection: &cs, roots: roots, client: httpClient(roots), opts: g.opts.Connect}
	g.result.Endpoint, g.result.Emulator = "https://"+cs.HostName, true
	g.say("DPS", "%s, the emulator in this process (no connection string was given)", g.result.Endpoint)
	return emu, nil
}

// enroll takes the run from certificates to the assigned device.
func (g *generation) enroll(ctx context.Context) error {
	ctx, cancel := g.opts.Connect.withTimeout(ctx)
	defer cancel()
	for _, step := range []func(context.Context) error{
		g.resolveService, g.foresee, g.prepareChain, g.prepareDevice, g.proveCA, g.ensureGroup, g.register,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (g *generation) say(step, format string, args ...any) {
	g.env.Notef("%-13s %s", step, fmt.Sprintf(format, args...))
}

// resolveService learns the ID scope and the device host.
func (g *generation) resolveService(ctx context.Context) error {
	g.result.IDScope = g.opts.IDScope
	if g.ep.emulator && g.opts.DeviceHost == "" {
		var err error
		if g.opts.DeviceHost, err = g.ep.deviceHost(ctx, g.opts.Transport); err != nil {
			return err
		}
	}
	if !g.ep.hasARM() {
		chosen, err := chooseCloud("", g.ep.host)
		fillEmpty(&g.opts.DeviceHost, chosen.deviceHost())
		return err
	}
	if err := g.ep.locate(ctx); err != nil {
		return err
	}
	client, err := g.ep.arm()
	if err != nil {
		return err
	}
	svc, err := client.GetService(ctx)
	if err != nil {
		return err
	}
	fillEmpty(&g.result.IDScope, svc.IDScope)
	fillEmpty(&g.opts.DeviceHost, svc.DeviceHost)
	if g.ep.host == "" {
		g.ep.host = svc.ServiceHost
		g.result.Endpoint = "https://" + svc.ServiceHost
	}
	return nil
}

// proveCA uploads the root and proves possession of its key, where that is
// possible.
func (g *generation) proveCA(ctx context.Context) error {
	if !g.ep.hasARM() {
		g.say("CA", "not uploaded: a connection string does not reach CA certificates; counting on the root being verified already")
		return nil
	}
	client, err := g.ep.arm()
	if err != nil {
		return err
	}
	if g.plan != nil {
		return g.planProof(ctx, client)
	}
	sign := func(ctx context.Context, code string) (*x509.Certificate, error) {
		b, _, err := g.ws.IssueVerification(ctx, workspace.VerificationOptions{Code: code, CA: workspace.RootName, Passphrase: g.caPassword, Now: g.env.Now})
		if err != nil {
			return nil, err
		}
		return b.Certificate, nil
	}
	proof, err := client.Prove(ctx, g.opts.CAName, g.root.Certificate(), sign, &arm.ProveOptions{Replace: g.opts.Force})
	if err != nil {
		return hintForce(err)
	}
	g.result.VerificationCode, g.result.CAVerified = proof.Code, proof.Certificate.Verified
	if proof.AlreadyVerified {
		g.say("CA", "%q is verified already", g.opts.CAName)
	} else {
		g.say("CA", "uploaded %q, signed the code %s, verified", g.opts.CAName, abbreviate(proof.Code))
	}
	return nil
}

func (g *generation) ensureGroup(ctx context.Context) error {
	client, err := g.ep.service()
	if err != nil {
		return err
	}
	id, cert := g.opts.GroupID, g.issuer.Certificate()
	group, err := client.GetGroup(ctx, id, nil)
	switch {
	case errors.Is(err, dps.ErrNotFound):
		group = service.EnrollmentGroup{EnrollmentGroupID: id, Attestation: service.SigningCertificate(cert, nil)}
		if _, err := client.PutGroup(ctx, group, nil); err != nil {
			return g.ep.finish(err)
		}
		g.say("group", "created %q for %s certificates", id, cert.Subject.CommonName)
		return nil
	case err != nil:
		return err
	case signedBy(group, cert):
		g.say("group", "%q has this signing certificate already", id)
		return nil
	case !g.opts.Force:
		return hintForce(cliapp.WithCode(fmt.Errorf("enrollment group %q exists with another attestation", id), cliapp.ExitConflict))
	}
	group.Attestation = service.SigningCertificate(cert, nil)
	if _, err := client.PutGroup(ctx, group, &service.PutOptions{IfMatch: group.ETag}); err != nil {
		return g.ep.finish(err)
	}
	g.say("group", "gave %q the new signing certificate", id)
	return nil
}

func (g *generation) register(ctx context.Context) error {
	cert, err := g.device.TLSCertificate()
	if err != nil {
		return err
	}
	client, err := device.NewClient(g.result.IDScope, g.opts.RegistrationID, device.X509(cert), &device.ClientOptions{
		Host: g.opts.DeviceHost, Transport: g.opts.Transport, RootCAs: g.ep.roots, Logger: g.opts.Connect.Logger,
	})
	if err != nil {
		return err
	}
	if g.plan != nil {
		return g.planRegistration(client)
	}
	reg, err := client.Register(ctx, nil)
	if err != nil {
		chain := append([]*x509.Certificate{g.device.Certificate}, g.device.Issuers...)
		return explainRegistration(refusedRegistration(err), sentChain{g.opts.RegistrationID, g.result.DeviceChain, chain, g.env.Now})
	}
	g.result.DeviceID, g.result.AssignedHub, g.result.Status = reg.DeviceID, reg.AssignedHub, reg.Status
	over := ""
	if g.opts.Transport != device.TransportHTTPS {
		over = " over " + string(g.opts.Transport)
	}
	g.say("registration", "%q is %s to %s%s", reg.DeviceID, reg.Status, reg.AssignedHub, over)
	return nil
}

func hintForce(err error) error {
	if errors.Is(err, dps.ErrConflict) || exitCodeOf(err) == cliapp.ExitConflict {
		return cliapp.WithHint(err, "choose another name (--%s, --%s), or replace what is there with --%s", flagCAName, flagGroupID, flagForce)
	}
	return err
}
