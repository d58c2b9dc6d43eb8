package dps_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/dpskit/dpskit/"

// TestDependencies keeps the clients apart from the emulator and the PKI, and
// this package free of everything but the standard library.
func TestDependencies(t *testing.T) {
	azure := []string{
		"github.com/Azure/azure-sdk-for-go/sdk/azcore",
		"github.com/Azure/azure-sdk-for-go/sdk/internal",
		"golang.org/x/net", "golang.org/x/text",
	}
	mqtt := []string{"github.com/eclipse/paho.mqtt.golang", "github.com/gorilla/websocket", "golang.org/x/sync"}
	own := []string{module + "pkg/dps/internal/oneline", module + "pkg/dps/internal/rest"}
	official := []string{
		"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/deviceprovisioningservices/armdeviceprovisioningservices",
		"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/iothub/armiothub",
	}
	for name, allowed := range map[string][]string{
		"pkg/dps":         {module + "pkg/dps/internal/oneline"},
		"pkg/dps/service": slices.Concat(azure, own, []string{module + "pkg/dps"}),
		"pkg/dps/device":  slices.Concat(azure, own, mqtt, []string{module + "pkg/dps"}),
		"pkg/dps/rollout": slices.Concat(azure, own, mqtt, []string{
			module + "pkg/dps", module + "pkg/dps/device", module + "pkg/dps/internal/hold", "github.com/gofrs/flock", "golang.org/x/sys"}),
		"pkg/dps/arm": slices.Concat(azure, own, official, []string{module + "pkg/dps"}),
	} {
		t.Run(name, func(t *testing.T) {
			out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", module+name).Output()
			if err != nil {
				t.Fatal(err)
			}
			found := 0
			for path := range strings.FieldsSeq(string(out)) {
				if path == module+name {
					found++
					continue
				}
				if !slices.ContainsFunc(allowed, func(a string) bool {
					return path == a || !strings.HasPrefix(a, module) && strings.HasPrefix(path, a+"/")
				}) {
					t.Errorf("imports %s", path)
				}
			}
			if found != 1 {
				t.Errorf("the list does not hold the package itself:\n%s", out)
			}
		})
	}
}
