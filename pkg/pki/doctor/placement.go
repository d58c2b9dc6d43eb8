package doctor

import (
	"crypto/x509"
	"fmt"
	"slices"
)

// Place is where a certificate is put to use.
type Place string

// The places.
const (
	PlaceHandshake  Place = "tls-handshake"         // presented by the device
	PlaceGroup      Place = "enrollment-group"      // signing certificate of the group
	PlaceIndividual Place = "individual-enrollment" // client certificate of the enrollment
	PlaceCAList     Place = "ca-certificates"       // uploaded to the service and verified
	PlaceProof      Place = "proof-of-possession"   // uploaded once, to verify a CA certificate
)

// Placement says which certificates belong in a place, and which file can go there as it is.
type Placement struct {
	Place        Place            `json:"place"`
	Certificates []CertificateRef `json:"certificates"`
	// File is the name of the source that holds exactly what belongs there; empty when none does.
	File string `json:"file,omitempty"`
	// KeyFile is the source with the private key, where one is needed.
	KeyFile string `json:"keyFile,omitempty"`
	// Text says all that in plain words, in one line.
	Text string `json:"text"`
}

// placements says for every place of the role what belongs there.
func (e *exam) placements() []Placement {
	switch e.role {
	case RoleOther:
		return []Placement{}
	case RoleGroup:
		return compact(e.placeGroup(e.subject), e.placeRoot())
	case RoleIndividual:
		return compact(e.placeHandshake(), e.placeIndividual(), e.placeRoot())
	case RoleVerification:
		return compact(e.placeProof())
	}
	if selfIssued(e.subject.cert) {
		return compact(e.placeHandshake(), e.placeIndividual())
	}
	return compact(e.placeHandshake(), e.placeGroup(e.nearestCA()), e.placeRoot())
}

func compact(list ...*Placement) []Placement {
	out := []Placement{}
	for _, p := range list {
		if p != nil {
			out = append(out, *p)
		}
	}
	return out
}

// nearestCA returns the issuer of the device, given or known, nil when it is neither.
func (e *exam) nearestCA() *item {
	if levels := e.levels(); len(levels) > 1 {
		return levels[1]
	}
	return nil
}

func (e *exam) placeHandshake() *Placement {
	p := &Placement{Place: PlaceHandshake}
	var want []*x509.Certificate
	for _, it := range e.levels() {
		if it == e.subject || !selfIssued(it.cert) && e.role == RoleDevice {
			p.Certificates = append(p.Certificates, *it.ref())
			want = append(want, it.cert)
		}
	}
	if s := e.handshakeFile(want); s != nil {
		p.File = s.Name
	}
	if s := e.keyOf(e.subject); s != nil {
		p.KeyFile = s.Name
	}
	what := name(e.subject.cert)
	if n := len(want) - 1; n == 1 {
		what += " and the intermediate " + name(want[1])
	} else if n > 1 {
		what += fmt.Sprintf(" and %d intermediates, nearest first", n)
	}
	p.Text = fmt.Sprintf("the device presents %s", what)
	switch {
	case p.File != "":
		p.Text += fmt.Sprintf(": use %s", quote(p.File))
	case len(want) > 1:
		p.Text += "; no file holds exactly that: join them in this order"
	}
	switch {
	case p.KeyFile == "" || p.KeyFile == p.File:
	case p.File != "":
		p.Text += fmt.Sprintf(" with the key %s", quote(p.KeyFile))
	default:
		p.Text += fmt.Sprintf("; its key is in %s", quote(p.KeyFile))
	}
	return p
}

// handshakeFile returns a source that holds the certificates in order, and perhaps their root behind them. One with
// the key in it comes last, because not every SDK reads both from one file.
func (e *exam) handshakeFile(want []*x509.Certificate) *Source {
	var second *Source
	for _, s := range e.sources {
		certs := s.Certificates
		if len(certs) == len(want)+1 && certs[len(want)] != nil && selfIssued(certs[len(want)]) {
			certs = certs[:len(want)]
		}
		if !slices.EqualFunc(certs, want, func(a, b *x509.Certificate) bool { return a != nil && a.Equal(b) }) {
			continue
		}
		if s.Format != FormatPFX {
			return s
		}
		if second == nil {
			second = s
		}
	}
	return second
}

// fileOf returns the name of a source that holds nothing but one certificate.
func (e *exam) fileOf(cert *x509.Certificate) string {
	for _, s := range e.sources {
		if len(s.Certificates) == 1 && s.Certificates[0] != nil && s.Certificates[0].Equal(cert) && s.Format != FormatPFX {
			return s.Name
		}
	}
	for i := range e.opts.Known {
		s := &e.opts.Known[i]
		if len(s.Certificates) == 1 && s.Certificates[0] != nil && s.Certificates[0].Equal(cert) {
			return s.Name
		}
	}
	return ""
}

// single is a placement of one certificate in a place that takes one.
func (e *exam) single(place Place, it *item, text string) *Placement {
	p := &Placement{Place: place, Certificates: []CertificateRef{*it.ref()}, File: e.fileOf(it.cert), Text: text}
	switch {
	case p.File != "":
		p.Text += fmt.Sprintf(": use %s", quote(p.File))
	case !it.unnamed:
		p.Text += "; no file holds it alone: cut it out of " + quote(it.source.Name)
	}
	return p
}

func (e *exam) placeGroup(ca *item) *Placement {
	if ca == nil {
		return &Placement{
			Place: PlaceGroup, Certificates: []CertificateRef{},
			Text: fmt.Sprintf("an enrollment group holds the issuer %s, whose certificate was not given",
				quote(e.subject.cert.Issuer.String())),
		}
	}
	if e.role == RoleGroup && e.refused(CheckRole) {
		return nil
	}
	return e.single(PlaceGroup, ca, fmt.Sprintf("an enrollment group holds the CA %s, one certificate alone", name(ca.cert)))
}

func (e *exam) placeIndividual() *Placement {
	if e.refused(CheckRole) && e.role == RoleIndividual {
		return nil
	}
	return e.single(PlaceIndividual, e.subject, fmt.Sprintf("an individual enrollment holds %s, one certificate alone",
		name(e.subject.cert)))
}

// placeRoot says what the service must have verified: the top of the chain.
func (e *exam) placeRoot() *Placement {
	levels := e.levels()
	top := levels[len(levels)-1]
	switch {
	case !selfIssued(top.cert):
		return &Placement{
			Place: PlaceCAList, Certificates: []CertificateRef{},
			Text: fmt.Sprintf("the CA certificates of the service must contain the root above %s, verified; it was not given",
				name(top.cert)),
		}
	case e.role == RoleIndividual && top == e.subject:
		return nil
	}
	return e.single(PlaceCAList, top, fmt.Sprintf("the CA certificates of the service must contain %s, verified", name(top.cert)))
}

func (e *exam) placeProof() *Placement {
	return e.single(PlaceProof, e.subject, fmt.Sprintf("this proves possession of the key of %s: upload it where the code came from",
		quote(e.subject.cert.Issuer.String())))
}
