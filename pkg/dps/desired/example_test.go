package desired_test

import (
	"context"
	"fmt"

	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/desired"
	"github.com/dpskit/dpskit/pkg/dps/emulator"
	"github.com/dpskit/dpskit/pkg/dps/service"
)

func ExampleCompare() {
	ctx := context.Background()
	emu, err := emulator.Start(ctx, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer emu.Close()
	cs, err := dps.ParseConnectionString(emu.Info().ConnectionString)
	if err != nil {
		fmt.Println(err)
		return
	}
	client, err := service.NewClient(cs.HostName, service.SharedKey(cs.SharedAccessKeyName, cs.SharedAccessKey),
		&service.ClientOptions{HTTPClient: emu.HTTPClient()})
	if err != nil {
		fmt.Println(err)
		return
	}
	const text = `
enrollments:
  - registrationId: pump-7
    attestation: {symmetricKey: {}}
    initialTwin: {tags: {site: north}}
`
	for range 2 {
		doc, err := desired.Parse([]byte(text), nil)
		if err != nil {
			fmt.Println(err)
			return
		}
		plan, err := desired.Compare(ctx, doc, desired.Target{Enrollments: client}, nil)
		if err != nil {
			fmt.Println(err)
			return
		}
		for _, c := range plan.Changes {
			fmt.Println(c.Action, c.Kind, c.ID)
		}
		fmt.Println(plan.Unchanged, "unchanged")
		if _, err := plan.Apply(ctx, nil); err != nil {
			fmt.Println(err)
			return
		}
	}
	// Output:
	// create enrollment pump-7
	// 0 unchanged
	// 1 unchanged
}
