package main

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/dps/desired"
	"github.com/dpskit/dpskit/pkg/pki"
)

const (
	flagFile  = "file"
	flagPlan  = "plan"
	flagPrune = "prune"
)

// maxDocument bounds a desired state; one of a thousand enrollments has some
// hundred kilobytes.
const maxDocument = 16 << 20

// applyOptions is what the apply command was asked for.
type applyOptions struct {
	Connect     connectOptions
	File        string
	Plan, Prune bool
	Yes         bool
	KeyPassword cliapp.SecretSource
	Output      cliapp.Format
}

func newApplyCmd(env *cliapp.Env, run func(context.Context, *cliapp.Env, applyOptions) error) *cli.Command {
	return &cli.Command{
		Name: "apply", Usage: "bring CAs, groups and enrollments to the state that a file describes", Before: cliapp.NoArgs,
		Description: "The file is YAML or JSON with the names of the service API. Certificates and keys are named by\n" +
			"path, relative to the file:\n\n" +
			"   certificates:\n" +
			"     - name: my-root\n" +
			"       certificateFile: pki/certs/azure-iot-test-only.root.ca.cert.pem\n" +
			"       keyFile: pki/private/azure-iot-test-only.root.ca.key.pem   # or isVerified: true\n" +
			"   enrollmentGroups:\n" +
			"     - enrollmentGroupId: line-1\n" +
			"       attestation: {x509: {signingCertificates: {primary: {certificateFile: line-1.pem}}}}\n" +
			"       initialTwin: {tags: {site: north}}\n" +
			"   enrollments:\n" +
			"     - registrationId: pump-7\n" +
			"       attestation: {symmetricKey: {}}\n\n" +
			"What is listed becomes what its entry says; a setting that the entry leaves out is removed. What is\n" +
			"not listed stays, unless --" + flagPrune + " deletes it (of the kinds that the file has a section for; to\n" +
			"delete all of a kind, its section must be []). The differences are shown first, and nothing is written\n" +
			"without a yes. A second run finds no changes.\n\n" +
			"   enroll apply -f dps.yaml --plan\n" +
			"   enroll apply -f dps.yaml\n" +
			"   enroll apply -f dps.yaml --prune --yes",
		Flags: flags([]cli.Flag{
			&cli.StringFlag{Name: flagFile, Aliases: []string{"f"}, Usage: "the desired state: `FILE` in YAML or JSON (- is standard input)"},
			&cli.BoolFlag{Name: flagPlan, Usage: "show the differences and change nothing"},
			&cli.BoolFlag{Name: flagPrune, Usage: "delete what the file does not list, of the kinds that it has a section for"},
			yesFlag(), dryRunFlag(), keyPasswordFlag(),
			cliapp.OutputFlag(cliapp.FormatText, cliapp.FormatText, cliapp.FormatJSON, cliapp.FormatTSV),
		}, timedConnectionFlags(defaultTimeout, "give up on a request, with its repetitions, after `DURATION`"), armFlags(), cliapp.LogFlags()),
		Action: func(c *cli.Context) error {
			opts := applyOptions{
				Connect: connectOptionsFrom(c, env), File: c.String(flagFile), Plan: c.Bool(flagPlan), Prune: c.Bool(flagPrune),
				Yes: c.Bool(flagYes), KeyPassword: keyPassword(c), Output: env.OutputFormat(c),
			}
			if opts.File == "" {
				return cliapp.Usagef("give --%s FILE", flagFile)
			}
			return run(c.Context, env, opts) // each request has its own time, see applyTarget
		},
	}
}

// parseDocument reads the desired state and shows everything that is wrong in
// it. Nothing is sent.
func parseDocument(env *cliapp.Env, opts applyOptions) (*desired.Document, error) {
	data, err := opts.read(env)
	if err != nil {
		return nil, err
	}
	doc, err := desired.Parse(data, &desired.ParseOptions{
		Format: documentFormat(opts.File, data), Files: filesBeside(opts.File),
		Key: func(_ string, content []byte) (crypto.Signer, error) {
			return parseKeyWith(env, content, opts.KeyPassword)
		},
	})
	var problems desired.Problems
	if !errors.As(err, &problems) {
		return doc, err
	}
	fixes := map[string]bool{}
	for i, p := range problems {
		if i == maxShown {
			env.Notef("… and more")
			break
		}
		line := opts.File + ":" + p.Error()
		if p.Fix != "" && !fixes[p.Fix] {
			fixes[p.Fix] = true
			line += " (" + p.Fix + ")"
		}
		env.Notef("%s", line)
	}
	return nil, cliapp.WithCode(fmt.Errorf("read %q: %s; nothing was sent", opts.File, plural(len(problems), "problem")), cliapp.ExitUsage)
}

func (o applyOptions) read(env *cliapp.Env) ([]byte, error) {
	if o.File != "-" {
		return readBounded(o.File, maxDocument)
	}
	data, err := io.ReadAll(io.LimitReader(env.In, maxDocument+1))
	if err == nil && len(data) > maxDocument {
		err = fmt.Errorf("standard input is larger than %d bytes", maxDocument)
	}
	return data, err
}

// documentFormat is JSON where the name or the text says so.
func documentFormat(file string, data []byte) desired.Format {
	switch strings.ToLower(filepath.Ext(file)) {
	case ".json":
		return desired.JSON
	case ".yaml", ".yml":
		return desired.YAML
	}
	text := strings.TrimSpace(strings.TrimPrefix(string(data[:min(len(data), 512)]), "\ufeff"))
	if strings.HasPrefix(text, `{`) && strings.HasPrefix(strings.TrimSpace(text[1:]), `"`) {
		return desired.JSON
	}
	return desired.YAML
}

// parseKeyWith reads a private key; the pass phrase is asked for only when the
// key is encrypted.
func parseKeyWith(env *cliapp.Env, content []byte, password cliapp.SecretSource) (crypto.Signer, error) {
	key, err := pki.ParseKey(content, nil)
	if !errors.Is(err, pki.ErrPassphraseRequired) {
		return key, err
	}
	secret, secretErr := env.Secret(password)
	if errors.Is(secretErr, cliapp.ErrNoSecret) {
		return nil, err
	}
	if secretErr != nil {
		return nil, secretErr
	}
	return pki.ParseKey(content, secret)
}
