package rollout_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/device"
	"github.com/dpskit/dpskit/pkg/dps/emulator"
	"github.com/dpskit/dpskit/pkg/dps/rollout"
	"github.com/dpskit/dpskit/pkg/dps/service"
)

// presses are ten devices of a group with a symmetric key.
type presses struct{ key dps.Secret }

func (p presses) Len() int                                  { return 10 }
func (p presses) ID(i int) string                           { return fmt.Sprintf("press-%02d", i+1) }
func (p presses) Credential(int) (device.Credential, error) { return device.GroupKey(p.key), nil }

func ExampleRun() {
	ctx := context.Background()
	e, err := emulator.Start(ctx, &emulator.Options{RetryAfter: -1})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer e.Close()
	const key = dps.Secret("a2V5IG9mIHRoZSBncm91cCBvZiBhbGwgcHJlc3Nlcw==")
	cs, err := dps.ParseConnectionString(e.Info().ConnectionString)
	if err != nil {
		fmt.Println(err)
		return
	}
	admin, err := service.NewClient(cs.HostName, service.SharedKey(cs.SharedAccessKeyName, cs.SharedAccessKey), &service.ClientOptions{HTTPClient: e.HTTPClient()})
	if err != nil {
		fmt.Println(err)
		return
	}
	group := service.EnrollmentGroup{EnrollmentGroupID: "presses", Attestation: service.SymmetricKeys(key, key)}
	if _, err := admin.PutGroup(ctx, group, nil); err != nil {
		fmt.Println(err)
		return
	}

	dir, err := os.MkdirTemp("", "rollout")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	for range 2 {
		report, err := rollout.OpenReport(filepath.Join(dir, "report.csv"), e.Info().IDScope, presses{key}, nil)
		if err != nil {
			fmt.Println(err)
			return
		}
		summary, err := rollout.Run(ctx, e.Info().IDScope, presses{key}, &rollout.Options{
			Client: device.ClientOptions{Host: e.Info().HostName, RootCAs: e.CAPool()}, Report: report,
		})
		if err == nil {
			err = report.Finish()
		}
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%d assigned, %d earlier, %d failed\n", summary.Assigned, summary.Earlier, summary.Failed)
	}
	// Output:
	// 10 assigned, 0 earlier, 0 failed
	// 0 assigned, 10 earlier, 0 failed
}
