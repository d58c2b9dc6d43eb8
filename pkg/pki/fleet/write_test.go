package fleet_test

import (
	"archive/tar"
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dpskit/dpskit/pkg/pki"
	"github.com/dpskit/dpskit/pkg/pki/fleet"
	"github.com/dpskit/dpskit/pkg/pki/pkitest"
	"github.com/dpskit/dpskit/pkg/pki/workspace"
)

// member is one file or folder of an output.
type member struct {
	mode fs.FileMode
	data string
}

func readFolder(t *testing.T, dir string) map[string]member {
	t.Helper()
	out := map[string]member{}
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, name)
		if err != nil {
			return err
		}
		m := member{mode: info.Mode()}
		if d.Type().IsRegular() {
			data, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			m.data = string(data)
		}
		if rel != "." {
			out[filepath.ToSlash(rel)] = m
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func readTar(t *testing.T, path string) map[string]member {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	out := map[string]member{}
	r := tar.NewReader(file)
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if h.ModTime.Unix() != testTime.Unix() || h.Uid != 0 || h.Uname != "" {
			t.Errorf("%q: time %v, owner %d %q", h.Name, h.ModTime, h.Uid, h.Uname)
		}
		addMember(t, out, h.Name, h.FileInfo().Mode(), data)
	}
}

func readZip(t *testing.T, path string) map[string]member {
	t.Helper()
	r, err := zip.OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	out := map[string]member{}
	for _, f := range r.File {
		in, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(in) // checks the CRC
		if err != nil {
			t.Fatal(err)
		}
		if !f.Modified.Equal(testTime) {
			t.Errorf("%q: time %v", f.Name, f.Modified)
		}
		addMember(t, out, f.Name, f.Mode(), data)
	}
	return out
}

func addMember(t *testing.T, out map[string]member, name string, mode fs.FileMode, data []byte) {
	t.Helper()
	clean := strings.TrimSuffix(name, "/")
	if !filepath.IsLocal(clean) || path.Clean(clean) != clean || (clean != name) != mode.IsDir() {
		t.Errorf("member %q with mode %v", name, mode)
	}
	if _, ok := out[clean]; ok {
		t.Errorf("member %q is there twice", name)
	}
	if parent := path.Dir(clean); parent != "." && !out[parent].mode.IsDir() {
		t.Errorf("member %q is not below a folder", name)
	}
	out[clean] = member{mode, string(data)}
}

var testTime = time.Date(2026, 3, 1, 12, 30, 44, 0, time.UTC)

func readers() map[fleet.Format]func(*testing.T, string) map[string]member {
	return map[fleet.Format]func(*testing.T, string) map[string]member{
		fleet.FormatFiles: readFolder, fleet.FormatTar: readTar, fleet.FormatZip: readZip,
	}
}

// testAuthority is valid at testTime.
func testAuthority(t *testing.T) *pki.Authority {
	t.Helper()
	now := func() time.Time { return testTime }
	root, err := pki.NewRoot(&pki.CAOptions{Now: now})
	if err != nil {
		t.Fatal(err)
	}
	ca, err := root.NewIntermediate(&pki.CAOptions{Now: now})
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

// All formats hold the same files with the same modes.
func TestWrite(t *testing.T) {
	ids := make(list, 2020)
	for i := range ids {
		ids[i] = fmt.Sprintf("dev-%04d", i)
	}
	shard := fleet.Shard{Index: 49, Count: 100} // devices 989 to 1009, on both sides of a folder
	copy(ids[989:], hardIDs)
	ca := testAuthority(t)
	for format, read := range readers() {
		t.Run(string(format), func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "sub", "fleet")
			opts := fleet.Options{Authority: ca, IDs: ids, Shard: shard, Now: func() time.Time { return testTime }}
			result, err := fleet.Write(t.Context(), opts, fleet.Target{Format: format, Path: out})
			if err != nil {
				t.Fatal(err)
			}
			result.NotAfter = time.Time{}
			want := fleet.Result{Summary: fleet.Summary{Devices: 21, Made: 21}, Path: out, Index: out + ".index.csv"}
			if format == fleet.FormatFiles {
				want.Index = filepath.Join(out, "index-49-of-100.csv")
			}
			if diff := cmp.Diff(want, result); diff != "" {
				t.Errorf("result (-want +got):\n%s", diff)
			}
			got := read(t, out)
			delete(got, "index-49-of-100.csv")
			delete(got, "fleet-49-of-100.json")
			checkMembers(t, got, ca, ids, 989, 1010)
			checkIndex(t, readIndex(t, result.Index), got, ids[989:1010])
			checkNothingElse(t, filepath.Dir(out), result)
		})
	}
}

