package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/pki"
	"github.com/dpskit/dpskit/pkg/pki/workspace"
)

// result is the JSON document of every command that makes certificates, in the
// order in which it made them, and of list.
type result struct {
	Dir          string        `json:"dir"`               // as --dir gives it
	ChainCA      string        `json:"chainCa,omitempty"` // the CAs in one file, after a CA was made
	Certificates []certificate `json:"certificates"`
	Renewed      *bool         `json:"renewed,omitempty"` // of renew: false when there was nothing to do

	next []string // a command to try, for a person
}

// certificate is one certificate of a result.
type certificate struct {
	Name    string      `json:"name"`
	Profile pki.Profile `json:"profile"`
	certificateInfo
	Broken pki.Fault `json:"broken,omitempty"` // what is wrong with it on purpose
	Files  files     `json:"files"`
}

// files are the paths of what belongs to a certificate, below the folder as
// --dir gives it. A path is absent where there is no such file.
type files struct {
	Certificate string `json:"certificate,omitempty"`
	FullChain   string `json:"fullChain,omitempty"`
	Key         string `json:"key,omitempty"`
	PFX         string `json:"pfx,omitempty"`
	PFXPassword string `json:"pfxPassword,omitempty"`
}

func newFiles(dir string, f workspace.Files) files {
	join := func(name string) string {
		if name == "" {
			return ""
		}
		return filepath.Join(dir, filepath.FromSlash(name))
	}
	return files{
		Certificate: join(f.Certificate), FullChain: join(f.FullChain), Key: join(f.Key),
		PFX: join(f.PFX), PFXPassword: join(f.PFXPassword),
	}
}

// pairs are the paths as fields for a person.
func (f files) pairs() []string {
	return []string{
		"certificate", f.Certificate, "full chain", f.FullChain, "key", f.Key,
		"PFX", f.PFX, "PFX password", f.PFXPassword,
	}
}

func newCertificate(dir string, e workspace.Entry) certificate {
	return certificate{
		Name: e.Name, Profile: e.Profile, Broken: e.Broken, Files: newFiles(dir, e.Files),
		certificateInfo: certificateInfo{
			Subject: e.Subject, Issuer: e.Issuer, Serial: e.Serial,
			NotBefore: e.NotBefore, NotAfter: e.NotAfter, KeyType: string(e.KeyType),
			SHA1Thumbprint: e.SHA1Thumbprint, SHA256Thumbprint: e.SHA256Thumbprint,
		},
	}
}

// add appends what the workspace has under a name.
func (r *result) add(ws *workspace.Workspace, name string) (certificate, error) {
	e, err := ws.Lookup(name)
	if err != nil {
		return certificate{}, err
	}
	cert := newCertificate(ws.Dir(), e)
	r.Certificates = append(r.Certificates, cert)
	return cert, nil
}

// render writes the result for a person: what was made, where it is, until when
// it is good, and what to do next.
func (r *result) render(now time.Time) string {
	var p page
	for _, c := range r.Certificates {
		p.linef("%s", c.title())
		p.fields("  ", append(c.Files.pairs(),
			"broken", string(c.Broken), "subject", c.Subject, "issuer", c.issuer(), "key type", c.KeyType,
			"expires", fmt.Sprintf("%s (%s)", formatTime(c.NotAfter), remaining(c.NotAfter, now)),
			"SHA-1", c.SHA1Thumbprint, "SHA-256", c.SHA256Thumbprint)...)
	}
	if r.ChainCA != "" {
		p.fields("", "CA chain", r.ChainCA)
	}
	if len(r.next) > 0 {
		p.linef("next: %s", commandLine(r.next...))
	}
	return p.String()
}

// title names the certificate, and its role where the name does not tell it.
func (c certificate) title() string {
	if strings.HasPrefix(c.Name, string(c.Profile)) {
		return c.Name
	}
	return fmt.Sprintf("%s %s", c.Profile, c.Name)
}

// role is the profile, and what is wrong on purpose.
func (c certificate) role() string {
	if c.Broken == "" {
		return string(c.Profile)
	}
	return fmt.Sprintf("%s, broken: %s", c.Profile, c.Broken)
}

func (c certificate) issuer() string {
	if c.Issuer == c.Subject {
		return "itself"
	}
	return c.Issuer
}

// print writes the result to standard output as the options ask for.
func (r *result) print(env *cliapp.Env, opts commonOptions) error {
	return printResult(env, opts, r, r.render(env.Now()))
}

func printResult(env *cliapp.Env, opts commonOptions, document any, text string) error {
	if opts.Quiet && opts.Format == cliapp.FormatText {
		return nil
	}
	return env.Print(opts.Format, cliapp.View{Value: document, Text: text})
}

// notef tells a person something beside the result, unless they want silence.
func notef(env *cliapp.Env, opts commonOptions, format string, args ...any) {
	if !opts.Quiet {
		env.Notef(programName+": note: "+format, args...)
	}
}

// noteSlowKeys says beforehand what will take its time.
func noteSlowKeys(env *cliapp.Env, opts commonOptions, keyType pki.KeyType, n int) {
	if keyType == pki.KeyRSA3072 || keyType == pki.KeyRSA4096 {
		notef(env, opts, "making %d %s keys takes a few seconds", n, keyType)
	}
}

// nextCommand is a certgen command on the same folder.
func nextCommand(dir string, words ...string) []string {
	words = append([]string{programName}, words...)
	if dir != defaultDir {
		words = append(words, "--"+flagDir, dir)
	}
	return words
}
