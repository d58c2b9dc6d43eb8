package pki_test

import (
	"testing"

	"github.com/dpskit/dpskit/pkg/pki"
	"github.com/dpskit/dpskit/pkg/pki/pkitest"
)

// BenchmarkPFX makes the PKCS#12 file of a device, reading it back included. The key derivations are the cost.
//
//	go test -run '^$' -bench PFX ./pkg/pki
func BenchmarkPFX(b *testing.B) {
	device := pkitest.Device(b, "bench")
	for _, profile := range pki.AllPFXProfiles() {
		b.Run(string(profile), func(b *testing.B) {
			for b.Loop() {
				if _, err := device.PFX(pki.PFXOptions{Profile: profile, Password: "a password of usual length"}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
