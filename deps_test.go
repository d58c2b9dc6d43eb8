package dpskit_test

import (
	"encoding/json"
	"io"
	"os/exec"
	"strings"
	"testing"
)

const module = "github.com/dpskit/dpskit"

// mayImport says which packages of this module (by folder, a prefix) a folder
// may import. The first row that fits a folder counts. Imports flow one way:
// cmd -> dps -> pki.
var mayImport = []struct {
	folder  string
	imports []string
}{
	{"pkg/pki/workspace", []string{"pkg/pki"}},
	{"pkg/pki/fleet", []string{"pkg/pki"}},
	{"pkg/pki/pkitest", []string{"pkg/pki"}},
	{"pkg/pki/doctor", []string{"pkg/pki"}},
	{"pkg/pki/fleet", []string{"pkg/pki"}},
	{"pkg/pki/internal", []string{"pkg/pki/internal"}},
	{"pkg/pki", []string{"pkg/pki/internal"}},
	{"pkg/dps/service", []string{"pkg/dps", "pkg/dps/internal"}},
	{"pkg/dps/arm", []string{"pkg/dps", "pkg/dps/internal"}},
	{"pkg/dps/device", []string{"pkg/dps", "pkg/dps/internal"}},
	{"pkg/dps/emulator", []string{"pkg/dps", "pkg/pki"}}, // and see TestEmulatorSharesNoWireTypes
	{"pkg/dps/enrollment", []string{"pkg/dps/service", "pkg/dps", "pkg/dps/internal", "pkg/pki"}},
	{"pkg/dps/bulk", []string{"pkg/dps/enrollment", "pkg/dps/service", "pkg/dps", "pkg/dps/internal", "pkg/pki"}},
	{"pkg/dps/desired", []string{"pkg/dps/enrollment", "pkg/dps/service", "pkg/dps/arm", "pkg/dps", "pkg/dps/internal", "pkg/pki"}},
	{"pkg/dps/rollout", []string{"pkg/dps/device", "pkg/dps", "pkg/dps/internal"}},
	{"pkg/dps/dpstest", []string{"pkg/dps/emulator", "pkg/dps", "pkg/pki"}},
	{"pkg/dps/internal/oneline", nil},
	{"pkg/dps/internal/tree", nil},
	{"pkg/dps/internal/yamltree", []string{"pkg/dps/internal/tree"}},
	{"pkg/dps/internal/document", []string{"pkg/dps/enrollment", "pkg/dps/service", "pkg/dps/internal/tree", "pkg/pki"}},
	{"pkg/dps/internal", []string{"pkg/dps/internal", "pkg/dps"}},
	{"pkg/dps", []string{"pkg/dps/internal/oneline"}},
	{"scripts/load", []string{"pkg/pki", "pkg/dps"}},
	{"cmd/internal", []string{"cmd/internal"}},
	{"cmd/certgen", []string{"cmd/internal", "pkg/pki"}},
	{"cmd/enroll", []string{"cmd/internal", "pkg/pki", "pkg/dps"}},
}

// onlyIn says in which folders a module of others may be imported.
var onlyIn = map[string][]string{
	"go.step.sm/crypto":                                     {"pkg/pki"},
	"software.sslmate.com/src":                              {"pkg/pki"},
	"github.com/urfave/cli":                                 {"cmd"},
	"golang.org/x/term":                                     {"cmd"},
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity":      {"cmd/enroll"},
	"github.com/Azure/azure-sdk-for-go/sdk/azcore":          {"pkg/dps", "cmd/enroll"},
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager": {"pkg/dps/arm"},
	"github.com/eclipse/paho.mqtt.golang":                   {"pkg/dps/device"},
	"github.com/gorilla/websocket":                          {"pkg/dps/device", "pkg/dps/emulator"},
	"go.etcd.io/bbolt":                                      {"pkg/dps/emulator"},
	"github.com/tidwall/btree":                              {"pkg/dps/emulator"},
	"go.yaml.in/yaml":                                       {"pkg/dps/internal/yamltree"},
	"github.com/gofrs/flock":                                {"pkg/pki/workspace", "pkg/pki/fleet", "pkg/dps/emulator", "pkg/dps/bulk", "pkg/dps/rollout"},
}

type listedPackage struct {
	ImportPath string
	Imports    []string
}

// TestImportsFlowOneWay holds the import graph (without tests) against the
// two tables above.
func TestImportsFlowOneWay(t *testing.T) {
	for _, p := range listPackages(t) {
		folder := strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
		for _, imported := range p.Imports {
			if own, ok := strings.CutPrefix(imported, module+"/"); ok {
				if !ownAllowed(folder, own) {
					t.Errorf("%s imports %s: not in its list", folder, own)
				}
				continue
			}
			for prefix, folders := range onlyIn {
				if within(imported, prefix) && !withinAny(folder, folders) {
					t.Errorf("%s imports %s: that belongs in %v only", folder, imported, folders)
				}
			}
		}
	}
}

// TestEmulatorSharesNoWireTypes is the rule that keeps a mistake in a client
// from hiding behind the same mistake in the emulator.
func TestEmulatorSharesNoWireTypes(t *testing.T) {
	for _, p := range listPackages(t) {
		if !within(p.ImportPath, module+"/pkg/dps/emulator") {
			continue
		}
		for _, imported := range p.Imports {
			for _, client := range []string{"service", "arm", "device"} {
				if within(imported, module+"/pkg/dps/"+client) {
					t.Errorf("%s imports %s", p.ImportPath, imported)
				}
			}
		}
	}
}

func listPackages(t *testing.T) []listedPackage {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var packages []listedPackage
	dec := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p listedPackage
		if err := dec.Decode(&p); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
	if len(packages) < 8 {
		t.Fatalf("go list found %d packages only", len(packages))
	}
	return packages
}

func ownAllowed(folder, imported string) bool {
	for _, rule := range mayImport {
		if within(folder, rule.folder) {
			return withinAny(imported, rule.imports)
		}
	}
	return false
}

func withinAny(path string, folders []string) bool {
	for _, f := range folders {
		if within(path, f) {
			return true
		}
	}
	return false
}

func within(path, folder string) bool {
	return path == folder || strings.HasPrefix(path, folder+"/")
}