func checkMembers(t *testing.T, got map[string]member, ca *pki.Authority, ids fleet.IDs, from, to int) {
	t.Helper()
	files := 0
	for name, m := range got {
		private := strings.HasPrefix(name, "private")
		want := fs.FileMode(0o644)
		switch {
		case m.mode.IsDir() && private:
			want = fs.ModeDir | 0o700
		case m.mode.IsDir():
			want = fs.ModeDir | 0o755
		case private:
			want = 0o600
		}
		if runtime.GOOS != "windows" && m.mode != want {
			t.Errorf("mode of %q is %v, want %v", name, m.mode, want)
		}
		if !m.mode.IsDir() {
			files++
		}
	}
	if files != 3*(to-from) {
		t.Errorf("%d files, want %d", files, 3*(to-from))
	}
	for i := from; i < to; i++ {
		stem, bucket := fleet.FileStem(ids.ID(i)), fmt.Sprintf("%05d/", i/1000)
		cert := parse(t, got["certs/"+bucket+stem+".cert.pem"].data)
		key, err := pki.ParseKey([]byte(got["private/"+bucket+stem+".key.pem"].data), nil)
		if err != nil {
			t.Fatal(err)
		}
		b := pki.Bundle{Certificate: cert, Key: key, Issuers: ca.Chain()}
		if cert.Subject.CommonName != ids.ID(i) || !pki.KeyMatches(cert, key) ||
			got["certs/"+bucket+stem+"-full-chain.cert.pem"].data != string(b.FullChainPEM()) {
			t.Errorf("the files of %q do not fit together", ids.ID(i))
		}
	}
}

func checkIndex(t *testing.T, rows [][]string, got map[string]member, ids fleet.IDs) {
	t.Helper()
	if len(rows) != ids.Len() {
		t.Fatalf("index has %d rows, want %d", len(rows), ids.Len())
	}
	for i, row := range rows {
		id := ids.ID(i)
		if strings.HasPrefix(id, "-") {
			id = "'" + id
		}
		cert := parse(t, got[row[1]].data)
		want := []string{
			id, row[1], row[2], row[3], "", "", strings.ToUpper(cert.SerialNumber.Text(16)),
			cert.NotBefore.Format(time.RFC3339), cert.NotAfter.Format(time.RFC3339),
			pki.SHA1Thumbprint(cert), pki.SHA256Thumbprint(cert), "",
		}
		if diff := cmp.Diff(want, row); diff != "" {
			t.Fatalf("row %d (-want +got):\n%s", i, diff)
		}
		if got[row[2]].data == "" || got[row[3]].data == "" || cert.Subject.CommonName != ids.ID(i) {
			t.Errorf("row %d names files that are not there: %q", i, row)
		}
	}
}

// checkNothingElse checks that no temporary file is left.
func checkNothingElse(t *testing.T, dir string, result fleet.Result) {
	t.Helper()
	for name := range tree(t, dir) {
		if strings.HasPrefix(filepath.Base(name), ".") && name != "." && !strings.Contains(name, ".dot") {
			t.Errorf("a temporary file %q is left", name)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if full := filepath.Join(dir, e.Name()); full != result.Path && full != result.Index {
			t.Errorf("%q is left", full)
		}
	}
}

// Programs of others read the archives, too.
func TestArchivesWithOtherPrograms(t *testing.T) {
	opts := fleet.Options{Authority: pkitest.Intermediate(t), IDs: hardIDs}
	for format, command := range map[fleet.Format][]string{
		fleet.FormatTar: {"tar", "-xpf"}, fleet.FormatZip: {"unzip", "-q"},
	} {
		t.Run(string(format), func(t *testing.T) {
			if _, err := exec.LookPath(command[0]); err != nil {
				t.Skip(err)
			}
			dir := t.TempDir()
			archive := filepath.Join(dir, "fleet")
			if _, err := fleet.Write(t.Context(), opts, fleet.Target{Format: format, Path: archive}); err != nil {
				t.Fatal(err)
			}
			to := filepath.Join(dir, "unpacked")
			if err := os.Mkdir(to, 0o700); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(command[0], append(command[1:], archive)...)
			cmd.Dir = to
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v: %v\n%s", cmd, err, out)
			}
			checkMembers(t, readFolder(t, to), opts.Authority, opts.IDs, 0, opts.IDs.Len())
		})
	}
}

