package fleet

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/dpskit/dpskit/pkg/pki"
)

// maxStored bounds what is read of one file of a device.
const maxStored = 1 << 20

// keep looks for a device that a run before made. It reports false when the device is not there or its files are
// damaged, so that it can be made; an error means that something else is in its place.
func (f *folder) keep(m *mint, d *Device, b *bucket) (bool, error) {
	cert, certPEM, err := f.storedCertificate(b, d)
	if err != nil || cert == nil {
		return false, err
	}
	key, keyMissing, err := f.storedKey(b, d)
	switch {
	case err != nil:
		return false, err
	case m.foreign(cert, d.ID) != "":
		return false, fmt.Errorf("keep %q: another certificate %w in %q: %s", d.ID, ErrExists,
			f.show(d.names.certificate()), m.foreign(cert, d.ID))
	case keyMissing:
		return false, fmt.Errorf("keep %q: its certificate %w, but its key %q is missing", d.ID, ErrExists,
			f.show(d.names.key()))
	case key == nil || !pki.KeyMatches(cert, key):
		return false, nil // torn: the key was written before the certificate
	}
	d.Kept = true
	m.describe(d, cert)
	d.Files = Files{
		Certificate: File{Name: d.names.certificate(), Data: certPEM},
		FullChain:   File{Name: d.names.fullChain(), Data: append(bytes.Clone(certPEM), m.chainPEM...)},
		Key:         File{Name: d.names.key(), Private: true},
	}
	if err := f.repair(m, d, b, cert, key); err != nil {
		return false, err
	}
	for _, file := range d.Files.All() {
		file.Data = nil
	}
	return true, nil
}

// storedCertificate returns the certificate of a device, nil when there is none that can be read.
func (f *folder) storedCertificate(b *bucket, d *Device) (*x509.Certificate, []byte, error) {
	data, err := f.stored(b, d.names.certificate())
	if err != nil || data == nil {
		return nil, nil, err
	}
	certs, err := pki.ParseCertificates(data)
	if err != nil || len(certs) != 1 {
		return nil, nil, nil
	}
	return certs[0], data, nil
}

// storedKey returns the key of a device, nil when it cannot be read.
func (f *folder) storedKey(b *bucket, d *Device) (key crypto.Signer, missing bool, err error) {
	data, err := f.stored(b, d.names.key())
	if err != nil || data == nil {
		return nil, data == nil, err
	}
	if key, err = pki.ParseKey(data, nil); err != nil {
		return nil, false, nil
	}
	return key, false, nil
}

// stored returns a file, nil when it is not there.
func (f *folder) stored(b *bucket, name string) ([]byte, error) {
	root, base := b.place(name)
	info, err := root.Lstat(base)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("read %q: %w", f.show(name), cause(err))
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("read %q: something that is no file %w there", f.show(name), ErrExists)
	}
	file, err := root.Open(base)
	if err != nil {
		return nil, fmt.Errorf("read %q: %w", f.show(name), cause(err))
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxStored))
	if err != nil {
		return nil, fmt.Errorf("read %q: %w", f.show(name), cause(err))
	}
	return data, nil
}

// foreign says in what a certificate is not one of the fleet, or nothing.
func (m *mint) foreign(cert *x509.Certificate, id string) string {
	issuer := m.issuer.Certificate()
	switch keyType, err := pki.KeyTypeOf(cert.PublicKey); {
	case cert.Subject.CommonName != id:
		return fmt.Sprintf("its common name is %q", clip(cert.Subject.CommonName))
	case !bytes.Equal(cert.RawIssuer, issuer.RawSubject),
		issuer.CheckSignature(cert.SignatureAlgorithm, cert.RawTBSCertificate, cert.Signature) != nil:
		return "another ca has signed it"
	case err != nil || keyType != m.keyType:
		return "its key is not of the type asked for"
	case !m.sameProfile(cert):
		return "it has other extensions"
	}
	return ""
}

// describe fills in what the index says of a certificate.
func (m *mint) describe(d *Device, cert *x509.Certificate) {
	d.Serial = strings.ToUpper(cert.SerialNumber.Text(16))
	d.NotBefore, d.NotAfter = cert.NotBefore.UTC(), cert.NotAfter.UTC()
	d.setThumbprints(cert.Raw)
}

// repair writes again what can be made from the certificate and the key: the full chain and the PFX.
func (f *folder) repair(m *mint, d *Device, b *bucket, cert *x509.Certificate, key crypto.Signer) error {
	var missing []*File
	chain, err := f.stored(b, d.Files.FullChain.Name)
	if err != nil {
		return err
	}
	if !bytes.Equal(chain, d.Files.FullChain.Data) {
		missing = append(missing, &d.Files.FullChain)
	}
	if m.pfx != nil {
		whole, err := f.keepPFX(m, d, b, cert, key)
		if err != nil {
			return err
		}
		if !whole {
			for _, file := range []*File{&d.Files.PFXPassword, &d.Files.PFX} {
				if file.Name != "" {
					missing = append(missing, file)
				}
			}
		}
	}
	return f.writeAll(b, missing)
}

// keepPFX checks the PFX of a device by opening it. When that fails it makes another one, for repair to write.
func (f *folder) keepPFX(m *mint, d *Device, b *bucket, cert *x509.Certificate, key crypto.Signer) (bool, error) {
	password := m.pfx.Password
	if password == "" {
		data, err := f.stored(b, d.names.pfxPassword())
		if err != nil {
			return false, err
		}
		password = strings.TrimRight(string(data), "\r\n")
	}
	data, err := f.stored(b, d.names.pfx())
	if err != nil {
		return false, err
	}
	if data != nil && password != "" {
		if pfx, err := pki.DecodePFX(data, password); err == nil && pfx.Certificate.Equal(cert) {
			d.Files.PFX = File{Name: d.names.pfx(), Private: true}
			if m.pfx.Password == "" {
				d.Files.PFXPassword = File{Name: d.names.pfxPassword(), Private: true}
			}
			return true, nil
		}
	}
	return false, m.makePFX(d, cert, key, password)
}
