package bulk_test

import (
	"strings"
	"testing"

	"github.com/dpskit/dpskit/pkg/dps/bulk"
)

func TestStateKnowsItsKeysFile(t *testing.T) {
	path := statePath(t)
	const content = "registrationId,primaryKey,secondaryKey\na,Y2FuYXJ5,Y2FuYXJ5\n"
	state := openState(t, path, "h")
	if state.WroteKeys([]byte(content)) {
		t.Error("a new state knows a file")
	}
	if err := state.WritesKeys([]byte(content)); err != nil {
		t.Fatal(err)
	}
	if err := state.Close(); err != nil {
		t.Fatal(err)
	}
	if err := state.WritesKeys([]byte("x")); err == nil {
		t.Error("a closed state takes a file")
	}
	if text := string(read1(t, path)); strings.Contains(text, "Y2FuYXJ5") {
		t.Errorf("the journal holds keys: %s", text)
	}
	for _, dryRun := range []bool{true, false} {
		state, err := bulk.OpenState(path, "h", &bulk.StateOptions{DryRun: dryRun})
		if err != nil {
			t.Fatal(err)
		}
		if !state.WroteKeys([]byte(content)) || state.WroteKeys([]byte(content+"b,x,y\n")) || state.WroteKeys(nil) {
			t.Error("the file is not told from others")
		}
		if err := state.Close(); err != nil {
			t.Fatal(err)
		}
	}
	fresh, err := bulk.OpenState(path, "h", &bulk.StateOptions{Restart: true})
	if err != nil {
		t.Fatal(err)
	}
	defer fresh.Close()
	if fresh.WroteKeys([]byte(content)) {
		t.Error("a restart forgets nothing")
	}
}
