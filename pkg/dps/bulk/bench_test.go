package bulk_test

import (
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/dpskit/dpskit/pkg/dps/bulk"
	"github.com/dpskit/dpskit/pkg/dps/dpstest"
	"github.com/dpskit/dpskit/pkg/dps/emulator"
)

// BenchmarkImport imports 10,000 rows into an emulator in memory, with a journal
// and without, as the number of requests at once grows.
//
//	go test -bench Import -run '^$' -benchtime 1x ./pkg/dps/bulk
func BenchmarkImport(b *testing.B) {
	const rows = 10_000
	for _, concurrency := range []int{1, 4, 16} {
		for _, journal := range []bool{false, true} {
			b.Run(fmt.Sprintf("rows=%d/concurrency=%d/journal=%v", rows, concurrency, journal), func(b *testing.B) {
				source := devices(rows)
				for b.Loop() {
					b.StopTimer()
					emu := dpstest.Start(b, func(o *emulator.Options) { o.Logger = slog.New(slog.DiscardHandler) })
					client := connect(b, emu, nil)
					opts := &bulk.Options{Concurrency: concurrency}
					if journal {
						opts.State = openState(b, filepath.Join(b.TempDir(), "s"), "h")
					}
					b.StartTimer()
					report, err := bulk.Import(b.Context(), client, source, opts)
					if err != nil {
						b.Fatal(err)
					}
					if count, _ := report.Count(); count[bulk.Created] != rows {
						b.Fatal(count)
					}
				}
				b.ReportMetric(float64(rows*b.N)/b.Elapsed().Seconds(), "rows/s")
			})
		}
	}
}

// BenchmarkValidate checks 10,000 rows without a service.
func BenchmarkValidate(b *testing.B) {
	source := devices(10_000)
	b.ReportAllocs()
	for b.Loop() {
		if c, err := bulk.Validate(b.Context(), source); err != nil || c.Faulty > 0 {
			b.Fatal(c, err)
		}
	}
	b.ReportMetric(float64(10_000*b.N)/b.Elapsed().Seconds(), "rows/s")
}

var _ io.Closer = (*bulk.State)(nil)
