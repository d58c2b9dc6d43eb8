package workspace_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"testing"

	"github.com/dpskit/dpskit/pkg/pki"
	"github.com/dpskit/dpskit/pkg/pki/workspace"
)

// Variables that make this test binary a child process: it changes a workspace and, when asked, dies on the way.
const (
	envChild = "WORKSPACE_TEST_CHILD" // what to do
	envDir   = "WORKSPACE_TEST_DIR"
	envStep  = "WORKSPACE_TEST_STEP" // die before the n-th change of the file system; 0 for never
	envID    = "WORKSPACE_TEST_ID"
)

func TestMain(m *testing.M) {
	if scenario := os.Getenv(envChild); scenario != "" {
		if err := child(scenario, os.Getenv(envDir)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(runTests(m))
}

// templates is a folder for what several tests copy.
var templates string

func runTests(m *testing.M) int {
	var err error
	if templates, err = os.MkdirTemp("", "workspace-test-"); err != nil {
		panic(err)
	}
	defer os.RemoveAll(templates)
	return m.Run()
}

// child runs one scenario.
func child(scenario, dir string) error {
	limit, _ := strconv.Atoi(os.Getenv(envStep))
	n := 0
	w, err := workspace.OpenHooked(dir, func(string, string) error {
		if n++; n == limit {
			die()
		}
		return nil
	})
	if err != nil {
		return err
	}
	return scenarios[scenario](context.Background(), w)
}

// die ends the process as kill -9 does: nothing deferred runs and no file is flushed.
func die() {
	p, err := os.FindProcess(os.Getpid())
	if err == nil {
		err = p.Kill()
	}
	if err != nil {
		panic(err)
	}
	select {}
}

// scenarios are the changes that are killed. Keys are fixed where a scenario makes many, to be quick.
var scenarios = map[string]func(ctx context.Context, w *workspace.Workspace) error{
	"open": func(context.Context, *workspace.Workspace) error { return nil },
	"init": func(ctx context.Context, w *workspace.Workspace) error {
		_, _, err := w.Init(ctx, workspace.InitOptions{Intermediates: 1})
		return err
	},
	"init by force": func(ctx context.Context, w *workspace.Workspace) error {
		_, _, err := w.Init(ctx, workspace.InitOptions{Intermediates: 2, Force: true})
		return err
	},
	"device": func(ctx context.Context, w *workspace.Workspace) error {
		_, _, err := w.IssueDevice(ctx, workspace.DeviceOptions{ID: "new", PFX: &pki.PFXOptions{}})
		return err
	},
	"device by force": func(ctx context.Context, w *workspace.Workspace) error {
		_, _, err := w.IssueDevice(ctx, workspace.DeviceOptions{ID: "dev-1", PFX: &pki.PFXOptions{}, Force: true})
		return err
	},
	"verification": func(ctx context.Context, w *workspace.Workspace) error {
		_, _, err := w.IssueVerification(ctx, workspace.VerificationOptions{Code: "SECOND"})
		return err
	},
	"intermediate": func(ctx context.Context, w *workspace.Workspace) error {
		_, _, err := w.CreateIntermediate(ctx, workspace.IntermediateOptions{})
		return err
	},
	"renew": func(ctx context.Context, w *workspace.Workspace) error {
		_, _, err := w.Renew(ctx, workspace.RenewOptions{Name: "dev-1"})
		return err
	},
	"several": func(ctx context.Context, w *workspace.Workspace) error {
		for i := range 4 {
			id := fmt.Sprintf("%s-%d", os.Getenv(envID), i)
			if _, _, err := w.IssueDevice(ctx, workspace.DeviceOptions{ID: id}); err != nil {
				return err
			}
		}
		return nil
	},
}

// run starts a child process. It returns whether the process was killed, as opposed to having ended by itself.
func run(t *testing.T, scenario, dir string, step int, id string) (killed bool, err error) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), envChild+"="+scenario, envDir+"="+dir, envStep+"="+strconv.Itoa(step), envID+"="+id)
	out, err := cmd.CombinedOutput()
	if err != nil && len(out) == 0 && step > 0 {
		return true, nil
	}
	if err != nil {
		err = fmt.Errorf("%w: %s", err, out)
	}
	return false, err
}

// manifestEntries reads the manifest as any JSON program would.
func manifestEntries(t *testing.T, dir string) []workspace.Entry {
	t.Helper()
	data, err := os.ReadFile(dir + "/certgen.json")
	if err != nil {
		t.Fatal(err)
	}
	var m struct {
		Version int
		Entries []workspace.Entry
	}
	if err := json.Unmarshal(data, &m); err != nil || m.Version != 1 {
		t.Fatalf("version %d, %v", m.Version, err)
	}
	return m.Entries
}
