package doctor_test

import (
	"testing"

	"github.com/dpskit/dpskit/pkg/pki"
	"github.com/dpskit/dpskit/pkg/pki/doctor"
)

// finding is what a fault must come to.
type finding struct {
	check     doctor.CheckID
	severity  doctor.Severity
	word      string
	predicted string
	also      []doctor.CheckID // what goes with it
}

var faultFindings = map[pki.Fault]finding{
	pki.FaultExpired:     {doctor.CheckValidity, "fatal", "has expired", invalid, nil},
	pki.FaultNotYetValid: {doctor.CheckValidity, "fatal", "is not valid yet", invalid, nil},
	pki.FaultCATrue:      {doctor.CheckCAFlag, "fatal", "CA:TRUE", invalid, nil},
	pki.FaultWrongEKU:    {doctor.CheckExtKeyUsage, "fatal", "lacks clientAuth", invalid, nil},
	pki.FaultNoEKU:       {doctor.CheckExtKeyUsage, "warning", "names no extended key usage", "", nil},
	pki.FaultWrongIssuer: {doctor.CheckChainComplete, "fatal", `"CN=Azure IoT Hub Wrong Issuer Test Only", is missing`, unknownCA,
		[]doctor.CheckID{doctor.CheckSurplus}},
	pki.FaultWeakKey:        {doctor.CheckKeyType, "fatal", "key", invalid, nil},
	pki.FaultBadSignature:   {doctor.CheckChainSignature, "fatal", "is not that of", invalid, nil},
	pki.FaultReordered:      {doctor.CheckChainOrder, "warning", "should come later", "", nil},
	pki.FaultNoIntermediate: {doctor.CheckChainComplete, "fatal", `"CN=Azure IoT Hub Intermediate Cert Test Only", is missing`, unknownCA, nil},
}

// files are a bundle as it lies on a disk.
func files(t *testing.T, b *pki.Bundle) []doctor.Source {
	t.Helper()
	var out []doctor.Source
	for _, file := range []struct {
		name string
		data []byte
	}{
		{"dev.cert.pem", b.CertificatePEM()}, {"dev-full-chain.cert.pem", b.FullChainPEM()}, {"dev.key.pem", keyPEM(t, b)},
		{"dev.cert.pfx", pfx(t, b, "pw")},
	} {
		s, err := doctor.Read(file.name, file.data, &doctor.ReadOptions{PFXPassword: secret("pw")})
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, s)
	}
	return out
}

// The doctor finds every fault that package pki makes on purpose, says so first, and takes nothing else for wrong.
func TestFindsEveryFault(t *testing.T) {
	root, err := pki.NewRoot(&pki.CAOptions{Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	rsaRoot, err := pki.NewRoot(&pki.CAOptions{Now: clock, KeyType: pki.KeyRSA2048})
	if err != nil {
		t.Fatal(err)
	}
	type run struct {
		name    string
		root    *pki.Authority
		keyType pki.KeyType
	}
	for _, fault := range pki.AllFaults() {
		runs := []run{{"default", root, ""}, {"P-384", root, pki.KeyECP384}}
		if fault == pki.FaultBadSignature || fault == pki.FaultWeakKey {
			runs = append(runs, run{"RSA", rsaRoot, pki.KeyRSA2048})
		}
		for _, run := range runs {
			t.Run(string(fault)+" "+run.name, func(t *testing.T) {
				ca, err := run.root.NewIntermediate(&pki.CAOptions{Now: clock, KeyType: run.keyType})
				if err != nil {
					t.Fatal(err)
				}
				b, err := ca.IssueBroken(pki.IssueRequest{CommonName: "dev-1", KeyType: run.keyType, Now: clock}, fault)
				if err != nil {
					t.Fatal(err)
				}
				want, ok := faultFindings[fault]
				if !ok {
					t.Fatal("nobody said what the doctor should find")
				}
				for _, role := range []doctor.Role{doctor.RoleDevice, doctor.RoleAuto} {
					r := check(files(t, b), doctor.Options{Role: role})
					expect(t, r, want.check, want.severity, want.word, want.predicted)
					expectOnly(t, r, append(want.also, want.check)...)
					if want.severity == "fatal" && r.Findings[0].Severity != "fatal" {
						t.Errorf("it is not the first finding:\n%s", describe(r))
					}
					checkTexts(t, r)
				}
			})
		}
	}
	b, err := root.Issue(pki.IssueRequest{CommonName: "dev-1", Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	expectOnly(t, check(files(t, b), doctor.Options{}))
}

func TestFindsEveryFaultSelfSigned(t *testing.T) {
	for _, fault := range pki.AllFaults() {
		if fault.InChain() {
			continue
		}
		b, err := pki.SelfSignedBroken(pki.IssueRequest{CommonName: "dev-1", Now: clock}, fault)
		if err != nil {
			t.Fatal(err)
		}
		want := faultFindings[fault]
		switch fault {
		case pki.FaultBadSignature: // the service compares the certificate as it is
			want.predicted, want.word = "", "is not its own"
		case pki.FaultCATrue:
			want.check, want.severity, want.word, want.predicted = doctor.CheckRole, "warning", "is self-signed and marked as a CA", ""
		}
		r := check(files(t, b), doctor.Options{Role: doctor.RoleIndividual})
		expect(t, r, want.check, want.severity, want.word, want.predicted)
		expectOnly(t, r, want.check)
	}
}
