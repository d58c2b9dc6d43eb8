package main

import (
	"fmt"
	"strings"

	"github.com/dpskit/dpskit/pkg/pki"
	"github.com/dpskit/dpskit/pkg/pki/doctor"
)

// doctorResult is the JSON document of doctor: one report for each name and one
// for all files together, in the order of the arguments.
type doctorResult struct {
	Reports []doctorReport `json:"reports"`
	Fatal   int            `json:"fatal"`   // findings of that severity in all reports
	Warning int            `json:"warning"` // likewise
}

// doctorReport is the report of the library with what was examined.
type doctorReport struct {
	Name   string    `json:"name,omitempty"`   // in the folder
	Files  []string  `json:"files"`            // what was read
	Broken pki.Fault `json:"broken,omitempty"` // what is wrong on purpose
	*doctor.Report
}

func newDoctorReport(sources []doctor.Source, report *doctor.Report) doctorReport {
	r := doctorReport{Files: []string{}, Report: report}
	for _, s := range sources {
		r.Files = append(r.Files, s.Name)
	}
	return r
}

func newDoctorResult(reports []doctorReport) *doctorResult {
	doc := &doctorResult{Reports: reports}
	for _, r := range reports {
		doc.Fatal += r.Count(doctor.SeverityFatal)
		doc.Warning += r.Count(doctor.SeverityWarning)
	}
	return doc
}

// sick names the reports with fatal findings, not all of them when they are many.
func (doc *doctorResult) sick() []string {
	const limit = 5
	var names []string
	for _, r := range doc.Reports {
		if r.Fatal() {
			names = append(names, fmt.Sprintf("%q", r.title()))
		}
	}
	if len(names) > limit {
		names = append(names[:limit], fmt.Sprintf("%d more", len(names)-limit))
	}
	return names
}

func (r doctorReport) title() string {
	switch {
	case r.Name != "":
		return r.Name
	case r.Certificate != nil:
		return r.Certificate.Subject
	}
	return strings.Join(r.Files, ", ")
}

// render writes the reports for a person. Of several, those without a complaint
// get one line.
func (doc *doctorResult) render() string {
	var p page
	for i, r := range doc.Reports {
		if i > 0 && (!r.quiet() || !doc.Reports[i-1].quiet()) {
			p.blank()
		}
		r.render(&p, len(doc.Reports) == 1)
	}
	if len(doc.Reports) > 1 {
		p.blank()
		p.linef("%s: %s, %s", plural(len(doc.Reports), "certificate"), plural(doc.Fatal, "fatal finding"), plural(doc.Warning, "warning"))
	}
	return p.String()
}

// quiet reports whether there is nothing to complain about.
func (r doctorReport) quiet() bool {
	return r.Count(doctor.SeverityFatal)+r.Count(doctor.SeverityWarning) == 0 && r.Broken == ""
}

func (r doctorReport) render(p *page, alone bool) {
	p.linef("%s: %s", r.title(), r.verdict())
	if r.Broken != "" {
		p.linef("  broken on purpose: %s", r.Broken)
	}
	var passed []string
	for _, f := range r.Findings {
		switch {
		case f.Severity == doctor.SeverityOK:
			passed = append(passed, string(f.Check))
		case alone || r.Broken != "" || f.Severity != doctor.SeverityInfo:
			renderFinding(p, f)
		}
	}
	if !alone {
		return
	}
	if len(passed) > 0 {
		p.linef("  ok: %s", strings.Join(passed, ", "))
	}
	if len(r.Placements) > 0 {
		p.linef("  what goes where:")
	}
	for _, place := range r.Placements {
		p.linef("    %s", place.Text)
	}
}

// verdict is the report in one line.
func (r doctorReport) verdict() string {
	fatal, warnings := r.Count(doctor.SeverityFatal), r.Count(doctor.SeverityWarning)
	text := "nothing wrong"
	switch {
	case fatal > 0 && warnings > 0:
		text = plural(fatal, "fatal finding") + ", " + plural(warnings, "warning")
	case fatal > 0:
		text = plural(fatal, "fatal finding")
	case warnings > 0:
		text = plural(warnings, "warning")
	case r.Broken != "":
		text = fmt.Sprintf("broken on purpose (%s), which the checks do not show", r.Broken)
	}
	if r.Role != doctor.RoleAuto {
		how := "checked as"
		if r.RoleGuessed {
			how = "looks like, and was checked as,"
		}
		text += fmt.Sprintf("; %s %s", how, r.Role.Describe())
	}
	return text
}

func renderFinding(p *page, f doctor.Finding) {
	p.linef("  %s: %s (%s)", f.Severity, f.What, f.Check)
	var where, answer string
	if c := f.Certificate; c != nil {
		where = fmt.Sprintf("%s, certificate %d of %s, SHA-1 %s", c.Subject, c.Position, c.Source, c.SHA1Thumbprint)
	}
	if f.Predicted != nil {
		answer = f.Predicted.String()
	}
	p.fields("    ", "why", f.Why, "fix", f.Fix, "certificate", where, "answer of DPS", answer)
}

func plural(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
