package main

import (
	"context"
	"os"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/dpskit/dpskit/pkg/pki"
	"github.com/dpskit/dpskit/pkg/pki/fleet"
	"github.com/dpskit/dpskit/pkg/pki/workspace"
)

// makeDevices makes certificates in a workspace. An ID may have a suffix that
// says what is special:
//
//	ID=NAME       under another name
//	ID!expired    its certificate has ended
//	ID!server     a certificate of a server
//	ID!edge       that of an IoT Edge device
//	ID!pfx        with a PFX whose password is kept
//	ID!self       signed by itself
//	ID!locked     its key is encrypted with "open sesame"
//	ID!keyless    its key is gone
func makeDevices(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: make-devices DIR ID...")
	}
	ws, err := workspace.Open(ts.MkAbs(args[0]))
	ts.Check(err)
	for _, arg := range args[1:] {
		id, kind, _ := strings.Cut(arg, "!")
		id, name, _ := strings.Cut(id, "=")
		o := workspace.IssueOptions{Name: name, CA: ws.DefaultCA(), Request: pki.IssueRequest{Profile: pki.ProfileDevice, CommonName: id}}
		switch kind {
		case "expired":
			o.Fault = pki.FaultExpired
		case "server":
			o.Request.Profile, o.Request.DNSNames = pki.ProfileServer, []string{id}
		case "edge":
			o.Request.Profile = pki.ProfileEdgeIdentity
		case "pfx":
			o.PFX = &pki.PFXOptions{}
		case "self":
			o.SelfSigned, o.CA = true, ""
		}
		b, paths, err := ws.Issue(context.Background(), o)
		ts.Check(err)
		switch kind {
		case "locked":
			data, err := pki.EncodeEncryptedKeyPEM(b.Key, []byte("open sesame"))
			ts.Check(err)
			ts.Check(os.WriteFile(paths.Key, data, 0o600))
		case "keyless":
			ts.Check(os.Remove(paths.Key))
		}
	}
}

func makeFleet(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 4 {
		ts.Fatalf("usage: make-fleet DIR OUT PREFIX N")
	}
	ws, err := workspace.Open(ts.MkAbs(args[0]))
	ts.Check(err)
	ca, err := ws.Authority(ws.DefaultCA(), nil)
	ts.Check(err)
	n, err := strconv.Atoi(args[3])
	ts.Check(err)
	ids, err := fleet.Numbered(args[2], 1, n)
	ts.Check(err)
	_, err = fleet.Write(context.Background(), fleet.Options{Authority: ca, IDs: ids}, fleet.Target{Path: ts.MkAbs(args[1])})
	ts.Check(err)
}
