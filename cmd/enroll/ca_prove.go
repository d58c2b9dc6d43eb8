package main

import (
	"context"
	"crypto/x509"
	"time"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/dps/arm"
	"github.com/dpskit/dpskit/pkg/pki"
)

func runCAProve(ctx context.Context, env *cliapp.Env, opts caOptions) error {
	if opts.Verified {
		return runCAUpload(ctx, env, opts)
	}
	if err := opts.Source.check(); err != nil {
		return err
	}
	ca, err := opts.Source.authority(ctx, env)
	if err != nil {
		return err
	}
	ep, client, err := connectCA(ctx, env, opts)
	if err != nil {
		return err
	}
	name := opts.Names[0]
	proof, err := client.Prove(ctx, name, ca.Certificate(), codeSigner(ca, env.Now), &arm.ProveOptions{
		Replace: opts.Force, Progress: func(step arm.ProveStep) { noteStep(env, name, ca, step) },
	})
	return ep.end(hintReplace(err), func() error {
		if proof.AlreadyVerified {
			env.Notef("CA certificate %q is verified already", name)
		}
		v := viewCA(proof.Certificate)
		v.Code = proof.Code
		return printCA(env, opts.Output, v)
	})
}

// codeSigner returns what signs verification codes.
func codeSigner(ca *pki.Authority, now func() time.Time) func(context.Context, string) (*x509.Certificate, error) {
	return func(_ context.Context, code string) (*x509.Certificate, error) {
		b, err := ca.Issue(pki.IssueRequest{Profile: pki.ProfileVerification, CommonName: code, Now: now})
		if err != nil {
			return nil, err
		}
		return b.Certificate, nil
	}
}

// noteStep says what is about to happen: each step is a request that may take
// its time, and the next run goes on after the last one that was done.
func noteStep(env *cliapp.Env, name string, ca *pki.Authority, step arm.ProveStep) {
	switch step {
	case arm.ProveLookUp:
		env.Notef("looking for CA certificate %q", name)
	case arm.ProveUpload:
		env.Notef("uploading %q", ca.Certificate().Subject)
	case arm.ProveCode:
		env.Notef("asking for a verification code")
	case arm.ProveSign:
		env.Notef("signing it with the key of the CA")
	case arm.ProveVerify:
		env.Notef("sending the proof")
	}
}
