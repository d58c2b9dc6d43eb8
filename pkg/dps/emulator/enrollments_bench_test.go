package emulator_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/dpskit/dpskit/pkg/dps/emulator"
)

// stores runs a benchmark on both kinds of store.
func stores(b *testing.B, run func(b *testing.B, w *world, dir string)) {
	for _, kind := range []string{"memory", "file"} {
		b.Run(kind, func(b *testing.B) {
			dir := ""
			w := newWorld(b, func(o *emulator.Options) {
				o.Logger = nil
				if kind == "file" {
					dir = b.TempDir()
					o.DataDir = dir
				}
			})
			run(b, w, dir)
		})
	}
}

// post sends one request over HTTPS on connections that stay open.
func (w *world) post(b *testing.B, client *http.Client, method, path string, body []byte) {
	req, err := http.NewRequest(method, "https://"+w.info.HostName+path+"?api-version="+serviceVersion, bytes.NewReader(body))
	if err != nil {
		b.Error(err)
		return
	}
	req.Header.Set("Authorization", "Bearer "+w.info.Token)
	resp, err := client.Do(req)
	if err != nil {
		b.Error(err)
		return
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK || bytes.Contains(answer, []byte(`"isSuccessful":false`)) {
		b.Errorf("%s %s: %s %s, %v", method, path, resp.Status, answer, err)
	}
}

func enrollmentJSON(b *testing.B, n int64) (id string, body []byte) {
	id = fmt.Sprintf("dev-%07d", n)
	body, err := json.Marshal(symmetric("registrationId", id))
	if err != nil {
		b.Error(err)
	}
	return id, body
}

func bulkJSON(b *testing.B, first int64) []byte {
	items := make([]string, 10)
	for i := range items {
		_, body := enrollmentJSON(b, first+int64(i))
		items[i] = string(body)
	}
	return []byte(`{"mode":"create","enrollments":[` + strings.Join(items, ",") + `]}`)
}

// BenchmarkEnroll creates individual enrollments over HTTPS: one after the
// other, 32 at once, ten in a request, and ten in each of 32 at once. One
// operation is one enrollment; the client's share is included.
func BenchmarkEnroll(b *testing.B) {
	for _, tt := range []struct {
		name     string
		parallel int
		bulk     bool
	}{{"sequential", 1, false}, {"concurrent32", 32, false}, {"bulk", 1, true}, {"bulk-concurrent32", 32, true}} {
		b.Run(tt.name, func(b *testing.B) {
			stores(b, func(b *testing.B, w *world, _ string) {
				client := w.e.HTTPClient()
				client.Transport.(*http.Transport).MaxIdleConnsPerHost = tt.parallel
				defer client.CloseIdleConnections()
				step := int64(1)
				if tt.bulk {
					step = 10
				}
				var next atomic.Int64
				var wg sync.WaitGroup
				b.ResetTimer()
				for range tt.parallel {
					wg.Go(func() {
						for {
							first := next.Add(step) - step
							if first >= int64(b.N) {
								return
							}
							if tt.bulk {
								w.post(b, client, http.MethodPost, "/enrollments", bulkJSON(b, first))
								continue
							}
							id, body := enrollmentJSON(b, first)
							w.post(b, client, http.MethodPut, "/enrollments/"+id, body)
						}
					})
				}
				wg.Wait()
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "enrollments/s")
			})
		})
	}
}

// many is how many enrollments the benchmarks of a large store have.
const many = 100_000

// BenchmarkListMany lists 100,000 enrollments in pages of the default size and
// of the largest, and reports what they take in memory and on disk. They are
// put there without a network.
func BenchmarkListMany(b *testing.B) {
	stores(b, func(b *testing.B, w *world, dir string) {
		planes, err := w.e.Planes()
		if err != nil {
			b.Fatal(err)
		}
		before := heap()
		for first := int64(0); first < many; first += 10 {
			handle(b, w, planes, "/enrollments", bulkJSON(b, first), nil)
		}
		memory := float64(heap()-before) / (1 << 20)
		for _, size := range []string{"100", "1000"} {
			b.Run("pages-of-"+size, func(b *testing.B) {
				for b.Loop() {
					if n := listAll(b, w, planes, size); n != many {
						b.Fatalf("%d enrollments are listed, want %d", n, many)
					}
				}
				b.ReportMetric(memory, "heap-MiB")
				if info, err := os.Stat(filepath.Join(dir, storeFile(b, dir))); dir != "" && err == nil {
					b.ReportMetric(float64(info.Size())/(1<<20), "file-MiB")
				}
			})
		}
	})
}

// storeFile finds the data file, the largest one.
func storeFile(b *testing.B, dir string) (name string) {
	if dir == "" {
		return ""
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		b.Fatal(err)
	}
	size := int64(-1)
	for _, e := range entries {
		if info, err := e.Info(); err == nil && info.Size() > size {
			name, size = e.Name(), info.Size()
		}
	}
	return name
}

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what finalizers have let go
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func handle(b *testing.B, w *world, planes http.Handler, path string, body []byte, header http.Header) *httptest.ResponseRecorder {
	req := httptest.NewRequest(http.MethodPost, path+"?api-version="+serviceVersion, bytes.NewReader(body))
	for k, v := range header {
		req.Header[k] = v
	}
	req.Header.Set("Authorization", "Bearer "+w.info.Token)
	rec := httptest.NewRecorder()
	planes.ServeHTTP(rec, req)
	if rec.Code != http.StatusOK {
		b.Fatalf("%s: %d %s", path, rec.Code, rec.Body)
	}
	return rec
}

func listAll(b *testing.B, w *world, planes http.Handler, size string) (n int) {
	header := http.Header{"X-Ms-Max-Item-Count": {size}}
	for {
		rec := handle(b, w, planes, "/enrollments/query", []byte(`{"query":"*"}`), header)
		n += bytes.Count(rec.Body.Bytes(), []byte(`"registrationId"`))
		token := rec.Header().Get("X-Ms-Continuation")
		if token == "" {
			return n
		}
		header.Set("X-Ms-Continuation", token)
	}
}
