package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dpskit/dpskit/pkg/dps/emulator"
)

// TestMain lets the test binary be the program, which starts itself.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "-serve" {
		if err := run(context.Background(), os.Args[1:], os.Stdout, os.Stderr); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// load runs the program and returns its figures by name.
func load(t *testing.T, args ...string) (map[string]string, error) {
	t.Helper()
	var out, errs bytes.Buffer
	err := run(t.Context(), args, &out, &errs)
	figures := map[string]string{}
	for line := range strings.Lines(out.String()) {
		figures[strings.TrimSpace(line[:min(16, len(line))])] = strings.TrimSpace(line[min(16, len(line)):])
	}
	t.Logf("%s%s", &errs, &out)
	return figures, err
}

func TestLoad(t *testing.T) {
	for _, tt := range []struct {
		name    string
		args    []string
		answers string
	}{
		{"some at a time", []string{"-devices", "20", "-in-flight", "5", "-retry-after", "0"}, "200: 20, 202: 20"},
		{"all at once", []string{"-devices", "20", "-in-flight", "0", "-retry-after", "0"}, "200: 20, 202: 20"},
		{"over MQTT", []string{"-devices", "20", "-transport", "mqtt", "-in-flight", "5", "-retry-after", "0"}, "200: 20, 202: 20"},
		{"over WebSocket", []string{"-devices", "20", "-transport", "mqtt-ws", "-in-flight", "0", "-retry-after", "0"}, "200: 20, 202: 20"},
		{"over MQTT among idle connections", []string{"-devices", "5", "-transport", "mqtt", "-idle", "50", "-retry-after", "0"}, "200: 5, 202: 5"},
		{"in a file", []string{"-devices", "5", "-retry-after", "0", "-data", t.TempDir()}, "200: 5, 202: 5"},
		{"among idle connections", []string{"-devices", "5", "-idle", "50", "-retry-after", "0"}, "200: 5, 202: 5"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f, err := load(t, tt.args...)
			if err != nil {
				t.Fatal(err)
			}
			want := fmt.Sprintf("%s of %s", tt.args[1], tt.args[1])
			if f["assigned"] != want || f["failed"] != "0" || f["answers"] != tt.answers {
				t.Errorf("figures = %v, want %s assigned, answers %s", f, want, tt.answers)
			}
			for _, name := range []string{"total", "rate", "time p50", "time p99", "time max", "server", "client"} {
				if f[name] == "" {
					t.Errorf("no figure %q", name)
				}
			}
		})
	}
}

// TestConnect loads a running emulator twice, and one that assigns nobody.
func TestConnect(t *testing.T) {
	for _, tt := range []struct {
		name string
		hubs []string
		want string // in the error; "" for none
	}{
		{"with a hub", nil, ""},
		{"without hubs", []string{}, "4 of 4 devices went wrong"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e, err := emulator.Start(t.Context(), &emulator.Options{DataDir: t.TempDir(), RetryAfter: -1, Hubs: tt.hubs})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = e.Close() })
			ready, err := json.Marshal(e.Info())
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(t.TempDir(), "ready.json")
			if err := os.WriteFile(file, ready, 0o600); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				f, err := load(t, "-devices", "4", "-connect", file)
				if tt.want == "" && (err != nil || f["assigned"] != "4 of 4") || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want) || f["failed"] != "4") {
					t.Errorf("figures %v, error %v; want …%s…", f, err, tt.want)
				}
			}
		})
	}
}

func TestArguments(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty.json")
	if err := os.WriteFile(empty, []byte(`{"ca":"x"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for want, args := range map[string][]string{
		`unexpected argument "x"`:       {"x"},
		"0 devices":                     {"-devices", "0"},
		`transport "amqp"`:              {"-transport", "amqp"},
		"-1 in flight":                  {"-in-flight", "-1"},
		"-1 idle connections":           {"-idle", "-1"},
		"-data is for":                  {"-connect", "f", "-data", "d"},
		"flag provided but not defined": {"-fast"},
		"read ready file":               {"-connect", filepath.Join(t.TempDir(), "none")},
		"no certificate in it":          {"-connect", empty},
	} {
		if _, err := load(t, args...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want …%s…", args, err, want)
		}
	}
	if o, err := parse([]string{"-devices", "7", "-in-flight", "100"}, os.Stderr); err != nil || o.inFlight != 7 {
		t.Errorf("options = %+v, %v", o, err)
	}
}
