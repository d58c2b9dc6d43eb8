package workspace_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/dpskit/dpskit/pkg/pki"
	"github.com/dpskit/dpskit/pkg/pki/workspace"
)

// A workspace from nothing to a device, and back from the files.
func Example() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	ctx := context.Background()

	w, err := workspace.Open(filepath.Join(dir, "pki"))
	if err != nil {
		log.Fatal(err)
	}
	if _, _, err := w.Init(ctx, workspace.InitOptions{Intermediates: 1}); err != nil {
		log.Fatal(err)
	}
	_, paths, err := w.IssueDevice(ctx, workspace.DeviceOptions{ID: "dev-1", PFX: &pki.PFXOptions{}})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(filepath.Base(paths.FullChain))

	w, err = workspace.Open(w.Dir())
	if err != nil {
		log.Fatal(err)
	}
	for _, e := range w.Entries() {
		fmt.Printf("%s: %s, issued by %q\n", e.Name, e.Profile, e.CA)
	}
	// Output:
	// dev-1-full-chain.cert.pem
	// dev-1: device, issued by "intermediate"
	// intermediate: intermediate, issued by "root"
	// root: root, issued by ""
}

// Nothing is overwritten by accident; what is replaced by force is kept.
func ExampleWorkspace_IssueDevice_again() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	ctx := context.Background()
	w, err := workspace.Open(dir)
	if err != nil {
		log.Fatal(err)
	}
	if _, _, err := w.Init(ctx, workspace.InitOptions{}); err != nil {
		log.Fatal(err)
	}
	opts := workspace.DeviceOptions{ID: "dev-1"}
	if _, _, err := w.IssueDevice(ctx, opts); err != nil {
		log.Fatal(err)
	}
	_, _, err = w.IssueDevice(ctx, opts)
	fmt.Println(errors.Is(err, workspace.ErrExists), err)

	opts.Force = true
	if _, _, err := w.IssueDevice(ctx, opts); err != nil {
		log.Fatal(err)
	}
	old, err := filepath.Glob(filepath.Join(dir, "replaced", "*", "certs", "dev-1.cert.pem"))
	fmt.Println(len(old), "old certificate kept", err)
	// Output:
	// true issue device certificate: "dev-1" exists already
	// 1 old certificate kept <nil>
}

// The proof that the workspace has the key of its root.
func ExampleWorkspace_IssueVerification() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	ctx := context.Background()
	w, err := workspace.Open(dir)
	if err != nil {
		log.Fatal(err)
	}
	if _, _, err := w.Init(ctx, workspace.InitOptions{Intermediates: 1}); err != nil {
		log.Fatal(err)
	}
	proof, paths, err := w.IssueVerification(ctx, workspace.VerificationOptions{Code: "75B86466DA34D2B0\n"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(proof.Certificate.Subject, "by", proof.Certificate.Issuer)
	fmt.Println(filepath.Base(paths.Cert))
	// Output:
	// CN=75B86466DA34D2B0 by CN=Azure IoT Hub CA Cert Test Only
	// verification-code.cert.pem
}
