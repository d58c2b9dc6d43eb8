package main

import (
	"encoding/json"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/dps/device"
	"github.com/dpskit/dpskit/pkg/dps/rollout"
)

// registerDryRun shows the first request of devices instead of sending it: at
// once, or all in one document if the output is JSON.
type registerDryRun struct{ requests []requestView }

func (d *registerDryRun) add(env *cliapp.Env, format cliapp.Format, client *device.Client, request *device.RegisterOptions) error {
	p, err := client.Preview(request)
	if err != nil {
		return err
	}
	view := requestView{Method: p.Method, URL: p.URL, Headers: p.Headers, Body: redactedBody(p.Body)}
	if format == cliapp.FormatJSON {
		d.requests = append(d.requests, view)
		return nil
	}
	first, body, _ := strings.Cut(view.text(), "\n")
	lines := []string{first}
	for _, name := range slices.Sorted(maps.Keys(p.Headers)) {
		if name != "Content-Type" {
			lines = append(lines, name+": "+p.Headers[name])
		}
	}
	_, err = io.WriteString(env.Out, strings.Join(lines, "\n")+"\n"+body)
	return err
}

func (d *registerDryRun) print(env *cliapp.Env, format cliapp.Format) error {
	if format != cliapp.FormatJSON {
		return nil
	}
	return env.Print(format, cliapp.View{Value: dryRunView{DryRun: true, Requests: d.requests}})
}

// dryRunMany shows the request of each device that would register.
func (o registerOptions) dryRunMany(env *cliapp.Env, source rollout.Source, client device.ClientOptions, report *rollout.Report) error {
	dry := registerDryRun{requests: []requestView{}}
	sent, earlier, left := 0, 0, 0
	for i := range source.Len() {
		if report.Assigned(i) {
			earlier++
			continue
		}
		cred, err := source.Credential(i)
		var c *device.Client
		if err == nil {
			c, err = device.NewClient(o.IDScope, source.ID(i), cred, &client)
		}
		if err != nil {
			env.Notef("%s: %v", source.ID(i), err)
			left++
			continue
		}
		if err := dry.add(env, o.Output, c, &device.RegisterOptions{Payload: json.RawMessage(o.Payload)}); err != nil {
			return err
		}
		sent++
	}
	if err := dry.print(env, o.Output); err != nil {
		return err
	}
	env.Notef("dry run: %s would register, %d would not, %d are assigned already; nothing was sent", plural(sent, "device"), left, earlier)
	return nil
}
