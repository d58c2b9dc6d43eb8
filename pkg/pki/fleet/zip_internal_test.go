package fleet

import (
	"archive/zip"
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A zip file beyond 4 GiB and 65,535 members has the records that say so. The file has a hole in front, so it takes
// no room.
func TestZip64(t *testing.T) {
	const hole, devices = 5 << 30, 22_000
	path := filepath.Join(t.TempDir(), "big.zip")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.Seek(hole, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	z := &zipWriter{}
	z.begin(time.Now(), func() (*os.File, error) { return os.Create(path + ".directory") })
	defer z.Close()
	z.offset = hole
	out := bufio.NewWriter(file)
	for i := range devices {
		var d Device
		d.reset(i, fmt.Sprintf("dev-%d", i))
		for _, f := range []*File{&d.Files.Certificate, &d.Files.FullChain, &d.Files.Key} {
			f.Data = []byte(d.ID)
		}
		d.Files.Certificate.Name, d.Files.FullChain.Name, d.Files.Key.Name = d.names.certificate(), d.names.fullChain(), d.names.key()
		if err := z.encode(&d); err != nil {
			t.Fatal(err)
		}
		if err := z.device(out, &d); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.end(out); err != nil {
		t.Fatal(err)
	}
	if err := out.Flush(); err != nil {
		t.Fatal(err)
	}
	r, err := zip.OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if len(r.File) != 3*devices {
		t.Fatalf("%d members, want %d", len(r.File), 3*devices)
	}
	for _, i := range []int{0, 1, 65_534, 65_535, 65_536, 3*devices - 1} {
		f := r.File[i]
		in, err := f.Open()
		if err != nil {
			t.Fatalf("member %d: %v", i, err)
		}
		if f.ReaderVersion != zipVersion64 {
			t.Errorf("member %d asks for version %d, want %d", i, f.ReaderVersion, zipVersion64)
		}
		data, err := io.ReadAll(in)
		if want := fmt.Sprintf("dev-%d", i/3); err != nil || string(data) != want {
			t.Errorf("member %d %q is %q, %v; want %q", i, f.Name, data, err, want)
		}
	}
}

// Without so much there is nothing that old programs do not know.
func TestZipIsPlainWhenSmall(t *testing.T) {
	path := filepath.Join(t.TempDir(), "small.zip")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	z := &zipWriter{}
	z.begin(time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC), func() (*os.File, error) { return os.Create(path + ".directory") })
	defer z.Close()
	if err := z.folder(file, "certs", false); err != nil {
		t.Fatal(err)
	}
	if err := z.end(file); err != nil {
		t.Fatal(err)
	}
	r, err := zip.OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if len(r.File) != 1 || r.File[0].Name != "certs/" || r.File[0].ReaderVersion != zipVersion || !r.File[0].Mode().IsDir() {
		t.Errorf("members %+v", r.File)
	}
}
