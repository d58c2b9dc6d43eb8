package workspace_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dpskit/dpskit/pkg/pki/workspace"
)

// A process that is killed before any of its changes of the file system leaves the state before or after, never a
// mix, and the next command works. What such a process leaves is what the folder holds at that moment, so one run
// gives every state; [TestKill] kills real processes.
func TestKillAnywhere(t *testing.T) {
	for _, tt := range []struct {
		scenario string
		fresh    bool // starts from nothing
		stride   int  // every step, or every n-th where the steps are those of another scenario
	}{
		{"init", true, 1}, {"init by force", false, 3}, {"device", false, 1}, {"device by force", false, 2},
		{"verification", false, 3}, {"intermediate", false, 3}, {"renew", false, 3},
	} {
		t.Run(tt.scenario, func(t *testing.T) {
			t.Parallel()
			before := filepath.Join(t.TempDir(), "before")
			if !tt.fresh {
				before = ready(t).Dir()
			}
			killEverywhere(t, tt.scenario, before, tt.stride*shortened())
		})
	}
}

// The same with processes that end themselves by kill -9.
func TestKill(t *testing.T) {
	for scenario, steps := range map[string][]int{"device by force": {4, 25}, "init by force": {30}} {
		t.Run(scenario, func(t *testing.T) {
			t.Parallel()
			before := ready(t).Dir()
			old := names(open(t, before))
			for _, step := range steps {
				dir := copyDir(t, before)
				killed, err := run(t, scenario, dir, step, "")
				if err != nil || !killed {
					t.Fatalf("step %d: killed %t, %v", step, killed, err)
				}
				afterKill(t, dir, before, old)
			}
		})
	}
}

// shortened is by how much more the steps are thinned out with -short.
func shortened() int {
	if testing.Short() {
		return 4
	}
	return 1
}

// states makes a change in a folder and returns copies of the folder from before every n-th of its steps, with the
// numbers of these steps.
func states(t *testing.T, scenario, dir string, stride int) (copies []string, steps []int) {
	t.Helper()
	n := 0
	w, err := workspace.OpenHooked(dir, func(string, string) error {
		if n++; (n-1)%stride == 0 {
			copies, steps = append(copies, copyDir(t, dir)), append(steps, n)
		}
		return nil
	})
	if err == nil {
		err = scenarios[scenario](t.Context(), w)
	}
	if err != nil {
		t.Fatal(err)
	}
	return copies, steps
}

func killEverywhere(t *testing.T, scenario, before string, stride int) {
	t.Helper()
	old := names(open(t, before))
	done := copyDir(t, before)
	copies, steps := states(t, scenario, done, stride)
	var sawOld, sawNew int
	for i, dir := range append(copies, done) {
		step := append(steps, 0)[i]
		for _, dir := range recoverKilled(t, dir, step) {
			isNew := afterKill(t, dir, before, old)
			switch {
			case isNew:
				sawNew++
			case sawNew > 0:
				t.Errorf("killed at step %d: the old state, after a kill at an earlier step gave the new one", step)
			default:
				sawOld++
			}
			if dir == done && !isNew {
				t.Error("the change ended without an error and without an effect")
			}
			if t.Failed() {
				t.Fatalf("killed before step %d", step)
			}
		}
	}
	if sawOld == 0 || sawNew == 0 {
		t.Errorf("%d kills before and %d after the point of no return, want some of both", sawOld, sawNew)
	}
	t.Logf("%d kills gave the old state, %d the new one", sawOld, sawNew)
}

// recoverKilled kills the recovery as well, when there is one, and returns what there is then, too.
func recoverKilled(t *testing.T, dir string, step int) []string {
	t.Helper()
	if _, err := os.Lstat(filepath.Join(dir, ".certgen.journal")); err != nil || step%5 != 0 { // they differ by one rename
		return []string{dir}
	}
	copies, _ := states(t, "open", copyDir(t, dir), 3)
	return append([]string{dir}, copies...)
}

