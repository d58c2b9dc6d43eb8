package emulator_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/dpskit/dpskit/pkg/dps/emulator"
)

// BenchmarkStart measures from nothing to a listener that accepts, CA included.
func BenchmarkStart(b *testing.B) {
	for _, kind := range []string{"memory", "file"} {
		b.Run(kind, func(b *testing.B) {
			for b.Loop() {
				opts := &emulator.Options{}
				if kind == "file" {
					opts.DataDir = b.TempDir()
				}
				e, err := emulator.Start(b.Context(), opts)
				if err != nil {
					b.Fatal(err)
				}
				if err := e.Close(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkRegister measures register and poll on connections that stay open;
// the client's share is included.
func BenchmarkRegister(b *testing.B) {
	for _, kind := range []string{"memory", "file"} {
		b.Run(kind, func(b *testing.B) {
			w := newWorld(b, func(o *emulator.Options) {
				if kind == "file" {
					o.DataDir = b.TempDir()
				}
			})
			p := newPKI(b)
			w.prove("root", p.root)
			w.group("fleet", p.intermediate.Certificate())
			var next atomic.Int64
			b.SetParallelism(16)
			b.RunParallel(func(pb *testing.PB) {
				id := fmt.Sprintf("dev-%d", next.Add(1))
				client := w.client(device(b, p.intermediate, id))
				defer client.CloseIdleConnections()
				base := "https://" + w.info.HostName + "/" + w.info.IDScope + "/registrations/" + id
				for pb.Next() {
					req, err := http.NewRequest(http.MethodPut, base+"/register?api-version=2021-06-01", strings.NewReader("{}"))
					if err != nil {
						b.Error(err)
						return
					}
					resp, err := client.Do(req)
					if err != nil {
						b.Error(err)
						return
					}
					_, _ = io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
					if resp.StatusCode != http.StatusAccepted {
						b.Errorf("status %d", resp.StatusCode)
						return
					}
				}
			})
		})
	}
}
