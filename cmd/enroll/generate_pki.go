package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/pki"
	"github.com/dpskit/dpskit/pkg/pki/workspace"
)

func (g *generation) caPassword() ([]byte, error) { return g.env.Secret(g.opts.KeyPassword) }

func (g *generation) prepareChain(ctx context.Context) error {
	var err error
	if g.ws.Exists() && !g.opts.Force {
		if g.root, err = g.ws.Authority(workspace.RootName, g.caPassword); err != nil {
			return err
		}
		if g.issuer, err = g.ws.Authority(g.ws.DefaultCA(), g.caPassword); err != nil {
			return err
		}
		if err := g.checkReuse(); err != nil {
			return err
		}
		if g.opts.DaysGiven {
			g.env.Notef("note: --%s is for new certificates; those that are there keep their dates", flagDays)
		}
		g.say("certificates", "using the chain in %s (expires %s)", g.ws.Dir(), day(g.issuer.Certificate().NotAfter))
	} else {
		ca := pki.CAOptions{KeyType: g.opts.KeyType, Validity: pki.Validity{Days: g.opts.Days}, Now: g.env.Now}
		if g.plan != nil {
			return g.planChain(ca)
		}
		g.root, g.issuer, err = g.ws.Init(ctx, workspace.InitOptions{Root: ca, Intermediate: ca, Intermediates: 1, Force: g.opts.Force})
		if err != nil {
			return err
		}
		g.say("certificates", "made a root and an intermediate in %s (%s, expires %s)", g.ws.Dir(), g.opts.KeyType, day(g.issuer.Certificate().NotAfter))
	}
	g.result.Workspace = g.ws.Dir()
	g.result.RootCertificate = g.ws.Paths(workspace.RootName).Cert
	if issuer := g.ws.DefaultCA(); issuer != workspace.RootName {
		g.result.IntermediateCertificate = g.ws.Paths(issuer).Cert
	}
	return nil
}

func (g *generation) prepareDevice(ctx context.Context) error {
	id := g.opts.RegistrationID
	paths := g.ws.Paths(id)
	_, err := g.ws.Lookup(id)
	if err == nil && !g.opts.Force {
		if g.device, err = g.ws.Bundle(id); err != nil {
			return err
		}
		if err := g.checkDevice(); err != nil {
			return err
		}
		g.say("device", "using the certificate of %q (expires %s)", id, day(g.device.Certificate.NotAfter))
	} else if err != nil && !errors.Is(err, workspace.ErrNotFound) {
		return err
	} else if g.plan != nil {
		return g.planDevice(pki.IssueRequest{Profile: pki.ProfileDevice, CommonName: id, KeyType: g.opts.KeyType, Validity: pki.Validity{Days: g.opts.Days}, Now: g.env.Now})
	} else {
		g.device, paths, err = g.ws.IssueDevice(ctx, workspace.DeviceOptions{
			ID: id, CA: g.ws.DefaultCA(), KeyType: g.opts.KeyType,
			Validity: pki.Validity{Days: g.opts.Days}, Force: g.opts.Force, Passphrase: g.caPassword, Now: g.env.Now,
		})
		if err != nil {
			return err
		}
		g.say("device", "made a certificate and a key for %q (expires %s)", id, day(g.device.Certificate.NotAfter))
	}
	g.result.DeviceCertificate, g.result.DeviceChain, g.result.DeviceKey = paths.Cert, paths.FullChain, paths.Key
	return nil
}

// checkDevice refuses a device certificate that the run could not register.
func (g *generation) checkDevice() error {
	cert, issuer := g.device.Certificate, g.issuer.Certificate()
	if err := cert.CheckSignatureFrom(issuer); err != nil {
		return cliapp.WithHint(cliapp.WithCode(
			fmt.Errorf("device %q in %q was not issued by %q", g.opts.RegistrationID, g.ws.Dir(), g.ws.DefaultCA()), cliapp.ExitConflict),
			"choose another --%s, another --%s, or make everything anew with --%s", flagRegistrationID, flagDir, flagForce)
	}
	if now := g.env.Now(); now.After(cert.NotAfter) {
		return cliapp.WithHint(fmt.Errorf("device certificate of %q expired on %s", g.opts.RegistrationID, day(cert.NotAfter)),
			"make everything anew with --%s", flagForce)
	}
	return nil
}