// afterKill checks a workspace after a kill and reports whether the change is in it.
func afterKill(t *testing.T, dir, before string, old map[string]string) bool {
	t.Helper()
	w := open(t, dir)
	consistent(t, w)
	isNew := !maps.Equal(names(w), old)
	files, want := snapshot(t, dir), snapshotIfAny(t, before)
	if !isNew {
		for _, name := range leftovers(files) {
			delete(files, name) // temporary files of the dead process, which the next change removes
		}
		if diff := cmp.Diff(want, files); diff != "" {
			t.Errorf("the old state has changed files (-want +got):\n%s", diff)
		}
	} else {
		keptOld(t, files, want)
	}
	if w.Exists() {
		device(t, w, "afterwards")
	} else if _, _, err := w.Init(t.Context(), workspace.InitOptions{}); err != nil {
		t.Errorf("init after a kill: %v", err)
	}
	if left := leftovers(snapshot(t, dir)); len(left) > 0 {
		t.Errorf("the next change leaves %q", left)
	}
	return isNew
}

// keptOld checks that no old file is lost: it is where it was or in the replaced folder. Only what is made anew from
// others, and proofs of possession, may be gone.
func keptOld(t *testing.T, files, want map[string]string) {
	t.Helper()
	var kept []string
	for name, content := range files {
		if strings.HasPrefix(name, "replaced/") {
			kept = append(kept, content)
		}
	}
	for name, content := range want {
		if files[name] == content || slices.Contains(kept, content) || name == "certgen.json" ||
			strings.Contains(name, "verification-code") || strings.Contains(name, "chain.ca") {
			continue
		}
		t.Errorf("%s is lost", name)
	}
}

func snapshotIfAny(t *testing.T, dir string) map[string]string {
	t.Helper()
	if _, err := os.Stat(dir); err != nil {
		return map[string]string{}
	}
	return snapshot(t, dir)
}

func names(w *workspace.Workspace) map[string]string {
	out := map[string]string{}
	for _, e := range w.Entries() {
		out[e.Name] = e.SHA256Thumbprint
	}
	return out
}

// copyDir copies a folder, or nothing when it does not exist.
func copyDir(t *testing.T, from string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "pki")
	if _, err := os.Stat(from); err != nil {
		return to
	}
	copyTree(t, from, to)
	return to
}

// A change that fails at any call leaves what was there, and says which file it was.
func TestFailAnywhere(t *testing.T) {
	before := ready(t).Dir()
	old := names(open(t, before))
	for _, tt := range []struct {
		scenario string
		lasting  bool // every call after the first that fails, as on a full disk
	}{
		{"init by force", false}, {"device", true}, {"device by force", false}, {"verification", true}, {"renew", false},
	} {
		t.Run(fmt.Sprintf("%s, lasting %t", tt.scenario, tt.lasting), func(t *testing.T) {
			t.Parallel()
			for step := 1; failAt(t, tt.scenario, before, old, step, tt.lasting); step += 2 * shortened() {
				if t.Failed() {
					t.Fatalf("failed at step %d", step)
				}
			}
		})
	}
}

// failAt lets one call fail, or all from there on, and reports whether the change got that far.
func failAt(t *testing.T, scenario, before string, old map[string]string, step int, lasting bool) bool {
	t.Helper()
	dir := copyDir(t, before)
	n, failed := 0, ""
	w, err := workspace.OpenHooked(dir, func(op, name string) error {
		n++
		if n < step || op == "remove" || n > step && !lasting {
			return nil
		}
		failed = name
		return fmt.Errorf("no space left on device")
	})
	if err != nil {
		t.Fatal(err)
	}
	err = scenarios[scenario](t.Context(), w)
	if failed == "" {
		if err != nil {
			t.Errorf("nothing failed: %v", err)
		}
		return n >= step // the step was a removal, which does not fail here
	}
	if err == nil || !strings.Contains(err.Error(), "no space left on device") {
		t.Errorf("step %d on %s failed: got %v", step, failed, err)
	} else if !strings.Contains(err.Error(), dir) || strings.Contains(err.Error(), "\n") {
		t.Errorf("the error does not name the file in one line: %v", err)
	}
	_, journalErr := os.Lstat(filepath.Join(dir, ".certgen.journal"))
	if journalErr != nil && maps.Equal(names(open(t, dir)), old) {
		if diff := cmp.Diff(snapshot(t, before), snapshot(t, dir)); diff != "" {
			t.Errorf("step %d on %s failed, and files are changed (-want +got):\n%s", step, failed, diff)
		}
	}
	afterKill(t, dir, before, old)
	return true
}
