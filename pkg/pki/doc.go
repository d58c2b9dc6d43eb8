// Package pki makes and reads the certificates that a device needs to enroll with the Azure IoT Hub Device
// Provisioning Service (DPS).
//
// # Model
//
// An [Authority] is a CA certificate together with its key and the CAs above it. [NewRoot] makes a self-signed
// one, [Authority.NewIntermediate] one below it, and [LoadAuthority] takes one that exists already. An authority
// issues a [Bundle] for an [IssueRequest]: the certificate, its key and all its issuers up to the root. A bundle
// goes on as PEM ([Bundle.CertificatePEM], [Bundle.FullChainPEM], [Bundle.KeyPEM]), as PKCS#12 ([Bundle.PFX]) or
// straight into a TLS client ([Bundle.TLSCertificate]).
//
//	root, err := pki.NewRoot(nil)
//	issuing, err := root.NewIntermediate(nil)
//	device, err := issuing.Issue(pki.IssueRequest{Profile: pki.ProfileDevice, CommonName: "dev-1"})
//
// What goes into a certificate is decided by its [Profile], never by the caller: version 3, critical key usage and
// basic constraints, the extended key usage of the role, subject and authority key identifiers, a random positive
// serial number. A certificate never outlives its issuer.
//
// # Intake
//
// Certificates, keys and PKCS#12 files from users are read by [ParseCertificates], [ParseKey] and [DecodePFX]. They
// take what tools really write (PEM with Windows line ends, a byte order mark or text around it, DER, bare base64,
// encrypted keys of OpenSSL 1 and 3, PKCS#12 of either generation), they bound size and work before spending any,
// and they say what is wrong in one line. [Verify] checks a chain and explains the first failure.
//
// # Certificates that are broken on purpose
//
// [Authority.IssueBroken] and [SelfSignedBroken] make certificates with exactly one [Fault], FOR TESTS OF YOUR OWN
// SERVICES ONLY: a service that never met an expired or misused certificate has not shown that it refuses one. Package
// doctor finds every fault and says what DPS would answer.
//
// # Test certificates
//
// The certificates are ordinary X.509 and nothing in them makes them weak, but the keys live in plain files and
// there is no revocation. They are meant for development and tests, which is what the default common names say.
//
// Nothing here prints, reads the environment or touches a certificate store of the operating system. Errors never
// hold key material or pass phrases. All functions may be called from several goroutines at once.
package pki