func TestWriteWithPFX(t *testing.T) {
	for format, read := range readers() {
		t.Run(string(format), func(t *testing.T) {
			opts := fleet.Options{
				Authority: testAuthority(t), IDs: list{"a", "b"}, PFX: &pki.PFXOptions{}, Now: func() time.Time { return testTime },
			}
			out := filepath.Join(t.TempDir(), "fleet")
			result, err := fleet.Write(t.Context(), opts, fleet.Target{Format: format, Path: out})
			if err != nil {
				t.Fatal(err)
			}
			got := read(t, out)
			for _, row := range readIndex(t, result.Index) {
				pfx, word := got[row[4]], got[row[5]]
				if runtime.GOOS != "windows" && (pfx.mode != 0o600 || word.mode != 0o600) {
					t.Errorf("modes %v and %v, want 0600", pfx.mode, word.mode)
				}
				b, err := pki.DecodePFX([]byte(pfx.data), strings.TrimSpace(word.data))
				if err != nil || b.Certificate.Subject.CommonName != row[0] {
					t.Errorf("PFX of %q: %v", row[0], err)
				}
			}
		})
	}
}

// The files of a device are called as in a workspace, so that a device can move there.
func TestFileNamesAreThoseOfTheWorkspace(t *testing.T) {
	ws, err := workspace.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	ids := append(list{
		"CON", "con.x", "prn", "Aux", "nul-", "com1", "COM0.y", "lpt9", "com", "coma", "com12", "x.con", "%41", "a:b", ":", "x-Full-Chain",
		"-FULL-chain", "b-full-chains", "c-full-chain-", ".hidden", "..a", "a..b",
	}, hardIDs...)
	seen := map[string]string{}
	for _, id := range ids {
		if pki.CheckRegistrationID(id) != nil {
			continue
		}
		want := strings.TrimSuffix(filepath.Base(ws.Paths(id).Cert), ".cert.pem")
		got := fleet.FileStem(id)
		if got != want {
			t.Errorf("FileStem(%q) = %q, want %q", id, got, want)
		}
		for _, tail := range []string{".cert.pem", "-full-chain.cert.pem"} {
			name := strings.ToLower(got + tail)
			if other, ok := seen[name]; ok {
				t.Errorf("%q and %q meet in %q", id, other, name)
			}
			seen[name] = id
		}
	}
}

