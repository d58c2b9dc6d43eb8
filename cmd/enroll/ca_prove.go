package main

import (
	"bytes"
	"context"
	"crypto/x509"
	"net/http"
	"time"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/dps/arm"
	"github.com/dpskit/dpskit/pkg/pki"
)

func runCAProve(ctx context.Context, env *cliapp.Env, opts caOptions) error {
	if err := opts.Source.check(); err != nil {
		return err
	}
	if opts.Verified {
		cert, err := opts.Source.certificate(ctx, env)
		if err == nil {
			err = validNow(cert, env.Now())
		}
		if err != nil {
			return err
		}
		return uploadCA(ctx, env, opts, cert)
	}
	ca, err := opts.Source.owned(ctx, env)
	if err != nil {
		return err
	}
	ep, client, err := connectCA(ctx, env, opts)
	if err != nil {
		return err
	}
	name := opts.Names[0]
	if ep.dryRun != nil {
		proof, err := ep.planProof(ctx, client, name, ca.cert, opts.Force)
		return ep.end(hintReplace(err), func() error { return printCA(env, opts.Output, viewCA(proof.Certificate)) })
	}
	proof, err := client.Prove(ctx, name, ca.cert, codeSigner(ca, env.Now), &arm.ProveOptions{
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
func codeSigner(ca ownedCA, now func() time.Time) func(context.Context, string) (*x509.Certificate, error) {
	return func(_ context.Context, code string) (*x509.Certificate, error) {
		b, err := pki.SignVerification(ca.cert, ca.key, code, now)
		if err != nil {
			return nil, err
		}
		return b.Certificate, nil
	}
}

// noteStep says what is about to happen: each step is a request that may take
// its time, and the next run goes on after the last one that was done.
func noteStep(env *cliapp.Env, name string, ca ownedCA, step arm.ProveStep) {
	switch step {
	case arm.ProveLookUp:
		env.Notef("looking for CA certificate %q", name)
	case arm.ProveUpload:
		env.Notef("uploading %q", ca.cert.Subject)
	case arm.ProveCode:
		env.Notef("asking for a verification code")
	case arm.ProveSign:
		env.Notef("signing it with the key of the CA")
	case arm.ProveVerify:
		env.Notef("sending the proof")
	}
}

// planProof is Prove of a dry run, which keeps all its requests. Those after the
// first depend on the answer to the one before: they are made with what stands
// for it.
func (ep *endpoint) planProof(ctx context.Context, client *arm.CertificateClient, name string, ca *x509.Certificate, replace bool) (arm.ProveResult, error) {
	sent := len(ep.dryRun.requests)
	never := func(context.Context, string) (*x509.Certificate, error) { return ca, nil }
	proof, err := client.Prove(ctx, name, ca, never, &arm.ProveOptions{Replace: replace})
	if err = ep.finish(err); err != nil || len(ep.dryRun.requests) == sent {
		return proof, err // refused, or verified already
	}
	return proof, ep.planCode(ctx, client, name, ca, ep.dryRun.requests[sent].Method == http.MethodPut)
}

// planCode keeps the requests that follow an upload: for the code, unless that
// is kept already, and with the proof.
func (ep *endpoint) planCode(ctx context.Context, client *arm.CertificateClient, name string, ca *x509.Certificate, code bool) error {
	const etag = "ETAG-OF-THE-ANSWER-BEFORE"
	if code {
		if _, _, err := client.GenerateCode(ctx, name, etag); ep.finish(err) != nil {
			return err
		}
	}
	ep.dryRun.body = map[string]any{"certificate": "(made when the code is known: it carries the code and is signed by the CA)"}
	_, err := client.VerifyCertificate(ctx, name, ca, etag)
	return ep.finish(err)
}

func runCAVerify(ctx context.Context, env *cliapp.Env, opts caOptions) error {
	certs, err := readCertificates(flagCert, opts.Source.Cert)
	if err != nil {
		return err
	}
	if err := mayProve(opts.Source.Cert, certs[0]); err != nil {
		return err
	}
	ep, client, err := connectCA(ctx, env, opts)
	if err != nil {
		return err
	}
	verified, err := client.VerifyCertificate(ctx, opts.Names[0], certs[0], "")
	return ep.end(err, func() error { return printCA(env, opts.Output, viewCA(verified)) })
}

// mayProve refuses the CA itself where the certificate that it signed is meant.
func mayProve(file string, cert *x509.Certificate) error {
	own := bytes.Equal(cert.RawIssuer, cert.RawSubject)
	if !own && !(cert.BasicConstraintsValid && cert.IsCA) {
		return nil
	}
	err := cliapp.Usagef("%q is a CA (subject %q), not the verification certificate that it signs", file, cert.Subject)
	return cliapp.WithHint(err, "'certgen verification CODE' signs the code of 'enroll ca code NAME'; 'enroll ca prove NAME' does all of it")
}
