package pki_test

import (
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/dpskit/dpskit/pkg/pki"
)

// A chain of three: what an enrollment group and its devices need.
func Example() {
	root, err := pki.NewRoot(nil)
	if err != nil {
		log.Fatal(err)
	}
	issuing, err := root.NewIntermediate(&pki.CAOptions{CommonName: "Factory 7"})
	if err != nil {
		log.Fatal(err)
	}
	device, err := issuing.Issue(pki.IssueRequest{Profile: pki.ProfileDevice, CommonName: "dev-1"})
	if err != nil {
		log.Fatal(err)
	}
	for _, cert := range device.Issuers {
		fmt.Println("issuer:", cert.Subject.CommonName)
	}
	fmt.Println("chain ok:", pki.Verify(device.Certificate, device.Issuers, time.Now()) == nil)
	// Output:
	// issuer: Factory 7
	// issuer: Azure IoT Hub CA Cert Test Only
	// chain ok: true
}

// The proof of possession of a CA is a certificate whose common name is the code that the service gave.
func ExampleAuthority_Issue_verification() {
	root, err := pki.NewRoot(nil)
	if err != nil {
		log.Fatal(err)
	}
	proof, err := root.Issue(pki.IssueRequest{
		Profile: pki.ProfileVerification, CommonName: "75B86466DA34D2B04C0C4C9557A119687ADAE7D4732BDDB3\n",
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(proof.Certificate.Subject)
	// Output: CN=75B86466DA34D2B04C0C4C9557A119687ADAE7D4732BDDB3
}

// An individual enrollment takes a certificate that no CA signed.
func ExampleSelfSigned() {
	b, err := pki.SelfSigned(pki.IssueRequest{CommonName: "dev-1", KeyType: pki.KeyECP384})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(b.Certificate.Issuer, len(b.Issuers), len(pki.SHA1Thumbprint(b.Certificate)))
	// Output: CN=dev-1 0 40
}

// A PKCS#12 file holds the whole chain, which most device SDKs need.
func ExampleBundle_PFX() {
	root, err := pki.NewRoot(nil)
	if err != nil {
		log.Fatal(err)
	}
	device, err := root.Issue(pki.IssueRequest{CommonName: "dev-1"})
	if err != nil {
		log.Fatal(err)
	}
	data, err := device.PFX(pki.PFXOptions{Profile: pki.PFXLegacy, Password: "from a file"})
	if err != nil {
		log.Fatal(err)
	}
	back, err := pki.DecodePFX(data, "from a file")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(back.Certificate.Subject, "and", len(back.Issuers), "issuer")
	_, err = pki.DecodePFX(data, "a guess")
	fmt.Println(err)
	// Output:
	// CN=dev-1 and 1 issuer
	// decode pfx: wrong pass phrase
}

// A CA that exists already: its certificate, the issuers of that, and its encrypted key.
func ExampleLoadAuthority() {
	root, err := pki.NewRoot(nil) // stands for files of a customer
	if err != nil {
		log.Fatal(err)
	}
	certFile := pki.EncodeCertificatesPEM(root.Chain()...)
	keyFile, err := pki.EncodeEncryptedKeyPEM(root.Key(), []byte("1234"))
	if err != nil {
		log.Fatal(err)
	}

	chain, err := pki.ParseCertificates(certFile)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := pki.ParseKey(keyFile, nil); errors.Is(err, pki.ErrPassphraseRequired) {
		fmt.Println("ask for the pass phrase")
	}
	key, err := pki.ParseKey(keyFile, []byte("1234"))
	if err != nil {
		log.Fatal(err)
	}
	ca, err := pki.LoadAuthority(chain, key)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(ca.Certificate().Subject.CommonName)
	// Output:
	// ask for the pass phrase
	// Azure IoT Hub CA Cert Test Only
}

// Verify names the certificate that is missing.
func ExampleVerify() {
	root, err := pki.NewRoot(nil)
	if err != nil {
		log.Fatal(err)
	}
	issuing, err := root.NewIntermediate(nil)
	if err != nil {
		log.Fatal(err)
	}
	device, err := issuing.Issue(pki.IssueRequest{CommonName: "dev-1"})
	if err != nil {
		log.Fatal(err)
	}
	err = pki.Verify(device.Certificate, device.Issuers[1:], time.Now()) // the intermediate is left out
	fmt.Println(err)
	// Output: verify chain of "dev-1": the chain is incomplete: certificate "dev-1" was issued by "CN=Azure IoT Hub Intermediate Cert Test Only", which is not among the 2 certificates given
}
