package foreign_test

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/dpskit/dpskit/pkg/dps/dpstest"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/foreign"
)

// recorder is a testing.TB that notes how a test ends instead of ending it.
type recorder struct {
	testing.TB

	fatal, skipped string
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.fatal = fmt.Sprintf(format, args...)
	panic(r)
}

func (r *recorder) Skipf(format string, args ...any) {
	r.skipped = fmt.Sprintf(format, args...)
	panic(r)
}

func recorded(t *testing.T, fn func(testing.TB)) *recorder {
	r := &recorder{TB: t}
	func() {
		defer func() { _ = recover() }()
		fn(r)
	}()
	return r
}

func TestScriptsThatFail(t *testing.T) {
	foreign.RequireNode(t, "")
	e := dpstest.Start(t)
	for script, want := range map[string]string{
		"never-settles.cjs": "ended without its report",
		"throws.cjs":        `step "compare" failed`,
		"not-there.cjs":     "not-there.cjs",
	} {
		r := recorded(t, func(tb testing.TB) { foreign.Node(tb, e, script, map[string]string{}, &struct{}{}) })
		if !strings.Contains(r.fatal, want) {
			t.Errorf("%s: %q, want …%s…", script, r.fatal, want)
		}
	}
}

// TestMissing: what is missing skips a test, or fails it where everything must be
// there.
func TestMissing(t *testing.T) {
	foreign.RequireNode(t, "")
	for name, tt := range map[string]struct {
		needs func(testing.TB)
		says  string
	}{
		"a package": {func(tb testing.TB) { foreign.RequireNode(tb, "no-such-package") }, "npm ci --ignore-scripts"},
		"a port":    {func(tb testing.TB) { foreign.LoopbackAddr(tb, "65536") }, "65536"},
		"node": {func(tb testing.TB) {
			tb.Setenv("PATH", "")
			foreign.RequireNode(tb, "")
		}, "node is not installed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(foreign.EnvRequire, "")
			if r := recorded(t, tt.needs); !strings.Contains(r.skipped, tt.says) || r.fatal != "" {
				t.Errorf("skipped with %q, failed with %q", r.skipped, r.fatal)
			}
			t.Setenv(foreign.EnvRequire, "1")
			if r := recorded(t, tt.needs); !strings.Contains(r.fatal, tt.says) || r.skipped != "" {
				t.Errorf("failed with %q, skipped with %q", r.fatal, r.skipped)
			}
		})
	}
}

func TestLoopbackAddr(t *testing.T) {
	addr := foreign.LoopbackAddr(t, "48443")
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if other := foreign.LoopbackAddr(t, "48443"); other == addr {
		t.Errorf("%s is given out while it is in use", addr)
	}
}
