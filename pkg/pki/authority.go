package pki

import (
	"crypto"
	"crypto/x509"
	"fmt"
	"net"
	"slices"
	"time"
)

// Common names of the original scripts, which tutorials and portal screenshots show.
const (
	DefaultRootCN         = "Azure IoT Hub CA Cert Test Only"
	DefaultIntermediateCN = "Azure IoT Hub Intermediate Cert Test Only"
)

// CAOptions describes a new CA. Nil and zero fields mean defaults.
type CAOptions struct {
	// CommonName is the subject. Default: that of the original scripts, with a number from the second
	// intermediate on, because a CA must not have the name of its issuer.
	CommonName string
	KeyType    KeyType
	Validity   Validity
	// MaxPathLen is how many further CAs may stand between this one and a leaf; nil means no limit. More than the path
	// lengths of the issuers leave is refused ([ErrPathLenTooLarge]).
	MaxPathLen *int
	// PermittedDNSNames and PermittedIPRanges are the only names that servers below the CA may have; a DNS name
	// permits itself and every name below it. When either is given, a kind of which nothing is permitted is excluded
	// as a whole. Empty means no limit. Common names are not limited, so the registration IDs of devices are free. A
	// CA that gets into a trust store of a system does less harm in wrong hands with such limits (RFC 5280 section
	// 4.2.1.10; the extension is critical).
	PermittedDNSNames []string
	PermittedIPRanges []*net.IPNet
	// Key is used instead of a new one.
	Key crypto.Signer
	// Now is the clock; nil means [time.Now].
	Now func() time.Time
}

// Authority is a CA certificate with its key and its issuers. It is immutable and safe for concurrent use.
type Authority struct {
	chain []*x509.Certificate // itself first, root last
	key   crypto.Signer
}

// NewRoot makes a self-signed CA.
func NewRoot(opts *CAOptions) (*Authority, error) {
	o := caOptions(opts)
	if o.CommonName == "" {
		o.CommonName = DefaultRootCN
	}
	a, err := newCA(nil, ProfileRoot, o)
	if err != nil {
		return nil, fmt.Errorf("create root ca: %w", err)
	}
	return a, nil
}

// NewIntermediate makes a CA below a. It is refused when a has expired or when a path length in its chain allows no
// further CA ([ErrExpired], [ErrNotYetValid], [ErrPathLen]).
func (a *Authority) NewIntermediate(opts *CAOptions) (*Authority, error) {
	o := caOptions(opts)
	if o.CommonName == "" {
		o.CommonName = DefaultIntermediateCN
		if level := len(a.chain); level > 1 {
			o.CommonName = fmt.Sprintf("%s %d", DefaultIntermediateCN, level)
		}
	}
	ca, err := newCA(a, ProfileIntermediate, o)
	if err != nil {
		return nil, fmt.Errorf("create intermediate ca: %w", err)
	}
	return ca, nil
}

func caOptions(opts *CAOptions) CAOptions {
	if opts == nil {
		return CAOptions{}
	}
	return *opts
}

func newCA(issuer *Authority, profile Profile, o CAOptions) (*Authority, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	b, err := issue(issuer, IssueRequest{
		Profile: profile, CommonName: o.CommonName, KeyType: o.KeyType, Key: o.Key, Validity: o.Validity, Now: o.Now,
	}, &o)
	if err != nil {
		return nil, err
	}
	return &Authority{chain: append([]*x509.Certificate{b.Certificate}, b.Issuers...), key: b.Key}, nil
}

// LoadAuthority makes an authority of a CA certificate that exists already, with its key. chain[0] is the CA
// itself; the others are its issuers in any order, and the root may be missing.
//
// It refuses a certificate that may not sign ([ErrNotCA]), a key that is not its own ([ErrKeyMismatch]), a key of a
// kind that the service does not take ([ErrUnsupportedKey]), and certificates that do not belong to the chain. It
// does not look at dates; [Authority.Issue] does.
func LoadAuthority(chain []*x509.Certificate, key crypto.Signer) (*Authority, error) {
	if len(chain) == 0 || chain[0] == nil {
		return nil, fmt.Errorf("load ca: no certificate given")
	}
	cert := chain[0]
	if err := checkCA(cert); err != nil {
		return nil, fmt.Errorf("load ca: %w", err)
	}
	if err := checkPublicKey(cert.PublicKey); err != nil {
		return nil, fmt.Errorf("load ca %q: %w", subjectName(cert), err)
	}
	if !KeyMatches(cert, key) {
		return nil, fmt.Errorf("load ca %q: %w", subjectName(cert), ErrKeyMismatch)
	}
	ordered, rest := orderChain(cert, chain[1:])
	if len(rest) > 0 {
		return nil, fmt.Errorf("load ca %q: certificate %q is not one of its issuers", subjectName(cert),
			subjectName(rest[0]))
	}
	for _, issuer := range ordered[1:] {
		if err := checkCA(issuer); err != nil {
			return nil, fmt.Errorf("load ca %q: issuer: %w", subjectName(cert), err)
		}
	}
	return &Authority{chain: ordered, key: key}, nil
}

