package dpstest_test

import (
	"net/http"
	"testing"

	"github.com/dpskit/dpskit/pkg/dps/dpstest"
)

// In a test one line is enough; the emulator ends with the test.
func ExampleStart() {
	_ = func(t *testing.T) { // func TestSomething(t *testing.T)
		e := dpstest.Start(t)

		client := e.HTTPClient()
		defer client.CloseIdleConnections()
		resp, err := client.Get("https://" + e.Info().HostName + "/readyz")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Errorf("got %s", resp.Status)
		}
	}
	// Output:
}
