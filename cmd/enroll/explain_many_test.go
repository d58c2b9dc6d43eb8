package main

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/device"
	"github.com/dpskit/dpskit/pkg/dps/rollout"
	"github.com/dpskit/dpskit/pkg/pki"
	"github.com/dpskit/dpskit/pkg/pki/workspace"
)

// TestExplainMany gives the answers of the service, which has no info to offer,
// to devices of a workspace.
func TestExplainMany(t *testing.T) {
	dir := t.TempDir()
	ws, err := workspace.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := ws.Init(t.Context(), workspace.InitOptions{Intermediates: 1}); err != nil {
		t.Fatal(err)
	}
	for id, fault := range map[string]pki.Fault{"good": "", "short": pki.FaultNoIntermediate} {
		o := workspace.IssueOptions{Request: pki.IssueRequest{Profile: pki.ProfileDevice, CommonName: id}, Fault: fault}
		if _, _, err := ws.Issue(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	folder, err := openDevices(dir, func() ([]byte, error) { return nil, pki.ErrPassphraseRequired }, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer folder.close()
	unknown := error(&dps.Error{Op: "register", StatusCode: 401, Code: 401002, Message: "CA certificate not found."})
	marked := error(&dps.Error{Op: "register", StatusCode: 401, Code: 401002, Message: "no", Info: map[string]string{"rule": "r"}})
	lost := error(&dps.Error{Op: "register", Err: errors.New("reset")})
	disabled := error(&device.RegistrationError{Op: "register", Status: "disabled"})
	r := refusedDevices{folder: folder, now: time.Now}
	keyed := refusedDevices{now: time.Now}
	for name, tt := range map[string]struct {
		r    refusedDevices
		i    int
		err  error
		want string // in the reason; "" for none
	}{
		"an intermediate is missing": {r, 1, unknown, "missing from the chain"},
		"nothing wrong":              {r, 0, unknown, ""},
		"the emulator knows":         {r, 0, marked, `the emulator's rule is "r"`},
		"not about certificates":     {r, 1, lost, ""},
		"disabled":                   {r, 1, disabled, ""},
		"a key":                      {keyed, 0, unknown, ""},
	} {
		if got := tt.r.reason(tt.i, tt.err); tt.want == "" && got != "" || !strings.Contains(got, tt.want) || strings.Contains(got, "\n") {
			t.Errorf("%s: got %q, want …%s…", name, got, tt.want)
		}
	}

	reason := func(status rollout.Status, i, count int, err error) rollout.Reason {
		return rollout.Reason{Status: status, Code: 401002, Text: fmt.Sprint(err), Count: count, IDs: []string{folder.ID(i)}, Index: i, Err: err}
	}
	for name, tt := range map[string]struct {
		s    rollout.Summary
		code int
		says []string
	}{
		"all refused": {rollout.Summary{Devices: 3, Failed: 3, Reasons: []rollout.Reason{reason(rollout.Failed, 1, 3, unknown)}}, cliapp.ExitRefused,
			[]string{"3 devices failed (short, …): 401002 ", "3 of 3 devices failed; see r.csv", "hint: short: the certificate of the issuer", "hint: short: to fix it"}},
		"some refused": {rollout.Summary{Devices: 3, Assigned: 2, Failed: 1, Reasons: []rollout.Reason{reason(rollout.Failed, 0, 1, unknown)}}, cliapp.ExitPartial,
			[]string{"1 device failed (good): 401002 ", "hint: good: ", "enroll ca list"}},
		"two reasons, one code": {rollout.Summary{Devices: 2, Failed: 2, Reasons: []rollout.Reason{reason(rollout.Failed, 0, 1, unknown), reason(rollout.Disabled, 1, 1, disabled)}}, cliapp.ExitRefused,
			[]string{"hint: good: ", "hint: short: "}},
		"two codes":      {rollout.Summary{Devices: 2, Failed: 2, Reasons: []rollout.Reason{reason(rollout.Failed, 0, 1, unknown), reason(rollout.Failed, 1, 1, lost)}}, cliapp.ExitPartial, nil},
		"nobody answers": {rollout.Summary{Devices: 2, Failed: 2, Reasons: []rollout.Reason{reason(rollout.Failed, 0, 2, lost)}}, cliapp.ExitUnavailable, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var notes bytes.Buffer
			err := r.failed(&cliapp.Env{Err: &notes}, "r.csv", &tt.s)
			code, text := shown(t, err)
			text = notes.String() + text
			if code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			for _, s := range tt.says {
				if !strings.Contains(text, s) {
					t.Errorf("nobody says %q", s)
				}
			}
			if t.Failed() {
				t.Log(text)
			}
		})
	}
}
