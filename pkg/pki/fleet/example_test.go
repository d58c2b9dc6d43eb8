package fleet_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/dpskit/dpskit/pkg/pki"
	"github.com/dpskit/dpskit/pkg/pki/fleet"
)

// A thousand devices in one tar file.
func ExampleWrite() {
	root, err := pki.NewRoot(nil)
	if err != nil {
		panic(err)
	}
	ids, err := fleet.Numbered("press-", 1, 1000)
	if err != nil {
		panic(err)
	}
	dir, err := os.MkdirTemp("", "fleet")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)

	result, err := fleet.Write(context.Background(), fleet.Options{Authority: root, IDs: ids}, fleet.Target{
		Format: fleet.FormatTar, Path: filepath.Join(dir, "fleet.tar"),
	})
	fmt.Println(result.Made, filepath.Base(result.Path), filepath.Base(result.Index), err)
	// Output: 1000 fleet.tar fleet.tar.index.csv <nil>
}

// certificates is a sink that uploads each certificate; here it counts them.
type certificates struct{ n int }

func (c *certificates) Write(d *fleet.Device) error {
	if d.Err == nil {
		c.n++
	}
	return nil
}

// One of four machines makes its part of a fleet and hands it to a sink of its own.
func ExampleRun() {
	root, err := pki.NewRoot(nil)
	if err != nil {
		panic(err)
	}
	ids, err := fleet.ReadIDs(strings.NewReader("registrationId;hall\npress-a;1\npress-b;1\npress-c;2\npress-d;2\n"))
	if err != nil {
		panic(err)
	}
	var sink certificates
	summary, err := fleet.Run(context.Background(), fleet.Options{
		Authority: root, IDs: ids, Shard: fleet.Shard{Index: 3, Count: 4},
	}, &sink)
	fmt.Println(summary.Devices, sink.n, err)
	// Output: 1 1 <nil>
}

// Everything that is wrong with a list is reported before anything is made.
func ExampleReadIDs() {
	_, err := fleet.ReadIDs(strings.NewReader("site,registrationId\nA,dev-1\nA,DEV-1\n"))
	fmt.Println(err)
	// Output: read ids: row 3, column 2: "DEV-1" is in row 2 as "dev-1", and the service does not tell upper case from lower
}
