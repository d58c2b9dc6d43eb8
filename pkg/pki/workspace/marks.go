package workspace

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"slices"

	"github.com/dpskit/dpskit/pkg/pki"
)

// wrongIssuerCN is the issuer of certificates with [pki.FaultWrongIssuer].
const wrongIssuerCN = "Azure IoT Hub Wrong Issuer Test Only"

// recallMarks returns the entries of certificates that are broken on purpose, by their SHA-256 thumbprints, from a
// manifest that may be damaged: every entry that is whole counts.
func recallMarks(data []byte) map[string]Entry {
	marks := map[string]Entry{}
	field := []byte(`"broken"`)
	for from := 0; ; {
		at := bytes.Index(data[from:], field)
		if at < 0 {
			return marks
		}
		at += from
		from = at + len(field)
		// The object that the field is in may have another one, its files, in front of it.
		for begin, tries := at, 0; tries < 3; tries++ {
			if begin = bytes.LastIndexByte(data[:begin], '{'); begin < 0 {
				break
			}
			var e Entry
			if json.NewDecoder(bytes.NewReader(data[begin:])).Decode(&e) == nil && e.check() == nil && isFault(e.Broken) {
				marks[e.SHA256Thumbprint] = e
				break
			}
		}
	}
}

func isFault(f pki.Fault) bool {
	_, err := pki.ParseFault(string(f))
	return err == nil
}

// markBroken marks what is broken on purpose: what was marked before, and what a certificate or its chain tells by
// itself. Wrong dates and usages tell nothing: they may be anybody's.
func markBroken(f *folder, entries map[string]Entry, certs map[string]*x509.Certificate, marks map[string]Entry) {
	for name, e := range entries {
		if old, ok := marks[e.SHA256Thumbprint]; ok {
			e.Broken, e.Profile = old.Broken, old.Profile
			if ca, ok := entries[old.CA]; ok && ca.Profile.IsCA() && e.CA == "" {
				e.CA = old.CA
			}
		} else if name != RootName {
			guessBroken(f, &e, certs[name], entries, certs)
		}
		entries[name] = e
	}
}

// guessBroken marks an entry by what its certificate and its chain tell.
func guessBroken(f *folder, e *Entry, cert *x509.Certificate, entries map[string]Entry, certs map[string]*x509.Certificate) {
	clientOnly := slices.Equal(cert.ExtKeyUsage, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth})
	switch {
	case weakKey(cert):
		e.Broken = pki.FaultWeakKey
	case cert.Issuer.CommonName == wrongIssuerCN:
		e.Broken = pki.FaultWrongIssuer
	case e.Profile == pki.ProfileIntermediate && clientOnly: // no CA is made like that
		e.Broken, e.Profile = pki.FaultCATrue, pki.ProfileDevice
	case e.CA == "":
		if ca := badSigner(cert, entries, certs); ca != "" {
			e.Broken, e.CA = pki.FaultBadSignature, ca
		}
	case e.Files.FullChain != "":
		e.Broken = chainFault(f, *e, cert, certs[e.CA])
	}
}

func weakKey(cert *x509.Certificate) bool {
	switch key := cert.PublicKey.(type) {
	case *rsa.PublicKey:
		return key.N.BitLen() < 2048
	case *ecdsa.PublicKey:
		return key.Curve == elliptic.P224()
	}
	return false
}

// badSigner returns the CA whose name and key identifier a certificate has, without its signature.
func badSigner(cert *x509.Certificate, entries map[string]Entry, certs map[string]*x509.Certificate) string {
	if len(cert.AuthorityKeyId) == 0 {
		return ""
	}
	for name, ca := range certs {
		if entries[name].Profile.IsCA() && bytes.Equal(ca.RawSubject, cert.RawIssuer) &&
			bytes.Equal(ca.SubjectKeyId, cert.AuthorityKeyId) && !ca.Equal(cert) && !issued(ca, cert) {
			return name
		}
	}
	return ""
}

// chainFault says what is wrong in the full chain file of a certificate whose issuer is known.
func chainFault(f *folder, e Entry, cert, ca *x509.Certificate) pki.Fault {
	chain, err := readCertificates(f, e.Files.FullChain)
	if err != nil || len(chain) < 2 || !chain[0].Equal(cert) || issued(ca, ca) {
		return ""
	}
	at := slices.IndexFunc(chain, ca.Equal)
	switch {
	case at < 0 && issued(chain[1], ca):
		return pki.FaultNoIntermediate
	case at > 1:
		return pki.FaultReordered
	}
	return ""
}
