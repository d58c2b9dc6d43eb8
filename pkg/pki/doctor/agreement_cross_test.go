package doctor_test

import (
	"crypto/x509"
	"slices"
	"testing"
	"time"

	"github.com/dpskit/dpskit/pkg/pki"
)

// twinCA makes certificates of one CA, with one name and key, by several issuers.
func twinCA(t *testing.T, cn string, issuers []*pki.Authority, validity ...pki.Validity) []*pki.Authority {
	t.Helper()
	key := newKey(t)
	var out []*pki.Authority
	for i, issuer := range issuers {
		opts := &pki.CAOptions{CommonName: cn, Key: key, Validity: validity[i]}
		if issuer == nil {
			out = append(out, must(pki.NewRoot(opts))(t))
		} else {
			out = append(out, must(issuer.NewIntermediate(opts))(t))
		}
	}
	return out
}

// The service takes any chain that is in order, so what the doctor says must not depend on the one that it meets first.
func TestAgreesOnCrossSignedChains(t *testing.T) {
	now := time.Now()
	sound := pki.Validity{}
	expired := pki.Validity{NotBefore: now.AddDate(0, 0, -20), NotAfter: now.AddDate(0, 0, -10)}
	rootA := must(pki.NewRoot(&pki.CAOptions{CommonName: "Root A"}))(t)
	rootB := must(pki.NewRoot(&pki.CAOptions{CommonName: "Root B"}))(t)
	a, b := rootA.Certificate(), rootB.Certificate()

	cross := twinCA(t, "Cross", []*pki.Authority{rootA, rootB}, sound, sound)
	ca, cb := cross[0].Certificate(), cross[1].Certificate()
	half := twinCA(t, "Half", []*pki.Authority{rootA, rootB}, expired, sound)
	ha, hb := half[0].Certificate(), half[1].Certificate()
	roots := twinCA(t, "Renewed Root", []*pki.Authority{nil, nil}, expired, sound)
	oldRoot, newRoot := roots[0].Certificate(), roots[1].Certificate()
	sub := must(roots[1].NewIntermediate(&pki.CAOptions{CommonName: "Sub of Renewed"}))(t)
	below := must(cross[1].NewIntermediate(&pki.CAOptions{CommonName: "Below Cross"}))(t)
	selfCross := twinCA(t, "Self and Cross", []*pki.Authority{nil, rootA}, sound, sound)
	self, bySelf := selfCross[0].Certificate(), selfCross[1].Certificate()
	stranger := must(pki.NewRoot(&pki.CAOptions{CommonName: "Root A"}))(t) // another key

	issue := func(ca *pki.Authority, present ...*x509.Certificate) *pki.Bundle {
		b := must(ca.Issue(pki.IssueRequest{CommonName: "a"}))(t)
		b.Issuers = present
		return b
	}
	var situations []situation
	// Every situation is tried with what the device presents in both orders.
	add := func(name string, device *pki.Bundle, enrolled *x509.Certificate, verified ...*x509.Certificate) {
		turned := *device
		turned.Issuers = slices.Clone(device.Issuers)
		slices.Reverse(turned.Issuers)
		situations = append(situations,
			situation{name: name, device: device, enrolled: enrolled, verified: verified},
			situation{name: name + ", turned", device: &turned, enrolled: enrolled, verified: verified})
	}
	add("cross-signed, both verified", issue(cross[0], ca, cb), ca, a, b)
	add("cross-signed, one verified", issue(cross[0], ca, cb), cb, b)
	add("cross-signed, roots sent", issue(cross[0], ca, cb, a, b), ca, b, a)
	add("cross-signed, group of a root", issue(cross[0], ca, cb), b, a, b)
	add("cross-signed, group of the root that is not verified", issue(cross[0], ca, cb), b, a)
	add("cross-signed, neither verified", issue(cross[0], ca, cb), ca, newRoot)
	add("cross-signed, group of one, verified the other", issue(cross[0], ca, cb), ca, b)
	add("cross-signed, one level down", issue(below, below.Certificate(), ca, cb), below.Certificate(), b)
	add("cross-signed, one level down, wrong one sent", issue(below, below.Certificate(), ca), below.Certificate(), b)
	add("one expired", issue(half[1], ha, hb), hb, a, b)
	add("one expired, other verified", issue(half[1], ha, hb), hb, b)
	add("one expired, its root verified", issue(half[1], ha, hb), ha, a)
	add("one expired, group of the expired one", issue(half[1], ha, hb), ha, a, b)
	add("one expired, group of its root", issue(half[1], ha, hb), a, a, b)
	add("one expired, alone", issue(half[1], ha), ha, a)
	add("two roots, both verified", issue(sub, sub.Certificate()), sub.Certificate(), oldRoot, newRoot)
	add("two roots, the old one sent", issue(sub, sub.Certificate(), oldRoot), sub.Certificate(), newRoot)
	add("two roots, the old one sent, both verified", issue(sub, sub.Certificate(), oldRoot), sub.Certificate(), oldRoot, newRoot)
	add("two roots, both sent, the old one verified", issue(sub, sub.Certificate(), oldRoot, newRoot), sub.Certificate(), oldRoot)
	add("two roots, both sent, the new one verified", issue(sub, sub.Certificate(), oldRoot, newRoot), sub.Certificate(), newRoot)
	add("two roots, group of the new one", issue(sub, sub.Certificate(), oldRoot), newRoot, newRoot)
	add("two roots, group of the old one", issue(sub, sub.Certificate(), newRoot), oldRoot, oldRoot, newRoot)
	add("two roots, no list but the group", issue(roots[1], oldRoot), newRoot, newRoot)
	add("root that is cross-signed, itself verified", issue(selfCross[0], bySelf), self, self)
	add("root that is cross-signed, sent twice", issue(selfCross[0], bySelf, self), bySelf, a)
	add("root that is cross-signed, group of the cross, root verified", issue(selfCross[0], bySelf, self), bySelf, self)
	add("another root of the same name sent", issue(cross[0], ca, stranger.Certificate()), ca, a)
	add("another root of the same name verified", issue(cross[0], ca), ca, stranger.Certificate())
	add("both roots of the same name verified", issue(cross[0], ca), ca, stranger.Certificate(), a)
	agree(t, situations)
}
