package main

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"

	"github.com/rogpeppe/go-internal/testscript"
)

// webhook serves what a custom allocation calls. Its answer says the hub, and
// puts the identifier of the device into the payload.
func webhook(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: webhook HUB")
	}
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var asked struct {
			DeviceRuntimeContext struct {
				RegistrationID string `json:"registrationId"`
			} `json:"deviceRuntimeContext"`
		}
		if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		fmt.Fprintf(w, `{"iotHubHostName":%q,"payload":{"seen":%q}}`, args[0], asked.DeviceRuntimeContext.RegistrationID)
	}))
	ts.Defer(server.Close)
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	ts.Check(os.WriteFile(ts.MkAbs("webhook-ca.pem"), block, 0o600))
	ts.Setenv("WEBHOOK", server.URL)
}
