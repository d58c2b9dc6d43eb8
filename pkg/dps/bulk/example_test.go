package bulk_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/bulk"
	"github.com/dpskit/dpskit/pkg/dps/emulator"
	"github.com/dpskit/dpskit/pkg/dps/service"
)

func ExampleImport() {
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
		&service.ClientOptions{HTTPClient: emu.HTTPClient(), MaxRetries: -1})
	if err != nil {
		fmt.Println(err)
		return
	}
	const file = "registrationId,attestation,deviceId\npump-1,symmetricKey,p1\npump-2,symmetricKey,p2\n"
	report, err := bulk.Import(ctx, client, bulk.Source{
		Format: bulk.CSV,
		Open:   func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(file)), nil },
	}, &bulk.Options{Exists: bulk.Skip})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := report.WriteCSV(os.Stdout, false); err != nil {
		fmt.Println(err)
	}
	// Output:
	// line,registrationId,outcome,when,code,message,trackingId
	// 2,pump-1,created,now,,,
	// 3,pump-2,created,now,,,
}

func ExampleValidate() {
	const file = "registrationId,attestation\npump 1,symmetricKey\npump-2,password\n"
	check, err := bulk.Validate(context.Background(), bulk.Source{
		Format: bulk.CSV,
		Open:   func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(file)), nil },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, fault := range check.Faults {
		fmt.Println(fault.Error())
	}
	// Output:
	// 2:1: registrationId: "pump 1": invalid identifier: 1 to 128 letters, digits, '-', '.', '_', ':', the last one a letter, a digit or '-'
	// 3:8: attestation: "password": want x509, symmetricKey or tpm
}
