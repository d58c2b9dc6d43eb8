package dpstest_test

import (
	"fmt"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/dpskit/dpskit/pkg/dps/dpstest"
	"github.com/dpskit/dpskit/pkg/dps/emulator"
)

func TestStart(t *testing.T) {
	var url string
	t.Run("inner", func(t *testing.T) {
		e := dpstest.Start(t, func(o *emulator.Options) { o.Name = "inner-dps" }, func(o *emulator.Options) { o.IDScope = "0ne0000000A" })
		if info := e.Info(); info.Name != "inner-dps" || info.IDScope != "0ne0000000A" {
			t.Errorf("options were not applied: %+v", info)
		}
		url = e.Info().HTTPS[0] + "/healthz"
		client := e.HTTPClient()
		defer client.CloseIdleConnections()
		resp, err := client.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Errorf("status %d", resp.StatusCode)
		}
	})
	if resp, err := http.Get(url); err == nil { //nolint:gosec // an address of this test
		resp.Body.Close()
		t.Error("emulator outlives its test")
	}
}

// recorder is a testing.TB that notes a failure instead of ending the test.
type recorder struct {
	testing.TB

	fatal string
}

func (r *recorder) Fatal(args ...any) {
	r.fatal = fmt.Sprint(args...)
	panic(r)
}

func TestStartFails(t *testing.T) {
	r := &recorder{TB: t}
	func() {
		defer func() { _ = recover() }()
		dpstest.Start(r, func(o *emulator.Options) { o.Name = "not a name" })
	}()
	if !strings.Contains(r.fatal, "not a name") {
		t.Errorf("Fatal was called with %q", r.fatal)
	}
}

func TestParallelInstances(t *testing.T) {
	seen := map[string]bool{}
	for range 10 {
		host := dpstest.Start(t).Info().HostName
		if seen[host] {
			t.Errorf("two emulators at %s", host)
		}
		seen[host] = true
	}
}

// TestDependencies keeps what the package costs its users, and the emulator
// apart from the clients that it tests.
func TestDependencies(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", ".").Output()
	if err != nil {
		t.Skipf("go list: %v", err)
	}
	allowed := []string{
		"github.com/dpskit/dpskit/pkg/dps", "github.com/dpskit/dpskit/pkg/pki",
		"github.com/dpskit/dpskit/pkg/dps/dpstest", "github.com/dpskit/dpskit/pkg/dps/emulator",
		"github.com/dpskit/dpskit/pkg/dps/emulator/fault",
		"github.com/dpskit/dpskit/pkg/dps/emulator/internal/...", "github.com/dpskit/dpskit/pkg/dps/internal/...",
		"github.com/gofrs/flock", "github.com/gorilla/websocket", "github.com/tidwall/btree", "go.etcd.io/bbolt/...", "go.step.sm/crypto/...",
		"software.sslmate.com/src/go-pkcs12/...", "github.com/pkg/errors", "golang.org/x/crypto/...", "golang.org/x/sys/...",
		"filippo.io/edwards25519/...",
	}
	for path := range strings.Lines(string(out)) {
		path = strings.TrimSpace(path)
		if path == "" {
			continue
		}
		ok := slices.ContainsFunc(allowed, func(a string) bool {
			prefix, wild := strings.CutSuffix(a, "/...")
			return path == prefix || wild && strings.HasPrefix(path, prefix+"/")
		})
		if !ok {
			t.Errorf("%s is not on the list of dependencies", path)
		}
	}
}
