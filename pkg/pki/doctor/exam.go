package doctor

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dpskit/dpskit/pkg/pki"
)

// maxCertificates bounds the distinct certificates of one report.
const maxCertificates = 200

// item is one distinct certificate and the first place where it was found.
type item struct {
	cert     *x509.Certificate
	source   *Source
	position int
	unnamed  bool // the source is no file but an option
}

// exam is one run of [Check].
type exam struct {
	opts    Options
	now     time.Time
	role    Role
	sources []*Source
	given   []*item // from the sources
	known   []*item // from the options
	subject *item   // the certificate in question
	links   verifier

	ways  []route // from the subject upwards
	path  []*item // of the route that is looked at
	above []*item // likewise
	end   ending  // likewise

	findings []Finding
}

// Check examines the certificates and keys of all sources together, as one device, or one enrollment, would use
// them. It never fails: what cannot be used is a finding. Nil options mean that nothing else is known.
func Check(sources []Source, opts *Options) *Report {
	e := &exam{}
	if opts != nil {
		e.opts = *opts
	}
	e.now = time.Now()
	if e.opts.Now != nil {
		e.now = e.opts.Now()
	}
	e.role = e.opts.Role
	for i := range sources {
		e.sources = append(e.sources, &sources[i])
	}
	e.collect()
	e.checkInput()
	if e.findSubject() {
		e.examineRoutes()
	}
	return e.report()
}

// run goes through the checks in the order in which TLS and the service would meet their subjects.
func (e *exam) run() {
	if e.role == RoleOther {
		e.runOther()
		return
	}
	e.checkRole()
	e.checkKeyMatch()
	e.checkChainOrder()
	e.checkChain()
	switch e.role {
	case RoleDevice:
		e.checkDeviceEnrollment()
	case RoleIndividual:
		e.checkIndividualEnrollment()
	case RoleGroup:
		e.checkGroupEnrollment()
	case RoleVerification:
		e.checkProof()
	}
	e.checkKeyTypes()
	e.checkValidity()
	e.checkMargins()
	e.checkHashes()
	e.checkVersions()
	e.checkSerials()
	e.checkExtensions()
	e.checkCAFlags()
	e.checkPathLengths()
	e.checkKeyUsages()
	e.checkExtKeyUsages()
	e.checkRegistrationID()
	e.checkChainFile()
	e.checkFileContents()
}

// runOther checks what counts for every certificate.
func (e *exam) runOther() {
	e.add(Finding{
		Severity: SeverityInfo, Check: CheckRole,
		What: fmt.Sprintf("DPS never sees %s", name(e.subject.cert)),
		Why:  "it is for other programs, whose demands are not checked: only its key, its chain and its dates are",
	}, nil)
	e.checkKeyMatch()
	e.checkChainOrder()
	e.checkChain()
	e.checkValidity()
	e.checkMargins()
}

func (e *exam) report() *Report {
	r := &Report{
		Role: e.role, RoleGuessed: e.opts.Role == RoleAuto && e.opts.Code == "" && e.role != RoleAuto, Time: e.now.UTC().Truncate(time.Second),
		Findings: e.findings, Placements: []Placement{},
	}
	if e.subject != nil {
		r.Certificate = e.subject.ref()
		r.Placements = e.placements()
	}
	for _, f := range r.Findings {
		if f.Severity == SeverityFatal && f.Predicted != nil {
			r.Predicted = f.Predicted
			break
		}
	}
	slices.SortStableFunc(r.Findings, func(a, b Finding) int {
		return slices.Index(AllSeverities(), a.Severity) - slices.Index(AllSeverities(), b.Severity)
	})
	return r
}

// collect makes the lists of distinct certificates.
func (e *exam) collect() {
	seen := map[string]*item{}
	add := func(list []*item, s *Source) []*item {
		for i, cert := range s.Certificates {
			if cert == nil || seen[string(cert.Raw)] != nil {
				continue
			}
			it := &item{cert: cert, source: s, position: i + 1}
			seen[string(cert.Raw)] = it
			list = append(list, it)
		}
		return list
	}
	for _, s := range e.sources {
		e.given = add(e.given, s)
	}
	for i := range e.opts.Known {
		e.known = add(e.known, &e.opts.Known[i])
	}
	files := len(e.known)
	e.known = add(e.known, &Source{Name: "the list of CA certificates", Certificates: e.opts.CAs})
	e.known = add(e.known, &Source{Name: "the enrollment", Certificates: []*x509.Certificate{e.opts.Enrolled}})
	for _, it := range e.known[files:] {
		it.unnamed = true
	}
	if len(e.known) > 10*maxCertificates {
		e.known = e.known[:10*maxCertificates]
	}
}

