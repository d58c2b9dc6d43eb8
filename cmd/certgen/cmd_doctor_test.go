package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/pki"
	"github.com/dpskit/dpskit/pkg/pki/doctor"
)

func TestDoctorFlags(t *testing.T) {
	same := func(want, got doctorOptions) {
		t.Helper()
		if d := cmp.Diff(want, got, cmp.AllowUnexported(doctorOptions{})); d != "" {
			t.Errorf("options (-want +got):\n%s", d)
		}
	}
	same(doctorOptions{commonOptions: textIn, What: []string{}}, parseOK(t, newDoctorCmd, "doctor"))
	same(doctorOptions{
		commonOptions: textIn, What: []string{"a", "b,c"}, Role: doctor.RoleIndividual, RegistrationID: "x", Enrolled: "e",
		CAs: []string{"r,1", "r2"}, At: testNow.Add(7 * 24 * time.Hour).UTC().Truncate(time.Second), PasswordFile: "-",
	}, parseOK(t, newDoctorCmd, "doctor", "a", "b,c", "--role", "individual", "--registration-id", "x", "--enrolled", "e", "--ca-cert", "r,1",
		"--ca-cert=r2", "--at", "7d", "--password-file", "-"))
	same(doctorOptions{commonOptions: textIn, What: []string{"-"}, Code: "C"}, parseOK(t, newDoctorCmd, "doctor", "-", "--code", "C"))
	for _, args := range [][]string{
		{"x", "--role", "leaf"}, {"x", "--at", "someday"}, {"-", "-"}, {"-", "--password-file", "-"}, {"--enrolled", "-", "--ca-cert", "-"},
		{"x", "--code", "C", "--role", "device"}, {"--registration-id", "x"}, {""}, strings.Split(strings.Repeat("x ", 100)+"x", " "),
	} {
		if _, code, stderr := parse(t, newDoctorCmd, append([]string{"doctor"}, args...)...); code != cliapp.ExitUsage || stderr == "" {
			t.Errorf("%q: exit code %d, stderr %q", args, code, stderr)
		}
	}
}

func TestBrokenFlag(t *testing.T) {
	for _, fault := range pki.AllFaults() {
		opts := parseOK(t, newDeviceCmd, "device", "a", "--broken", string(fault))
		if opts.Fault != fault || (opts.KeyType == "") != (fault == pki.FaultWeakKey) {
			t.Errorf("%s: got fault %q, key type %q", fault, opts.Fault, opts.KeyType)
		}
	}
	if opts := parseOK(t, newDeviceCmd, "device", "a", "--broken", "weak-key", "--key-type", "ec-p256"); opts.KeyType != pki.KeyECP256 {
		t.Errorf("key type %q", opts.KeyType)
	}
	if opts := parseOK(t, newDeviceCmd, "device", "a"); opts.Fault != "" {
		t.Errorf("fault %q", opts.Fault)
	}
	for _, args := range [][]string{{"--broken", "expired"}, {"--broken", "expired", "--count", "3"}} {
		if _, code, _ := parse(t, newDeviceCmd, append([]string{"device"}, args...)...); code != cliapp.ExitUsage {
			t.Errorf("%q: exit code %d", args, code)
		}
	}
	for _, args := range [][]string{
		{"--broken", "rusty"}, {"--broken", ""}, {"--broken", "wrong-issuer", "--self-signed"}, {"--broken", "expired", "--not-after", "9d"},
		{"--broken", "not-yet-valid", "--not-before", "1d"},
	} {
		if _, code, _ := parse(t, newDeviceCmd, append([]string{"device", "a"}, args...)...); code != cliapp.ExitUsage {
			t.Errorf("%q: exit code %d", args, code)
		}
	}
}

// doctorRun runs doctor on a folder of its own and returns its document.
func doctorRun(t *testing.T, env *cliapp.Env, opts doctorOptions) (doctorResult, error) {
	t.Helper()
	var out bytes.Buffer
	env.Out, env.Err = &out, &bytes.Buffer{}
	opts.Format = cliapp.FormatJSON
	err := runDoctor(t.Context(), env, opts)
	var doc doctorResult
	if out.Len() > 0 {
		if err := json.Unmarshal(out.Bytes(), &doc); err != nil {
			t.Fatal(err)
		}
	}
	return doc, err
}

// The document says the same as the report of the library.
func TestDoctorDocument(t *testing.T) {
	b, pfx := testBundle(t)
	file := filepath.Join(t.TempDir(), "dev.pfx")
	if err := os.WriteFile(file, pfx, 0o600); err != nil {
		t.Fatal(err)
	}
	env := &cliapp.Env{Now: time.Now, Getenv: func(name string) string { return map[string]string{envPFXPassword: "pw"}[name] }}
	doc, err := doctorRun(t, env, doctorOptions{commonOptions: commonOptions{Dir: t.TempDir()}, What: []string{file}, RegistrationID: "other"})
	if err == nil || len(doc.Reports) != 1 || doc.Fatal != 1 {
		t.Fatalf("got %+v, %v", doc, err)
	}
	source, err := doctor.Read(file, pfx, &doctor.ReadOptions{PFXPassword: func() ([]byte, error) { return []byte("pw"), nil }})
	if err != nil {
		t.Fatal(err)
	}
	got := doc.Reports[0]
	want := doctor.Check([]doctor.Source{source}, &doctor.Options{RegistrationID: "other", Now: func() time.Time { return got.Time }})
	if d := cmp.Diff(want, got.Report); d != "" {
		t.Errorf("report (-want +got):\n%s", d)
	}
	if got.Certificate.SHA1Thumbprint != pki.SHA1Thumbprint(b.Certificate) || got.Name != "" || !cmp.Equal(got.Files, []string{file}) {
		t.Errorf("got %+v", got)
	}
}

// A prompt that is interrupted ends the run; without a terminal a PFX needs its password.
func TestDoctorPassword(t *testing.T) {
	_, pfx := testBundle(t)
	file := filepath.Join(t.TempDir(), "dev.pfx")
	if err := os.WriteFile(file, pfx, 0o600); err != nil {
		t.Fatal(err)
	}
	opts := doctorOptions{commonOptions: commonOptions{Dir: t.TempDir()}, What: []string{file}}
	none := func(string) string { return "" }
	if _, err := doctorRun(t, &cliapp.Env{Now: time.Now, Getenv: none}, opts); !errors.Is(err, pki.ErrPassphraseRequired) {
		t.Errorf("no password: got %v", err)
	}
	asked := 0
	env := &cliapp.Env{Now: time.Now, Getenv: none, InTTY: true, ReadPassword: func() ([]byte, error) {
		asked++
		return []byte("pw"), nil
	}}
	if doc, err := doctorRun(t, env, opts); err != nil || doc.Fatal != 0 || asked != 1 {
		t.Errorf("prompt: got %+v, %v, asked %d times", doc, err, asked)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c := clinic{env: env, opts: opts}
	if _, err := c.examine(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupt: got %v", err)
	}
}

// An entry that is broken on purpose is never called sound.
func TestVerdictOfBroken(t *testing.T) {
	r := doctorReport{Broken: pki.FaultExpired, Report: &doctor.Report{}}
	if got := r.verdict(); !strings.Contains(got, "broken on purpose") || strings.Contains(got, "nothing wrong") {
		t.Errorf("verdict = %q", got)
	}
}
