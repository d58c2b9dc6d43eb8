package fault_test

import (
	"context"
	"fmt"
	"net/http"

	"github.com/dpskit/dpskit/pkg/dps/emulator"
	"github.com/dpskit/dpskit/pkg/dps/emulator/fault"
)

func ExampleParse() {
	rules, err := fault.Parse("op=put-*,nth=1,status=429,retry-after=5")
	if err != nil {
		panic(err)
	}
	e, err := emulator.Start(context.Background(), &emulator.Options{Faults: rules})
	if err != nil {
		panic(err)
	}
	defer e.Close()

	client := e.HTTPClient()
	defer client.CloseIdleConnections()
	req, err := http.NewRequest(http.MethodPut, e.Info().HTTPS[0]+"/enrollments/dev-1", http.NoBody)
	if err != nil {
		panic(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		panic(err)
	}
	defer resp.Body.Close()
	fmt.Println(resp.Status)
	fmt.Println("Retry-After:", resp.Header.Get("Retry-After"))
	fmt.Println("x-emulator-fault:", resp.Header.Get("x-emulator-fault"))
	// Output:
	// 429 Too Many Requests
	// Retry-After: 5
	// x-emulator-fault: op=put-*,nth=1,status=429,retry-after=5
}
