// Package doctor says, before a device goes online, whether its certificates will do for the Azure IoT Hub Device
// Provisioning Service (DPS), and if not, what is wrong, why that matters, what to do, and what the service would
// answer.
//
// # Model
//
// [Read] turns the bytes of one file (PEM in any dress, DER, base64, PKCS#12) into a [Source]. [Check] takes all
// sources together, finds out which certificate is the one in question, which of the others are its issuers and in
// what order they stand, verifies every signature, and goes through the rules of its [Role]. The result is a
// [Report]: findings by severity, the answer of the service that they add up to, and which file belongs where: in the
// TLS handshake, in an enrollment group, in an individual enrollment, in the list of CA certificates.
//
//	leaf, err := doctor.Read("dev-1.cert.pem", data, nil)
//	report := doctor.Check([]doctor.Source{leaf}, &doctor.Options{Role: doctor.RoleDevice})
//	if report.Fatal() { ... }
//
// The more is told, the more certain the report: what the enrollment holds ([Options.Enrolled]), which CA
// certificates the service has verified ([Options.CAs]), which other certificates exist ([Options.Known]). Without
// them the doctor says what it assumed.
//
// # What the rules are based on
//
// The rules are those of https://learn.microsoft.com/azure/iot-dps/concepts-x509-attestation, of the official SDKs'
// end-to-end tests, and of what users reported. The service does not document which message it gives in which case;
// [Answer] is the one that was seen. Where nothing is known the finding is a warning and says so. Only what Windows, Go
// and openssl all refuse (a CA for other purposes) counts as refused before anybody saw it.
//
// A CA may have several certificates: cross-signed, renewed, or re-keyed under its old name. The report is about the
// chain that is in order if there is one, in whatever order the certificates are given, and else about the one that
// gets farthest. What stands above the verified CA at which the service stops does not count.
//
// The service reads certificates less strictly than TLS libraries do. What only other programs refuse (a chain in the
// wrong order, an end after the year 2038) is a warning, too.
//
// # Bounds
//
// Input is hostile until proven otherwise: [Read] bounds size and work of each file, [Check] bounds the number of
// certificates and of signature checks, keys of absurd sizes are never used, and a circle of issuers ends. Nothing
// here reads files, the network, the environment or the certificate stores of the system.
package doctor
