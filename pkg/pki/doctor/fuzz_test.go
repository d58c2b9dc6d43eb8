package doctor_test

import (
	"encoding/base64"
	"errors"
	"testing"

	"github.com/dpskit/dpskit/pkg/pki"
	"github.com/dpskit/dpskit/pkg/pki/doctor"
)

// Any two files come to a report that holds what a report promises, or to an error about a password.
func FuzzCheck(f *testing.F) {
	b := newDevice(f, "dev-1")
	chain, key, file := b.FullChainPEM(), keyPEM(f, b), pfx(f, b, "")
	f.Add(chain, key, "device")
	f.Add(b.Certificate.Raw, file, "")
	f.Add(join(key, chain), bomb(f, file), "individual")
	f.Add(toUTF16(chain), []byte(base64.StdEncoding.EncodeToString(b.Certificate.Raw)), "group")
	f.Add(pki.EncodeCertificatesPEM(b.Root(), b.Certificate), []byte("-----BEGIN CERTIFICATE-----\n"), "verification")
	for _, fault := range pki.AllFaults() {
		if broken, err := pki.SelfSignedBroken(pki.IssueRequest{CommonName: "dev-1", Now: clock}, fault); err == nil {
			f.Add(broken.FullChainPEM(), keyPEM(f, broken), "individual")
		}
	}
	f.Fuzz(func(t *testing.T, first, second []byte, role string) {
		parsed, err := doctor.ParseRole(role)
		if err != nil {
			return
		}
		var sources []doctor.Source
		for _, data := range [][]byte{first, second} {
			s, err := doctor.Read("file", data, nil)
			if err != nil {
				if !errors.Is(err, pki.ErrPassphraseRequired) && !errors.Is(err, pki.ErrWrongPassphrase) {
					t.Fatal(err)
				}
				continue
			}
			sources = append(sources, s)
		}
		r := check(sources, doctor.Options{Role: parsed, RegistrationID: "dev-1"})
		checkTexts(t, r)
		if len(r.Findings) == 0 || r.Certificate == nil && !r.Fatal() {
			t.Errorf("a report without a certificate says:\n%s", describe(r))
		}
	})
}
