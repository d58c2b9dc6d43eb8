package emulator_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"strings"

	"github.com/dpskit/dpskit/pkg/dps/emulator"
)

// A program that brings its own provisioning service. Clients of the planes
// need three things: the address, a credential and the CA.
func ExampleStart() {
	e, err := emulator.Start(context.Background(), &emulator.Options{Name: "my-dps"})
	if err != nil {
		log.Fatal(err)
	}
	defer e.Close()

	info := e.Info()
	client := e.HTTPClient() // trusts the emulator's CA
	defer client.CloseIdleConnections()

	url := "https://" + info.HostName + "/enrollmentGroups/fleet?api-version=2021-10-01"
	body := `{"enrollmentGroupId":"fleet","attestation":{"type":"symmetricKey"}}`
	req, err := http.NewRequest(http.MethodPut, url, strings.NewReader(body))
	if err != nil {
		log.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+info.Token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	var group struct {
		ID     string `json:"enrollmentGroupId"`
		Status string `json:"provisioningStatus"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&group); err != nil {
		log.Fatal(err)
	}
	fmt.Println(resp.Status, group.ID, group.Status)
	fmt.Println(info.Name, info.IDScope)
	// Output:
	// 200 OK fleet enabled
	// my-dps 0ne00C0FFEE
}

// The ready document, as programs print it, with what changes from run to run
// left out.
func ExampleInfo() {
	e, err := emulator.Start(context.Background(), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer e.Close()
	info := e.Info()
	info.PID, info.HTTPS, info.MQTT, info.HostName, info.ARMEndpoint, info.ConnectionString = 0, nil, nil, "", "", ""
	doc, err := json.MarshalIndent(info, "", "  ")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(doc))
	// Output:
	// {
	//   "event": "ready",
	//   "version": "dev",
	//   "pid": 0,
	//   "name": "dpskit-emulator",
	//   "hostName": "",
	//   "https": null,
	//   "idScope": "0ne00C0FFEE",
	//   "connectionString": "",
	//   "armEndpoint": "",
	//   "subscriptionId": "00000000-0000-0000-0000-000000000000",
	//   "resourceGroup": "dpskit-emulator",
	//   "token": "dpskit-emulator-development-token"
	// }
}
