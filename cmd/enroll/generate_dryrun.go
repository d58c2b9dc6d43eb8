package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/arm"
	"github.com/dpskit/dpskit/pkg/dps/device"
	"github.com/dpskit/dpskit/pkg/dps/emulator"
	"github.com/dpskit/dpskit/pkg/pki"
	"github.com/dpskit/dpskit/pkg/pki/workspace"
)

// generatePlan is the document that a dry run of --generate prints.
type generatePlan struct {
	DryRun   bool          `json:"dryRun"`
	Files    []plannedFile `json:"files"`
	Requests []requestView `json:"requests"`
}

// manifestName is the file by which a workspace knows what is in it.
const manifestName = "certgen.json"

// plannedFile is a file that would be written.
type plannedFile struct {
	Path string `json:"path"`
	What string `json:"what"`
}

// nowhere stands for the emulator that a dry run does not start: it has nothing
// that could be read.
type nowhere struct{}

func (nowhere) RoundTrip(req *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusNotFound, Header: http.Header{}, Request: req,
		Body: io.NopCloser(strings.NewReader(`{"errorCode":404000,"message":"nothing is there"}`))}, nil
}

// runGenerateDry says what the run would make and send. Certificates that are
// not there yet are made in memory, so that the requests are whole; a real run
// makes others.
func runGenerateDry(ctx context.Context, env *cliapp.Env, opts generateOptions) error {
	g := &generation{env: env, opts: opts, plan: &generatePlan{DryRun: true, Files: []plannedFile{}, Requests: []requestView{}}}
	g.opts.Connect.Output = cliapp.FormatJSON // requests are kept, and printed at the end
	var err error
	if g.ws, err = workspace.Open(opts.Dir); err != nil {
		return err
	}
	if opts.Connect.given() {
		_, err = g.open(ctx)
	} else {
		err = g.openNowhere()
	}
	if err != nil {
		return err
	}
	ctx, cancel := opts.Connect.withTimeout(ctx)
	defer cancel()
	steps := []func(context.Context) error{g.resolveService, g.foresee, g.prepareChain, g.prepareDevice, g.proveCA, g.ensureGroup, g.register}
	if !opts.Connect.given() {
		steps = steps[2:] // there is no service to ask
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return err
		}
	}
	if len(g.plan.Files) > 0 {
		g.wouldWrite(filepath.Join(g.ws.Dir(), manifestName), "the inventory of the folder")
	}
	return env.Print(opts.Output, g.plan.view())
}

// openNowhere is open for a run that would start an emulator.
func (g *generation) openNowhere() error {
	const host = "localhost"
	g.ep = &endpoint{host: host, emulator: true, opts: g.opts.Connect, now: g.env.Now, getenv: g.env.Getenv, connection: &dps.ConnectionString{
		HostName: host, SharedAccessKeyName: "provisioningserviceowner", SharedAccessKey: emulator.DevelopmentKey}}
	g.ep.dryRun = &dryRun{env: g.env, format: cliapp.FormatJSON, next: nowhere{}}
	g.ep.client = &http.Client{Transport: g.ep.dryRun}
	g.opts.DeviceHost = host
	g.result.IDScope = g.opts.IDScope
	fillEmpty(&g.result.IDScope, emulator.DefaultIDScope)
	g.say("DPS", "an emulator in this process would be started (no connection string was given)")
	return nil
}

func (g *generation) wouldWrite(path, what string) {
	g.plan.Files = append(g.plan.Files, plannedFile{path, what})
}

// planChain makes in memory what Init would write.
func (g *generation) planChain(ca pki.CAOptions) (err error) {
	if g.root, err = pki.NewRoot(&ca); err != nil {
		return err
	}
	if g.issuer, err = g.root.NewIntermediate(&ca); err != nil {
		return err
	}
	root, intermediate := g.ws.Paths(workspace.RootName), g.ws.Paths(workspace.IntermediateName)
	g.wouldWrite(root.Cert, "certificate of the root")
	g.wouldWrite(root.Key, "key of the root")
	g.wouldWrite(intermediate.Cert, "certificate of the intermediate")
	g.wouldWrite(intermediate.FullChain, "the intermediate and the root")
	g.wouldWrite(intermediate.Key, "key of the intermediate")
	g.wouldWrite(g.ws.ChainCAPath(), "the chain of CAs")
	return nil
}

// planDevice makes in memory what IssueDevice would write.
func (g *generation) planDevice(req pki.IssueRequest) (err error) {
	if g.device, err = g.issuer.Issue(req); err != nil {
		return err
	}
	paths := g.ws.Paths(req.CommonName)
	g.wouldWrite(paths.Cert, "certificate of the device")
	g.wouldWrite(paths.FullChain, "the device's certificate, the intermediate and the root")
	g.wouldWrite(paths.Key, "key of the device")
	return nil
}

// planProof is the proof of possession of the root, kept instead of sent.
func (g *generation) planProof(ctx context.Context, client *arm.Client) error {
	proof, err := g.ep.planProof(ctx, &client.CertificateClient, g.opts.CAName, g.root.Certificate(), g.opts.Force)
	switch {
	case err != nil:
		return hintForce(err)
	case proof.AlreadyVerified:
		g.say("CA", "%q is verified already", g.opts.CAName)
		return nil
	}
	paths := g.ws.Paths(workspace.VerificationName)
	g.wouldWrite(paths.Cert, "the certificate with the code")
	g.wouldWrite(paths.FullChain, "the same with the root")
	g.wouldWrite(paths.Key, "its key, which nobody needs afterwards")
	return nil
}

// planRegistration keeps the request by which the device registers.
func (g *generation) planRegistration(client *device.Client) error {
	var first registerDryRun
	if err := first.add(g.env, cliapp.FormatJSON, client, nil); err != nil {
		return err
	}
	g.plan.Requests = append(append(g.plan.Requests, g.ep.dryRun.requests...), first.requests...)
	return nil
}

func (p *generatePlan) view() cliapp.View {
	var b strings.Builder
	rows := [][]string{}
	if len(p.Files) > 0 {
		b.WriteString("Would write:\n")
	}
	tw := tabwriter.NewWriter(&b, 0, 8, 2, ' ', 0)
	for _, f := range p.Files {
		fmt.Fprintf(tw, "  %s\t%s\n", cliapp.Printable(f.Path), f.What)
		rows = append(rows, []string{"file", f.Path, f.What})
	}
	tw.Flush()
	b.WriteString("Would send:\n")
	for _, r := range p.Requests {
		b.WriteString(r.text())
		rows = append(rows, []string{"request", r.Method, r.URL})
	}
	return cliapp.View{Value: p, Rows: rows, Text: b.String()}
}
