package desired

import (
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"

	"github.com/dpskit/dpskit/pkg/dps/internal/document"
	"github.com/dpskit/dpskit/pkg/dps/internal/tree"
	"github.com/dpskit/dpskit/pkg/dps/internal/yamltree"
	"github.com/dpskit/dpskit/pkg/dps/service"
	"github.com/dpskit/dpskit/pkg/pki"
)

// Format is the format of a document.
type Format string

// The formats. The zero value is YAML, of which JSON is nearly a part.
const (
	YAML Format = "yaml"
	JSON Format = "json"
)

// Kind is a kind of object, as the service calls it.
type Kind string

// The kinds, in the order in which they depend on each other.
const (
	KindCertificate Kind = "certificate"
	KindGroup       Kind = "enrollmentGroup"
	KindEnrollment  Kind = "enrollment"
)

// Document is a desired state.
type Document struct {
	Certificates []Certificate
	Groups       []service.EnrollmentGroup
	Enrollments  []service.IndividualEnrollment
	// Sections are the kinds that the document is about, those with an empty
	// list included.
	Sections map[Kind]bool
	// NoValue are the sections that have neither a list nor [], perhaps because
	// all of it is commented out, by the name that they have in the document.
	// Compare does not prune by them.
	NoValue []string
}

// Certificate is a CA certificate that the service should have.
type Certificate struct {
	Name        string
	Certificate *x509.Certificate
	// Verified: it should be verified.
	Verified bool
	// Key proves possession; nil: the owner of the subscription vouches for it
	// where Verified is true.
	Key crypto.Signer
}

// ParseOptions are the choices of Parse. Nil and zero fields mean the defaults.
type ParseOptions struct {
	// Format of the document; default YAML.
	Format Format
	// Files returns the content of a file that the document names, by the name as
	// it stands there. Nil: it cannot name files.
	Files func(name string) ([]byte, error)
	// Key reads a private key from the content of a file; the default takes
	// everything that pki.ParseKey takes without a pass phrase.
	Key func(name string, content []byte) (crypto.Signer, error)
}

// Problem is something wrong in a document.
type Problem struct {
	// Line and Column are where, from 1.
	Line, Column int
	Text         string
	// Fix says what to do; it may be empty.
	Fix string
}

// Error returns "LINE:COLUMN: text".
func (p Problem) Error() string { return fmt.Sprintf("%d:%d: %s", p.Line, p.Column, p.Text) }

// Problems are everything that is wrong in a document, in its order.
type Problems []Problem

// Error returns all of them in one line.
func (p Problems) Error() string {
	texts := make([]string, len(p))
	for i, problem := range p {
		texts[i] = problem.Error()
	}
	return strings.Join(texts, "; ")
}

// Parse reads a document and checks it as far as that goes without a service.
// Its errors are [Problems].
func Parse(data []byte, opts *ParseOptions) (*Document, error) {
	if opts == nil {
		opts = &ParseOptions{}
	}
	root, err := parseTree(data, opts.Format)
	if err != nil {
		return nil, err
	}
	p := parser{opts: opts, seen: map[Kind]map[string]int{}, doc: &Document{Sections: map[Kind]bool{}}}
	p.root(root)
	if len(p.problems) > 0 {
		return nil, p.problems
	}
	return p.doc, nil
}

func parseTree(data []byte, format Format) (*tree.Node, error) {
	read := yamltree.Parse
	switch format {
	case JSON:
		read = tree.ParseJSON
	case YAML, "":
	default:
		return nil, fmt.Errorf("parse desired state: unknown format %q", format)
	}
	root, err := read(data)
	var at *tree.Error
	if errors.As(err, &at) {
		return nil, Problems{{Line: at.Line, Column: at.Column, Text: at.Text}}
	}
	return root, err
}

// parser collects what it reads and what is wrong.
type parser struct {
	opts     *ParseOptions
	doc      *Document
	problems Problems
	seen     map[Kind]map[string]int
}

func (p *parser) add(e *tree.Error, fix string) {
	p.problems = append(p.problems, Problem{Line: e.Line, Column: e.Column, Text: e.Text, Fix: fix})
}

const sectionHelp = "the sections are certificates, enrollmentGroups and enrollments"

func (p *parser) root(root *tree.Node) {
	if root.Kind != tree.Object {
		p.add(root.Errorf("want an object with sections, found %s", root.Kind), sectionHelp)
		return
	}
	if len(root.Members) == 0 {
		p.add(root.Errorf("the document has no section"), sectionHelp)
	}
	for _, m := range root.Members {
		switch m.Name {
		case "certificates":
			p.section(m, KindCertificate, p.certificate)
		case "enrollmentGroups":
			p.section(m, KindGroup, p.group)
		case "enrollments":
			p.section(m, KindEnrollment, p.enrollment)
		default:
			p.add(m.Errorf("there is no section %q", m.Name), sectionHelp)
		}
	}
}

// section reads the list of one kind. A section without a value is an empty one,
// but nothing is pruned by it.
func (p *parser) section(m tree.Member, kind Kind, read func(*tree.Node) (id string)) {
	p.doc.Sections[kind] = true
	if m.Value.Kind == tree.Null {
		p.doc.NoValue = append(p.doc.NoValue, m.Name)
		return
	}
	if m.Value.Kind != tree.List {
		p.add(m.Value.Errorf("%s: want a list, found %s", m.Name, m.Value.Kind), "")
		return
	}
	p.seen[kind] = map[string]int{}
	for _, item := range m.Value.Items {
		id := read(item)
		folded := strings.ToLower(id)
		if line, twice := p.seen[kind][folded]; twice && id != "" {
			p.add(item.Errorf("%s: %q is in line %d already", m.Name, id, line), "names are compared without regard to case")
			continue
		}
		p.seen[kind][folded] = item.Line
	}
}

func (p *parser) group(n *tree.Node) string {
	group, problems := document.Group(n, p.opts.Files)
	p.documentProblems(problems)
	p.doc.Groups = append(p.doc.Groups, group)
	return textOf(n, "enrollmentGroupId")
}

func (p *parser) enrollment(n *tree.Node) string {
	e, problems := document.Enrollment(n, p.opts.Files, nil)
	p.documentProblems(problems)
	p.doc.Enrollments = append(p.doc.Enrollments, e)
	return textOf(n, "registrationId")
}

func textOf(n *tree.Node, member string) string {
	if v := n.Member(member); v != nil && v.Kind == tree.String {
		return v.Text
	}
	return ""
}

func (p *parser) documentProblems(problems []document.Problem) {
	for _, problem := range problems {
		p.add(&problem.Error, problem.Fix)
	}
}

// parseKey is the default of ParseOptions.Key.
func parseKey(_ string, content []byte) (crypto.Signer, error) { return pki.ParseKey(content, nil) }
