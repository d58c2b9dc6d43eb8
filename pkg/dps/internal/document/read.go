package document

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/dpskit/dpskit/pkg/dps/enrollment"
	"github.com/dpskit/dpskit/pkg/dps/internal/tree"
	"github.com/dpskit/dpskit/pkg/dps/service"
	"github.com/dpskit/dpskit/pkg/pki"
)

// Problem is something wrong in a document.
type Problem struct {
	tree.Error
	// Fix says what to do; it may be empty.
	Fix string
}

// Files returns the content of a file that a document names, by the name as it
// stands there.
type Files func(name string) ([]byte, error)

// Enrollment reads an individual enrollment. With problems it is not to be used.
// complete, which may be nil, fills in defaults before the whole is checked.
func Enrollment(n *tree.Node, files Files, complete func(*service.IndividualEnrollment)) (service.IndividualEnrollment, []Problem) {
	return read(n, enrollmentShape, files, complete)
}

// Group reads an enrollment group. With problems it is not to be used.
func Group(n *tree.Node, files Files) (service.EnrollmentGroup, []Problem) {
	return read[service.EnrollmentGroup](n, groupShape, files, nil)
}

func read[T enrollment.Object](n *tree.Node, s *shape, files Files, complete func(*T)) (T, []Problem) {
	var object T
	r := reader{files: files}
	clean := r.value(n, s, "")
	if len(r.problems) > 0 {
		return object, r.problems
	}
	if err := json.Unmarshal(clean.JSON(), &object); err != nil {
		// The shapes have every type but those inside "info".
		return object, append(r.problems, problemf(n, "", "%v", err))
	}
	inferType(enrollment.Of(&object))
	if complete != nil {
		complete(&object)
	}
	for _, p := range enrollment.Check(object) {
		r.problems = append(r.problems, problemf(n.Find(r.place(p.Member)), p.Fix, "%s", p.Error()))
	}
	return object, r.problems
}

// inferType fills in the type of an attestation that has one other member.
func inferType(f enrollment.Fields) {
	a := f.Attestation
	if a.Type != "" {
		return
	}
	switch {
	case a.X509 != nil && a.TPM == nil && a.SymmetricKey == nil:
		a.Type = service.AttestationX509
	case a.TPM != nil && a.X509 == nil && a.SymmetricKey == nil:
		a.Type = service.AttestationTPM
	case a.SymmetricKey != nil && a.X509 == nil && a.TPM == nil:
		a.Type = service.AttestationSymmetricKey
	}
}

// reader walks a document along the shapes.
type reader struct {
	files    Files
	problems []Problem
	// fromFile are the paths of members whose value came from a file.
	fromFile []string
}

func problemf(n *tree.Node, fix, format string, args ...any) Problem {
	return Problem{Error: *n.Errorf(format, args...), Fix: fix}
}

func (r *reader) add(n *tree.Node, fix, format string, args ...any) {
	r.problems = append(r.problems, problemf(n, fix, format, args...))
}

// place returns the path in the document of a member of the model.
func (r *reader) place(member string) string {
	for _, path := range r.fromFile {
		if path == member || strings.HasPrefix(path, member+".") {
			return path + "File"
		}
	}
	return member
}

// value returns the value as the model wants it: without nulls, ignored members
// and references to files.
func (r *reader) value(n *tree.Node, s *shape, path string) *tree.Node {
	if n.Kind != s.kind {
		fix := ""
		if s.kind == tree.String && (n.Kind == tree.Number || n.Kind == tree.Bool) {
			fix = "put it in double quotes"
		}
		r.add(n, fix, "%s: want %s, found %s", orRoot(path), s.kind, n.Kind)
		return n
	}
	switch {
	case s.free:
		return n
	case s.kind == tree.List:
		list := *n
		list.Items = nil
		for _, item := range n.Items {
			list.Items = append(list.Items, r.value(item, s.item, path))
		}
		return &list
	case s.kind == tree.Object:
		return r.object(n, s, path)
	}
	return n
}

func orRoot(path string) string {
	if path == "" {
		return "the enrollment"
	}
	return path
}

func (r *reader) object(n *tree.Node, s *shape, path string) *tree.Node {
	clean := *n
	clean.Members = nil
	for _, m := range n.Members {
		full := join(path, m.Name)
		if target, ok := strings.CutSuffix(m.Name, "File"); ok && s.members[target] != nil && s.members[target].file != noFile {
			r.reference(&clean, n, m, target, s.members[target].file, path)
			continue
		}
		member := s.members[m.Name]
		switch {
		case member == nil:
			r.unknown(m, s, full)
		case member.ignored || m.Value.Kind == tree.Null:
		default:
			clean.Members = append(clean.Members, tree.Member{Name: m.Name, Value: r.value(m.Value, member, full), Line: m.Line, Column: m.Column})
		}
	}
	return &clean
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func (r *reader) unknown(m tree.Member, s *shape, path string) {
	at := &tree.Node{Line: m.Line, Column: m.Column}
	names := make([]string, 0, len(s.members))
	for name, member := range s.members {
		if names = append(names, name); member.file != noFile {
			names = append(names, name+"File")
		}
	}
	slices.Sort(names)
	for _, name := range names {
		if fold(name) == fold(m.Name) || near(fold(name), fold(m.Name)) {
			r.add(at, fmt.Sprintf("did you mean %q?", name), "%s: there is no such member", path)
			return
		}
	}
	r.add(at, "the members here are "+strings.Join(names, ", "), "%s: there is no such member", path)
}

// reference adds the member that a file holds.
func (r *reader) reference(clean, n *tree.Node, m tree.Member, target string, kind source, path string) {
	full := join(path, m.Name)
	switch {
	case m.Value.Kind == tree.Null:
		return
	case m.Value.Kind != tree.String || m.Value.Text == "":
		r.add(m.Value, "", "%s: want the name of a file", full)
		return
	case n.Member(target) != nil && n.Member(target).Kind != tree.Null:
		r.add(m.Value, "", "%s: %s is given, too: give one of them", full, target)
		return
	case r.files == nil:
		r.add(m.Value, "", "%s: files cannot be read here", full)
		return
	}
	data, err := r.files(m.Value.Text)
	if err != nil {
		r.add(m.Value, "", "%s: %v", full, err)
		return
	}
	content, err := kind.convert(data)
	if err != nil {
		r.add(m.Value, "", "%s: %q: %v", full, m.Value.Text, err)
		return
	}
	r.fromFile = append(r.fromFile, join(path, target))
	value := &tree.Node{Kind: tree.String, Text: content, Line: m.Value.Line, Column: m.Value.Column}
	clean.Members = append(clean.Members, tree.Member{Name: target, Value: value, Line: m.Line, Column: m.Column})
}

func (s source) convert(data []byte) (string, error) {
	if s == certificate {
		certs, err := pki.ParseCertificates(data)
		if err != nil {
			return "", err
		}
		return string(pki.EncodeCertificatesPEM(certs[0])), nil
	}
	content := strings.TrimSpace(strings.TrimPrefix(string(data), "\ufeff"))
	if content == "" {
		return "", fmt.Errorf("the file is empty")
	}
	return content, nil
}
