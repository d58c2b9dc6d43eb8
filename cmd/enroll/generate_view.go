package main

import (
	"context"
	"crypto/x509"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/dps/emulator"
	"github.com/dpskit/dpskit/pkg/dps/service"
	"github.com/dpskit/dpskit/pkg/pki"
)

// view is the result of the run as it is printed.
func (g *generation) view() cliapp.View {
	r := g.result
	row := []string{
		r.Workspace, r.Endpoint, fmt.Sprint(r.Emulator), r.RootCertificate, r.IntermediateCertificate,
		r.DeviceCertificate, r.DeviceChain, r.DeviceKey, r.CAName, r.VerificationCode, fmt.Sprint(r.CAVerified),
		r.EnrollmentGroupID, r.RegistrationID, r.IDScope, r.DeviceID, r.AssignedHub, r.Status,
	}
	return cliapp.View{Value: r, Rows: [][]string{row}, Text: g.summary()}
}

func (g *generation) summary() string {
	r := g.result
	var b strings.Builder
	fmt.Fprintf(&b, "Device %s is %s to %s.\n\n", r.DeviceID, r.Status, r.AssignedHub)
	tw := tabwriter.NewWriter(&b, 0, 8, 2, ' ', 0)
	field := func(name, value string) {
		if value != "" {
			fmt.Fprintf(tw, "  %s\t%s\n", name, cliapp.Printable(value))
		}
	}
	field("root certificate", r.RootCertificate)
	field("intermediate certificate", r.IntermediateCertificate)
	field("device certificate", r.DeviceCertificate)
	field("device full chain", r.DeviceChain)
	field("device key", r.DeviceKey)
	field("CA in DPS", r.CAName+verifiedMark(r.CAVerified))
	field("enrollment group", r.EnrollmentGroupID)
	field("registration ID", r.RegistrationID)
	field("ID scope", r.IDScope)
	field("assigned hub", r.AssignedHub)
	tw.Flush()
	b.WriteString("\nNext:\n")
	for _, line := range g.next() {
		fmt.Fprintf(&b, "  %s\n", line)
	}
	return b.String()
}

func verifiedMark(verified bool) string {
	if verified {
		return " (verified)"
	}
	return " (not uploaded by this run)"
}

// next are the commands to try after the run.
func (g *generation) next() []string {
	r := g.result
	dir := ""
	if g.opts.Dir != defaultDir {
		dir = " --dir " + quoteShell(g.opts.Dir)
	}
	certgen, enroll := g.env.Program("certgen"), g.env.Program("enroll")
	lines := []string{
		certgen + " inspect " + quoteShell(r.DeviceChain),
		certgen + " device my-second-device" + dir,
	}
	if g.opts.Connect.given() {
		return append(lines,
			enroll+" group show "+r.EnrollmentGroupID,
			enroll+" registration show "+r.RegistrationID,
			fmt.Sprintf("%s device register %s --cert %s --key %s --id-scope %s",
				enroll, r.RegistrationID, quoteShell(r.DeviceChain), quoteShell(r.DeviceKey), r.IDScope))
	}
	if g.opts.Serve {
		return append(lines, enroll+" group show "+r.EnrollmentGroupID, enroll+" registration list "+r.EnrollmentGroupID)
	}
	return append(lines, enroll+" --generate --serve"+dir, enroll+" emulator")
}

// quoteShell quotes a word for a POSIX shell where that is needed.
func quoteShell(s string) string {
	safe := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:@%+=,", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !safe(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// serve keeps the embedded emulator up until the run is interrupted.
func (g *generation) serve(ctx context.Context, emu *emulator.Emulator) error {
	info, forget, err := withCAFile(emu)
	if err != nil {
		return err
	}
	defer forget()
	g.env.Notef("the emulator stays up; in another terminal:")
	g.env.Notef("%s", shellLines(info))
	g.env.Notef("stop it with Ctrl-C")
	<-ctx.Done()
	return emu.Close()
}

// signedBy says whether the group takes devices by this signing certificate.
func signedBy(group service.EnrollmentGroup, cert *x509.Certificate) bool {
	x := group.Attestation.X509
	if x == nil || x.SigningCertificates == nil || x.SigningCertificates.Primary == nil || x.SigningCertificates.Primary.Info == nil {
		return false
	}
	return strings.EqualFold(x.SigningCertificates.Primary.Info.SHA256Thumbprint, pki.SHA256Thumbprint(cert))
}

func day(t time.Time) string { return t.UTC().Format("2006-01-02") }

// abbreviate shortens a long opaque text for a progress line.
func abbreviate(s string) string {
	if len(s) <= 12 {
		return s
	}
	return s[:8] + "…"
}