// Certificate returns the CA certificate.
func (a *Authority) Certificate() *x509.Certificate { return a.chain[0] }

// Key returns the private key of the CA.
func (a *Authority) Key() crypto.Signer { return a.key }

// Chain returns the CA certificate and its issuers, the root last. The slice is the caller's.
func (a *Authority) Chain() []*x509.Certificate { return slices.Clone(a.chain) }

// Bundle returns the authority as a bundle, for export.
func (a *Authority) Bundle() *Bundle {
	profile := ProfileIntermediate
	if isSelfSigned(a.chain[0]) {
		profile = ProfileRoot
	}
	return &Bundle{Profile: profile, Certificate: a.chain[0], Key: a.key, Issuers: slices.Clone(a.chain[1:])}
}

// ready checks that the authority can sign now, another CA if below is true.
func (a *Authority) ready(now time.Time, below bool) error {
	for _, cert := range a.chain {
		if err := checkDates(cert, now); err != nil {
			return err
		}
	}
	if below {
		return checkPathLen(a.chain, 0)
	}
	return checkPathLen(a.chain, -1)
}

// checkPathLen checks the path lengths of a chain of CAs, nearest to the leaf first. extra is 0 when one more CA is
// to stand below chain[0], -1 when a leaf is.
func checkPathLen(chain []*x509.Certificate, extra int) error {
	for i, cert := range chain {
		limit, ok := pathLen(cert)
		if below := i + 1 + extra; ok && below > limit {
			return fmt.Errorf("certificate %q: %w: its path length %d leaves no room for %s below it",
				subjectName(cert), ErrPathLen, limit, countCAs(below))
		}
	}
	return nil
}

func countCAs(n int) string {
	if n == 1 {
		return "a CA"
	}
	return fmt.Sprintf("%d CAs", n)
}

// checkRoom checks that a CA below issuers, the nearest first, can have as many CAs below it as its path length says
// (RFC 5280 section 4.2.1.9).
func (o *CAOptions) checkRoom(issuers []*x509.Certificate) error {
	if o.MaxPathLen == nil {
		return nil
	}
	most, by := *o.MaxPathLen, (*x509.Certificate)(nil)
	for i, cert := range issuers {
		if limit, ok := pathLen(cert); ok && limit-i-1 < most {
			most, by = limit-i-1, cert
		}
	}
	if by == nil {
		return nil
	}
	return fmt.Errorf("%w: %d, and the path length %d of %q leaves %d at most", ErrPathLenTooLarge, *o.MaxPathLen,
		by.MaxPathLen, subjectName(by), most)
}

// pathLen returns the path length constraint of a CA, if it has one.
func pathLen(cert *x509.Certificate) (int, bool) {
	if !cert.BasicConstraintsValid || !cert.IsCA || cert.MaxPathLen < 0 {
		return 0, false
	}
	return cert.MaxPathLen, cert.MaxPathLen > 0 || cert.MaxPathLenZero
}

// checkCA checks that a certificate is a CA and may sign certificates.
func checkCA(cert *x509.Certificate) error {
	switch {
	case !cert.BasicConstraintsValid:
		return fmt.Errorf("certificate %q: %w: it has no basic constraints", subjectName(cert), ErrNotCA)
	case !cert.IsCA:
		return fmt.Errorf("certificate %q: %w: its basic constraints say CA:FALSE", subjectName(cert), ErrNotCA)
	case cert.KeyUsage != 0 && cert.KeyUsage&x509.KeyUsageCertSign == 0:
		return fmt.Errorf("certificate %q: %w: its key usage lacks keyCertSign", subjectName(cert), ErrNotCA)
	}
	return nil
}
