package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"net"
	"os"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// request FILE KIND=VALUE... writes a certificate request, behind what the file holds. KIND is cn, which can
// be given more than once, o, dns, ip, san (the number of a kind of GeneralName), ca (a path length), ext or critical (the number of an extension).
func cmdRequest(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: request FILE KIND=VALUE...")
	}
	var subject pkix.RDNSequence
	var names []asn1.RawValue
	var tmpl x509.CertificateRequest
	add := func(ext pkix.Extension) { tmpl.ExtraExtensions = append(tmpl.ExtraExtensions, ext) }
	for _, arg := range args[1:] {
		kind, value, _ := strings.Cut(arg, "=")
		switch kind {
		case "cn", "o":
			id := asn1.ObjectIdentifier{2, 5, 4, map[string]int{"cn": 3, "o": 10}[kind]}
			subject = append(subject, pkix.RelativeDistinguishedNameSET{{Type: id, Value: value}})
		case "dns":
			names = append(names, asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 2, Bytes: []byte(value)})
		case "ip":
			names = append(names, asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 7, Bytes: net.ParseIP(value).To4()})
		case "san":
			tag, err := strconv.Atoi(value)
			ts.Check(err)
			names = append(names, asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: tag, Bytes: []byte("urn:x")})
		case "ca":
			add(pkix.Extension{Id: oidBasicConstraints, Critical: true, Value: marshal(ts, struct{ CA bool }{true})})
		case "ext", "critical":
			n, err := strconv.Atoi(value)
			ts.Check(err)
			add(pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, n}, Critical: kind == "critical", Value: []byte{5, 0}})
		default:
			ts.Fatalf("unknown %q", arg)
		}
	}
	tmpl.RawSubject = marshal(ts, subject)
	if len(names) > 0 {
		add(pkix.Extension{Id: oidSAN, Value: marshal(ts, names)})
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ts.Check(err)
	der, err := x509.CreateCertificateRequest(rand.Reader, &tmpl, key)
	ts.Check(err)
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
	file, err := os.OpenFile(ts.MkAbs(args[0]), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	ts.Check(err)
	_, err = file.Write(text)
	ts.Check(err)
	ts.Check(file.Close())
}

func marshal(ts *testscript.TestScript, value any) []byte {
	der, err := asn1.Marshal(value)
	ts.Check(err)
	return der
}
