package fleet_test

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/dpskit/dpskit/pkg/pki"
	"github.com/dpskit/dpskit/pkg/pki/fleet"
	"github.com/dpskit/dpskit/pkg/pki/pkitest"
)

// BenchmarkCrypto is the limit of what any fleet can reach: on every processor, a key and a signature for each device
// and nothing else.
//
//	go test -run '^$' -bench Crypto -benchtime 100000x ./pkg/pki/fleet
func BenchmarkCrypto(b *testing.B) {
	ca, tbs := pkitest.Intermediate(b).Key(), make([]byte, 500)
	measure(b, 1, func() {
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := pki.GenerateKey(""); err != nil {
					b.Error(err)
				}
				digest := sha256.Sum256(tbs)
				if _, err := ca.Sign(rand.Reader, digest[:], crypto.SHA256); err != nil {
					b.Error(err)
				}
			}
		})
	})
}

// BenchmarkIssue makes devices one by one as a program without this package would.
func BenchmarkIssue(b *testing.B) {
	ca := pkitest.Intermediate(b)
	measure(b, 1, func() {
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				bundle, err := ca.Issue(pki.IssueRequest{CommonName: "dev-000001"})
				if err != nil {
					b.Error(err)
					return
				}
				_, _ = bundle.CertificatePEM(), bundle.FullChainPEM()
				if _, err := bundle.KeyPEM(); err != nil {
					b.Error(err)
				}
			}
		})
	})
}

type discard struct{}

func (discard) Write(*fleet.Device) error { return nil }

// BenchmarkRun makes a fleet and throws it away.
func BenchmarkRun(b *testing.B) {
	ids := numbered(b, "dev-", max(b.N, 100_000))
	measure(b, 1, func() {
		opts := fleet.Options{Authority: pkitest.Intermediate(b), IDs: first{ids, b.N}}
		if _, err := fleet.Run(b.Context(), opts, discard{}); err != nil {
			b.Fatal(err)
		}
	})
}

// first is the beginning of a list.
type first struct {
	fleet.IDs
	n int
}

func (f first) Len() int { return f.n }

// BenchmarkWrite writes whole fleets. Set TMPDIR to choose the file system.
func BenchmarkWrite(b *testing.B) {
	for _, format := range fleet.AllFormats() {
		for _, n := range []int{1_000, 10_000} {
			b.Run(fmt.Sprintf("%s/%d", format, n), func(b *testing.B) {
				dir, i := b.TempDir(), 0
				opts := fleet.Options{Authority: pkitest.Intermediate(b), IDs: numbered(b, "dev-", n)}
				measure(b, n, func() {
					for b.Loop() {
						i++
						target := fleet.Target{Format: format, Path: filepath.Join(dir, fmt.Sprint(i))}
						if _, err := fleet.Write(b.Context(), opts, target); err != nil {
							b.Fatal(err)
						}
					}
				})
			})
		}
	}
}

// measure reports the processor time of the process for each device beside what the benchmark reports.
func measure(b *testing.B, devices int, run func()) {
	b.Helper()
	b.ReportAllocs()
	b.ResetTimer()
	before := cpuTime()
	run()
	n := float64(b.N) * float64(devices)
	if spent := cpuTime() - before; spent > 0 {
		b.ReportMetric(float64(spent.Nanoseconds())/1000/n, "cpu-µs/device")
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/1000/n, "µs/device")
}
