package emulator

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"

	"github.com/dpskit/dpskit/pkg/pki"
)

// Files of the TLS CA in the data folder.
const (
	caFile    = "ca.pem"
	caKeyFile = "ca.key.pem"
)

// Lifetimes in days. The CA outlives a data folder; the server certificate is
// made anew on each start.
const (
	caDays     = 3650
	serverDays = 397
)

// identity is how the emulator proves itself to clients.
type identity struct {
	ca     *x509.Certificate
	server tls.Certificate
}

// newIdentity loads or makes the CA and issues a server certificate for names.
// It must be called by the owner of the data folder.
func newIdentity(dir string, names []string) (identity, error) {
	ca, err := loadCA(dir)
	if err != nil {
		return identity{}, err
	}
	req := pki.IssueRequest{
		Profile: pki.ProfileServer, CommonName: "localhost", Validity: pki.Validity{Days: serverDays},
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			req.IPAddresses = append(req.IPAddresses, ip)
		} else {
			req.DNSNames = append(req.DNSNames, name)
		}
	}
	bundle, err := ca.Issue(req)
	if err != nil {
		return identity{}, fmt.Errorf("issue server certificate: %w", err)
	}
	server, err := bundle.TLSCertificate()
	if err != nil {
		return identity{}, fmt.Errorf("issue server certificate: %w", err)
	}
	return identity{ca: ca.Certificate(), server: server}, nil
}

func loadCA(dir string) (ca *pki.Authority, err error) {
	if dir == "" {
		return newCA()
	}
	file := filepath.Join(dir, caFile)
	cert, err := os.ReadFile(file) //nolint:gosec // the user's own data folder
	if errors.Is(err, fs.ErrNotExist) {
		return createCA(dir)
	}
	if err != nil {
		return nil, fmt.Errorf("read tls ca: %w", err)
	}
	key, err := os.ReadFile(filepath.Join(dir, caKeyFile)) //nolint:gosec // as above
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, damagedCA(file, fmt.Errorf("there is no %s", caKeyFile))
	case err != nil:
		return nil, fmt.Errorf("read key of tls ca: %w", err)
	}
	chain, err := pki.ParseCertificates(cert)
	if err != nil {
		return nil, damagedCA(file, err)
	}
	signer, err := pki.ParseKey(key, nil)
	if err != nil {
		return nil, damagedCA(file, fmt.Errorf("its key: %w", err))
	}
	if ca, err = pki.LoadAuthority(chain, signer); err != nil {
		return nil, damagedCA(file, err)
	}
	return ca, nil
}

// damagedCA keeps what the cause is out of what callers tell apart.
func damagedCA(file string, cause error) error {
	return fmt.Errorf("tls ca %q: %w: %v", file, ErrDataDamaged, cause)
}

func newCA() (*pki.Authority, error) {
	none := 0
	ca, err := pki.NewRoot(&pki.CAOptions{
		CommonName: "dpskit emulator TLS CA", Validity: pki.Validity{Days: caDays}, MaxPathLen: &none,
	})
	if err != nil {
		return nil, fmt.Errorf("make tls ca: %w", err)
	}
	return ca, nil
}

// createCA writes the key first: a CA whose certificate was never written was
// never used, and is made again.
func createCA(dir string) (*pki.Authority, error) {
	ca, err := newCA()
	if err != nil {
		return nil, err
	}
	key, err := pki.EncodeKeyPEM(ca.Key())
	if err != nil {
		return nil, fmt.Errorf("make tls ca: %w", err)
	}
	if err := writeFile(filepath.Join(dir, caKeyFile), key, 0o600); err != nil {
		return nil, fmt.Errorf("write key of tls ca: %w", err)
	}
	if err := writeFile(filepath.Join(dir, caFile), pki.EncodeCertificatesPEM(ca.Certificate()), 0o644); err != nil {
		return nil, fmt.Errorf("write tls ca: %w", err)
	}
	return ca, nil
}

// writeFile replaces path in one step. The temporary file has the final mode
// from its birth, or less under a strict umask.
func writeFile(path string, data []byte, mode fs.FileMode) error {
	temp := path + ".new"
	if err := os.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode) //nolint:gosec // as above
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	return os.Rename(temp, path)
}