// add records a finding about a certificate, which may be nil.
func (e *exam) add(f Finding, about *item) {
	if about != nil {
		f.Certificate = about.ref()
	}
	if e.role == RoleOther {
		f.Predicted = nil // it is never asked
	}
	if f.Predicted != nil && e.role == RoleVerification {
		f.Predicted = &answerNoProof // whatever is wrong with a proof, this is the answer
	}
	e.findings = append(e.findings, f)
}

// ok records that a check found nothing, unless it found something.
func (e *exam) ok(id CheckID, format string, args ...any) {
	if !slices.ContainsFunc(e.findings, func(f Finding) bool { return f.Check == id }) {
		e.add(Finding{Severity: SeverityOK, Check: id, What: fmt.Sprintf(format, args...)}, nil)
	}
}

// checkInput reports files that cannot be used.
func (e *exam) checkInput() {
	for _, s := range e.sources {
		unsupported := errors.Is(s.keyErr, pki.ErrUnsupportedKey) || errors.Is(s.Err, pki.ErrUnsupportedKey)
		switch {
		case unsupported && e.weakCertificate(): // which has a finding that says the same
		case s.Err != nil:
			e.reportUnusable(s)
		case s.keyErr != nil && errors.Is(s.keyErr, pki.ErrUnsupportedKey):
			e.add(Finding{
				Severity: SeverityFatal, Check: CheckKeyType, Predicted: &answerInvalid,
				What: fmt.Sprintf("the private key in %s is of no use: %s", quote(s.Name), cause(s.keyErr)),
				Why:  whyKeyType, Fix: fixKeyType,
			}, nil)
		case s.keyErr != nil:
			e.add(Finding{
				Severity: SeverityFatal, Check: CheckInput, Predicted: &answerNoTLS,
				What: fmt.Sprintf("the private key in %s cannot be read: %s", quote(s.Name), cause(s.keyErr)),
				Why:  "a device that cannot load its key cannot prove that the certificate is its own",
				Fix:  "copy the key file again, or issue the certificate again with a new key",
			}, nil)
		case len(s.Certificates) == 0 && s.Key == nil && !s.KeyLocked:
			e.add(Finding{
				Severity: SeverityFatal, Check: CheckInput, What: fmt.Sprintf("%s holds no certificate", quote(s.Name)),
				Why: "there is nothing to present and nothing to enroll", Fix: "give the certificate file",
			}, nil)
		}
	}
	if len(e.given) > maxCertificates {
		e.add(Finding{
			Severity: SeverityFatal, Check: CheckInput, Predicted: &answerInvalid,
			What: fmt.Sprintf("%d certificates were given, more than the limit of %d", len(e.given), maxCertificates),
			Why:  "a chain has a handful of certificates, and services refuse long ones",
			Fix:  "give only the files of one device",
		}, nil)
		e.given = e.given[:maxCertificates]
	}
	e.ok(CheckInput, "%s in %s", count(len(e.given), "certificate"), count(len(e.sources), "file"))
}

// weakCertificate reports whether a given certificate has a key that is not accepted.
func (e *exam) weakCertificate() bool {
	return slices.ContainsFunc(e.given, func(it *item) bool {
		_, known, accepted := describeKey(it.cert.PublicKey)
		return known && !accepted
	})
}

func (e *exam) reportUnusable(s *Source) {
	f := Finding{
		Severity: SeverityFatal, Check: CheckInput,
		What: fmt.Sprintf("%s cannot be used: %s", quote(s.Name), cause(s.Err)),
		Why:  "a device or a service that gets this file fails on it as well",
		Fix:  "write the file again, as PEM or DER; openssl x509 shows whether other programs can read it",
	}
	switch {
	case errors.Is(s.Err, pki.ErrKeyMismatch):
		f.Check, f.Predicted = CheckKeyMatch, &answerNoTLS
		f.Why, f.Fix = whyKeyMatch, fixKeyMatch
	case errors.Is(s.Err, pki.ErrUnsupportedKey):
		f.Check, f.Predicted = CheckKeyType, &answerInvalid
		f.Why, f.Fix = whyKeyType, fixKeyType
	case errors.Is(s.Err, pki.ErrPKCS7):
		f.Why = "devices and the service take PEM, DER or PFX"
		f.Fix = "take the certificates out with openssl pkcs7, and use those"
	case errors.Is(s.Err, pki.ErrRounds):
		f.Fix = "write it again with some thousand rounds, as openssl does unless told otherwise"
	}
	e.add(f, nil)
}

// cause is the text of an error without what the operation was called, which the finding says in its own words.
func cause(err error) string {
	text := err.Error()
	for _, prefix := range []string{"parse certificates: ", "parse key: ", "decode pfx: "} {
		text = strings.TrimPrefix(text, prefix)
	}
	return text
}