func TestWriteRefuses(t *testing.T) {
	opts := options(t, 2)
	fill := func(t *testing.T, path string) {
		t.Helper()
		if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write := func(t *testing.T, opts fleet.Options, out string) {
		t.Helper()
		if _, err := fleet.Write(t.Context(), opts, fleet.Target{Path: out}); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		name    string
		format  fleet.Format
		prepare func(t *testing.T, out string)
	}{
		{"a file in the place of a folder", fleet.FormatFiles, fill},
		{"a folder with something else", fleet.FormatFiles, func(t *testing.T, out string) {
			if err := os.Mkdir(out, 0o755); err != nil {
				t.Fatal(err)
			}
			fill(t, filepath.Join(out, "notes.txt"))
		}},
		{"a folder of certificates", fleet.FormatFiles, func(t *testing.T, out string) {
			if err := os.MkdirAll(filepath.Join(out, "certs"), 0o755); err != nil {
				t.Fatal(err)
			}
		}},
		{"another fleet", fleet.FormatFiles, func(t *testing.T, out string) {
			write(t, options(t, 3), out)
		}},
		{"the same number with other ids", fleet.FormatFiles, func(t *testing.T, out string) {
			other := options(t, 2)
			other.IDs = list{"dev-1", "dev-3"}
			write(t, other, out)
		}},
		{"a fleet of another CA", fleet.FormatFiles, func(t *testing.T, out string) {
			other := options(t, 2)
			other.Authority = pkitest.Root(t)
			write(t, other, out)
		}},
		{"a fleet with other keys", fleet.FormatFiles, func(t *testing.T, out string) {
			other := options(t, 2)
			other.KeyType = pki.KeyECP384
			write(t, other, out)
		}},
		{"a fleet with PFX files", fleet.FormatFiles, func(t *testing.T, out string) {
			other := options(t, 2)
			other.PFX = &pki.PFXOptions{}
			write(t, other, out)
		}},
		{"a fleet of a later version", fleet.FormatFiles, func(t *testing.T, out string) {
			write(t, options(t, 2), out)
			spec := filepath.Join(out, "fleet.json")
			data, err := os.ReadFile(spec)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(spec, []byte(strings.Replace(string(data), `"version": 1`, `"version": 2`, 1)), 0o600); err != nil {
				t.Fatal(err)
			}
		}},
		{"a tar file", fleet.FormatTar, fill},
		{"a zip file", fleet.FormatZip, fill},
		{"an index", fleet.FormatTar, func(t *testing.T, out string) { fill(t, out+".index.csv") }},
		{"a folder in the place of an archive", fleet.FormatZip, func(t *testing.T, out string) {
			if err := os.Mkdir(out, 0o755); err != nil {
				t.Fatal(err)
			}
		}},
		{"a symbolic link in the place of an archive", fleet.FormatTar, func(t *testing.T, out string) {
			if err := os.Symlink("elsewhere", out); err != nil {
				t.Skip(err)
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			out := filepath.Join(dir, "out")
			tt.prepare(t, out)
			before := tree(t, dir)
			result, err := fleet.Write(t.Context(), opts, fleet.Target{Format: tt.format, Path: out})
			if !errors.Is(err, fleet.ErrExists) || result.Made > 0 {
				t.Fatalf("Write() = %+v, %v; want ErrExists", result, err)
			}
			if diff := cmp.Diff(before, tree(t, dir)); diff != "" {
				t.Errorf("files changed (-before +after):\n%s", diff)
			}
		})
	}
	for _, target := range []fleet.Target{{}, {Path: t.TempDir(), Format: "rar"}} {
		if result, err := fleet.Write(t.Context(), opts, target); err == nil {
			t.Errorf("Write(%+v) = %+v, want an error", target, result)
		}
	}
}

// A file that appears while an archive is made is not replaced either.
func TestWriteRefusesWhatAppears(t *testing.T) {
	for _, name := range []string{"out", "out.index.csv"} {
		dir := t.TempDir()
		opts := options(t, 2)
		opts.Progress = func(int, int) {
			if err := os.WriteFile(filepath.Join(dir, name), []byte("mine"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		_, err := fleet.Write(t.Context(), opts, fleet.Target{Format: fleet.FormatTar, Path: filepath.Join(dir, "out")})
		data, readErr := os.ReadFile(filepath.Join(dir, name))
		if !errors.Is(err, fleet.ErrExists) || string(data) != "mine" || len(tree(t, dir)) != 2 {
			t.Errorf("Write() = %v; %q is %q, %v; the folder is %v", err, name, data, readErr, tree(t, dir))
		}
	}
}

// A file of the fleet that cannot be read is left alone.
func TestWriteRefusesABrokenSpec(t *testing.T) {
	for name, text := range map[string]string{"torn": "{", "empty": "", "huge": strings.Repeat(" ", 100_000)} {
		out := filepath.Join(t.TempDir(), "out")
		if _, err := fleet.Write(t.Context(), options(t, 2), fleet.Target{Path: out}); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(out, "fleet.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		before := tree(t, out)
		if _, err := fleet.Write(t.Context(), options(t, 2), fleet.Target{Path: out}); err == nil || !strings.Contains(err.Error(), "fleet.json") {
			t.Errorf("%s: Write() = %v, want an error about fleet.json", name, err)
		}
		if diff := cmp.Diff(before, tree(t, out)); diff != "" {
			t.Errorf("%s: files changed (-before +after):\n%s", name, diff)
		}
	}
}

func TestForceKeepsWhatItReplaces(t *testing.T) {
	for _, format := range fleet.AllFormats() {
		t.Run(string(format), func(t *testing.T) {
			dir := t.TempDir()
			out := filepath.Join(dir, "out")
			opts := options(t, 2)
			opts.Now = func() time.Time { return time.Now() }
			target := fleet.Target{Format: format, Path: out}
			if _, err := fleet.Write(t.Context(), opts, target); err != nil {
				t.Fatal(err)
			}
			before := tree(t, dir)
			target.Force = true
			for range 2 { // in the same second, most likely
				result, err := fleet.Write(t.Context(), opts, target)
				if err != nil || result.Made != 2 {
					t.Fatalf("Write() = %+v, %v; want 2 new devices", result, err)
				}
			}
			after := tree(t, dir)
			kept := 0
			for name, text := range before {
				for other, same := range after {
					if strings.HasPrefix(other, "replaced/") && strings.HasSuffix(other, "/"+name) && same == text {
						kept++
						break
					}
				}
				if name != "." && name != "out" && strings.HasPrefix(text, "-rw-------") && after[name] == text {
					t.Errorf("%q was not replaced", name)
				}
			}
			if kept != len(before)-1 {
				t.Errorf("%d of %d files are kept", kept, len(before)-1)
			}
			if runtime.GOOS != "windows" && !strings.HasPrefix(after["replaced"], "drwx------") {
				t.Errorf("the folder of what was replaced has mode %s", after["replaced"])
			}
		})
	}
}

func TestPartsShareAFolder(t *testing.T) {
	out := filepath.Join(t.TempDir(), "fleet")
	opts := options(t, 60)
	for _, i := range []int{2, 0, 1} {
		opts.Shard = fleet.Shard{Index: i, Count: 3}
		result, err := fleet.Write(t.Context(), opts, fleet.Target{Path: out})
		if err != nil || result.Made != 20 {
			t.Fatalf("part %d: %+v, %v", i, result, err)
		}
		if rows := readIndex(t, result.Index); len(rows) != 20 || rows[0][0] != opts.IDs.ID(20*i) {
			t.Errorf("part %d: index %q has %d rows", i, result.Index, len(rows))
		}
	}
	checkFleet(t, out, opts.Authority, opts.IDs)

	for name, shard := range map[string]fleet.Shard{"the whole": {}, "another split": {Index: 0, Count: 2}} {
		opts.Shard = shard
		if _, err := fleet.Write(t.Context(), opts, fleet.Target{Path: out}); !errors.Is(err, fleet.ErrExists) {
			t.Errorf("%s: Write() = %v, want ErrExists", name, err)
		}
	}
	opts.Shard = fleet.Shard{Index: 1, Count: 3}
	before := tree(t, out)
	if _, err := fleet.Write(t.Context(), opts, fleet.Target{Path: out, Force: true}); !errors.Is(err, fleet.ErrExists) {
		t.Errorf("Write() by force = %v, want ErrExists: the other parts would go", err)
	}
	if diff := cmp.Diff(before, tree(t, out)); diff != "" {
		t.Errorf("files changed (-before +after):\n%s", diff)
	}
}

func TestOneProcessAtATime(t *testing.T) {
	for _, format := range fleet.AllFormats() {
		t.Run(string(format), func(t *testing.T) {
			target := fleet.Target{Format: format, Path: filepath.Join(t.TempDir(), "out")}
			opts := options(t, 40)
			tried := false
			second := opts
			opts.Progress = func(int, int) {
				if tried {
					return
				}
				tried = true
				result, err := fleet.Write(t.Context(), second, target)
				if !errors.Is(err, fleet.ErrLocked) || result.Made > 0 {
					t.Errorf("a second Write() = %+v, %v; want ErrLocked", result, err)
				}
			}
			if _, err := fleet.Write(t.Context(), opts, target); err != nil || !tried {
				t.Errorf("Write() = %v", err)
			}
		})
	}
}

func TestParseFormat(t *testing.T) {
	for _, f := range fleet.AllFormats() {
		if got, err := fleet.ParseFormat(string(f)); err != nil || got != f {
			t.Errorf("ParseFormat(%q) = %q, %v", f, got, err)
		}
	}
	if _, err := fleet.ParseFormat("rar"); err == nil || !strings.Contains(err.Error(), "files, tar, zip") {
		t.Errorf("ParseFormat(rar) = %v, want the known names", err)
	}
}
