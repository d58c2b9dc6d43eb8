// Package emulator runs an Azure IoT Hub Device Provisioning Service (DPS) on
// this machine, for tests. It is not a service for production.
//
// # The model
//
// [Start] opens one or more HTTPS listeners that each serve three planes,
// chosen by the first part of the path:
//
//	/enrollments /enrollmentGroups /registrations   service plane: SAS or bearer token
//	/subscriptions/…                                Azure Resource Manager: bearer token
//	/{id scope}/registrations/…                     device plane: client certificate or SAS
//	/healthz /readyz                                health
//
// The device plane is also there over MQTT 3.1.1: with TLS on listeners of its
// own, and over WebSocket, sub-protocol mqtt, on every path of the HTTPS ones. If
// asked to, a plain HTTP listener has health and the CA certificate.
// [Emulator.Info] has everything that clients need: addresses, id scope,
// connection string, token. The emulator makes its own TLS CA, once per data
// folder; [Emulator.CAPool] and Info.CAFile have it. It never touches a trust
// store of the system, and it makes no outbound connections, save to the webhooks
// of custom allocation.
//
// State is in memory, or in a data folder, where every acknowledged write
// survives a crash. Tests use package dpstest.
//
// Authentication is always checked. The default key, token and id scope are
// public, so an emulator that uses them listens on loopback only; another
// address needs AllowRemote and a key of your own, and then the token is made
// from that key.
//
// # Load
//
// A fleet that registers all at once neither fills the memory nor starves: at
// most Options.MaxConnections connections are served over HTTPS, and
// Options.MaxRegistrations registrations judged, at the same moment. Others
// wait, or get a 429 with a Retry-After between 1 and 5 seconds; a device that
// comes back is not registered twice. Connections that are silent, or stop in
// the first record of their TLS handshake, are kept apart (16384 of them) and
// are in nobody's way; those that stop later, in the handshake, a header or a
// body, or idle, make room when it is needed. scripts/load measures it. On a
// machine with two cores, client included, alone and with other work going on:
//
//	10,000 devices, 256 in flight, polling at once    1140 to 450/s, p99 0.4 to 1.1 s, 90 MiB
//	the same, state in a file                         780/s, p99 0.7 s, 60 MiB
//	10,000 devices at once, polling after 3 s         19 to 38 s for all, 280 MiB
//	1,000 devices, 64 in flight, 10,000 idle          1070 to 470/s, p99 0.12 to 0.26 s, 100 MiB
//
// # Refusals
//
// Clients see the answers of the service. The log says more: each refusal is
// one record "request refused" with plane, request_id, rule, status, code and
// answer; the certificate it is about (certificate_subject,
// certificate_thumbprint, certificate_position counted from the leaf); what was
// expected; and fix, what to do about it. Keys, tokens and signatures are never
// logged. "Not found" is logged at debug level, everything else as a warning. An
// item of a bulk request that is refused has a record of its own, with bulk_item,
// and so has a client that ends the TLS handshake because it does not trust the
// emulator (rule tls-trust).
//
// On the service and device planes the same is in the member info of the error
// body, which the service documents as optional: rule, expected, fix,
// certificateSubject, certificateThumbprint, certificatePosition. The official
// clients take no notice of it; `enroll device register` shows it.
//
// # Faults
//
// [Options].Faults makes the emulator do wrong on request: refuse, lose
// acknowledgements after the commit, cut connections, throttle. Package fault
// says how. The error code of a throttled request is 429000, of another refusal
// the status and three zeros, unless the rule says otherwise.
//
// # Answers of our own choice
//
// Behaviour follows the published specifications, recordings and the tests of
// the official SDKs. Where they say nothing, the emulator does the following.
// A code with n = 000, such as 400000 or 412000, stands for a number that is
// not known.
//
// On every plane:
//   - HTTP/1.1 only. TLS 1.2 with AEAD suites and TLS 1.3; an ECDSA certificate;
//     no session tickets, so each connection shows its certificate anew.
//   - A body must be one JSON value in UTF-8; a member given twice, or nesting
//     deeper than 64 levels, is a 400; a byte order mark before it is ignored.
//     Content-Type may be missing. Bodies are never decompressed. Limits: service
//     plane 1 MiB, ARM 256 KiB, device plane 96 KiB (413 beyond). The rest of a
//     refused body is read, up to 16 MiB, so that a client that sends before it
//     reads gets the answer; one that sends Expect: 100-continue gets it at once.
//   - The name of the parameter api-version is compared without case. Given more
//     than once, it is an unknown version.
//   - In paths, one trailing slash is ignored; empty and dot segments, escaped
//     slashes and control characters are a 400. Methods that a path does not
//     have, HEAD and OPTIONS included, are a 405. An object may be called like a
//     verb, such as query: the method tells which is meant.
//   - Where a certificate has to prove something, keys other than RSA of 2048 to
//     8192 bits and ECDSA from P-256 up are refused, and so are SHA-1 signatures.
//   - Time limits: 10 s for the first TLS record, 10 s for the rest of the
//     handshake and for a header, 30 s for a request, 60 s between requests.
//   - The service calls itself by the host and port where it listens; SNI and
//     Host header are not compared.
//   - The TLS CA of a data folder stays the same and has no name constraints:
//     HostNames may be added later, and a CA that is trusted cannot be changed.
//     Its key is in the folder, for the user alone; take the CA out of trust
//     stores with the folder.
//
// Service plane:
//   - Bad or missing credentials: 401, code 401000, `Unauthorized`. The clock
//     skew allowed is 5 minutes. The audience may have the port or not; one with
//     a scheme is refused. A token for a collection (host/enrollments) is taken.
//     The policy has all permissions, and `Bearer` with the emulator's token
//     stands for Microsoft Entra ID.
//   - Unknown or missing api-version: 400, code 400000. Known are the versions
//     from 2017-08-31-preview to 2025-07-01-preview.
//   - Identifiers may have what any current source allows: 1 to 128 letters,
//     digits, `-._:`, the last one a letter, digit or `-`. They are compared
//     without case (ASCII) and returned as they were first written. The one in
//     the body is required and must equal the one in the path.
//   - Messages of 404: `Enrollment not found.` (404201), `EnrollmentGroup not
//     found.` (404204), `Registration not found.` (404202).
//   - If-Match on a PUT of a free id: 412, also for `*`. An etag in the body
//     without the header counts for nothing in a single PUT. 412 has code 412000
//     and the message `Precondition failed.`. An etag in the body with quotes in
//     it: 400, `ETag is invalid`.
//   - A certificate, or a CA reference of a group, may be in one enrollment entry
//     only: 409, code 409000. CA references must name verified certificates: 400.
//   - Rules that clients document (exactly one of the three x509 members, no tpm
//     or client certificates in groups, …) are enforced with 400, as are unknown
//     values of enumerations. Attestation type `none` is refused.
//   - A key-less update keeps the stored symmetric keys; a key that is not base64
//     of 16 to 64 bytes is a 400; generated keys have 64 bytes.
//   - subjectName and issuerName list the parts last-encoded first, separated by
//     comma and space, with Windows' attribute names. serialNumber has whole
//     octets without a sign octet.
//   - iotHubs without allocationPolicy: 400, code 400004, as was seen; other
//     contents that are refused have code 400000.
//   - allocationPolicy is echoed only if it was sent. In reprovisionPolicy a
//     missing member is filled in as true.
//   - 100 X.509 groups and 100 symmetric key groups; one more is a 400.
//   - Queries know `SELECT *` with or without FROM, `*` and the empty text;
//     others, WHERE included, are a 400. The order is that of the folded ids. A
//     page has at most 1000 items; a continuation token is good for its own
//     collection, and stays so while rows come and go.
//   - Registrations of an unknown group: 404204 if there are no records under its
//     name, else the records.
//   - Bulk: `update` without an item etag fails as already existing, with one it
//     acts like If-Match, and it never creates (404201, 404204). `delete` ignores
//     item etags. Envelope errors (more than 10 items, an id twice, no items,
//     unknown mode) are a 400 and change nothing.
//   - Deleting an enrollment or a group keeps its registration records. Deleting
//     a registration record deletes its operations.
//
// Azure Resource Manager plane:
//   - The service exists under one subscription and group; others are a 404 of
//     the front end. It cannot be created, changed or deleted (405).
//   - Its host names, and those in the connection string, are those of this
//     emulator.
//   - Unknown api-version: 400 `NoRegisteredProviderFound`; missing: 400
//     `MissingApiVersionParameter`; a body that is not acceptable: 400
//     `InvalidRequestContent`.
//   - Certificate names: 1 to 64 letters, digits, `-._` (400 otherwise).
//   - If-Match must be the etag byte for byte, or `*`; missing or stale is 412001
//     on update, delete and both POSTs. On create it is ignored. Deleting what is
//     not there is a 204.
//   - A PUT over a certificate resets isVerified (unless it says true) and drops
//     an open code. isVerified is known from 2020-03-01 on.
//   - A code is good until the next one, the next upload, or its use.
//   - Every failed proof is a 400 with code 400053: wrong issuer, signature,
//     common name, expired proof or CA, no code pending. The common name must
//     be the code in the same case, and the only common name.
//   - An expired certificate may be uploaded. Something that is no certificate:
//     400, code 400000. More than 25 certificates: the same. A certificate that
//     is not there: 404, code 404000. Of several PEM blocks the first is taken.
//   - properties.certificate: absent in 2017-11-15 and 2022-02-05, null from
//     2018-01-22 to 2021-10-15, the upload from 2022-12-12 on. created is real.
//   - subject is the common name, or the whole name if there is none.
//   - Linked hubs are resources of the same group, named by the first part of
//     their host names; they can be read and listed, and have CA certificates of
//     their own, up to 25, which devices that register do not need. Uploads are
//     nested from 2020-08-01 on and know isVerified from 2021-07-01 on;
//     properties.certificate is absent up to 2018-04-01, null before 2021-03-31.
//     httpStatusCode is a number in 2023-06-30 and its preview.
//
// Device plane:
//   - api-version must look like one; its value matters for substatus and for
//     clients before 2018-09-01, which stay on their hub without a policy.
//   - No credential: 401000 `Unauthorized`. Another id scope: 401002.
//   - An individual enrollment of the presented certificate decides first, then
//     one of the registration ID, then the group. An enrollment of the
//     registration ID with another certificate refuses the device; it does not
//     fall through to a group.
//   - 401002 `CA certificate not found.`: the chain reaches no verified CA.
//     `Signing certificate info did not match chain elements.`: it does, but no
//     group has a certificate in it. `Invalid certificate.`: everything else
//     (signature, dates, CA flags, path length, key usage, names, key).
//   - Only self-signed CAs are completed from the uploaded certificates;
//     intermediates must be sent, in any order, at most 64 certificates. Of a CA
//     with several certificates (cross-signed, renewed, re-keyed) the one counts
//     that makes a chain in order; of several such chains, the one with the
//     group nearest to the leaf. An authority key identifier that contradicts
//     the issuer's subject key identifier means another issuer.
//   - Expired or not yet valid certificates are refused at every level up to the
//     verified CA. An issuer must have basicConstraints CA:TRUE, except that the
//     verified CA at the end may lack the extension. Unknown critical extensions,
//     violated name constraints and unmet demands for a certificate policy are
//     refused. Revocation (CRL, OCSP) is not looked at.
//   - A leaf needs no extended key usage; if it has the extension, clientAuth or
//     anyExtendedKeyUsage must be in it; the same goes for the CAs above it, which
//     pass on only what they have. In a group the leaf must not be a CA; an
//     individual enrollment takes a self-signed CA:TRUE certificate, as
//     `openssl req -x509` makes it. An individual enrollment does not ask for the
//     CA of its certificate to be uploaded.
//   - The common name must equal the registration ID without case (ASCII), and be
//     the only one, for individual enrollments too.
//   - A registration shows as `assigning` for half of RetryAfter; registering
//     again meanwhile returns the same operation. A poll answers 200 in both
//     states. Operations stay for at least an hour, 256 per device at most. A poll
//     needs the certificate that registered, or a valid token. An unknown
//     operation is a 404, code 404000; look-up without a record is 404202.
//   - Failed and disabled registrations leave a record, and a log record
//     "registration refused" that explains itself like other refusals and names
//     the enrollment; its request_id is that of the request to register.
//     errorMessage is that of the service with the explanation behind it, in
//     brackets. No linked hub: 400208.
//   - hashed is rendezvous hashing over hub names, by weight: devices stay where
//     they are when hubs are added, except those that the new hub gets.
//     geoLatency takes the hubs with the lowest latency in HubSettings, and
//     hashes among them. static takes the first of the enrollment's hubs that is
//     linked, and fails without one. Hubs with weight 0 get no devices.
//   - custom posts an AllocationRequest to the webhook: by http or https, on
//     loopback addresses only unless AllowRemoteWebhooks, without redirects, for
//     5 s and 256 KiB at most, 16 calls at a time. linkedHubs are the hubs that
//     the enrollment allows; deviceRuntimeContext.x509 has certificateInfo. The
//     operation is `assigning` meanwhile, also across a restart; 1024 may wait,
//     then 429. The answer must name one of linkedHubs; payload and the parts of
//     initialTwin must be objects. Everything else is 400207, with the text
//     `Custom allocation failed with status code: N` if there was a status.
//   - A returned initialTwin replaces the twin, as deviceDataReset if the hub
//     changes. Else the initial twin of the enrollment counts for a new identity
//     and for a reset; [Emulator.Device] shows what a hub would have. If the
//     enrollment was deleted before the webhook answered, the registration fails
//     with 404201 or 404204.
//   - Too many registrations, or large bodies, at the same moment: 429000 with
//     Retry-After, on register only.
//   - A registration joins the one before it only if the enrollment has not
//     changed in between.
//   - TPM attestation is not served on this plane: a device that sends a tpm
//     member and no credential, or that is enrolled with a TPM, gets a 401002
//     without authenticationKey, and the log says so. Certificate signing requests
//     in the body are ignored.
//
// MQTT:
//   - Client identifier, certificate and token are judged as the service was seen
//     to: any certificate gets a connection and is judged with the register
//     request; a bad token is CONNACK 5, another id scope 3. A malformed user name
//     is 4; an empty or impossible client identifier 2; one that is not the
//     registration ID, or no credential at all, 5; versions other than 3.1.1 are 1.
//   - One filter is granted, `$dps/registrations/res/#`, at QoS 1 at most; others
//     are refused with 0x80. An answer goes to the client that asked, 40 ms after
//     its PUBACK, if it has subscribed. Nothing is retained, no will is published,
//     no session is kept, and DUP is ignored.
//   - A poll answers 202 with retry-after while the device is being assigned, else
//     200. A register payload may be empty; if not, it has to be the body that
//     HTTPS takes (400, 413). The payload of a poll is ignored. `$rid` may be
//     anywhere among the parameters, has at most 1024 bytes and is echoed as sent.
//   - A topic of another kind or without `$rid`, QoS 2, a second CONNECT, a packet
//     that breaks the protocol or has more than 256 KiB (CONNECT: 16 KiB) ends the
//     connection. So does silence for 1.5 times the keep-alive, at most 1767 s;
//     10 s without CONNECT; 30 s within a packet; an answer not taken for 10 s.
//   - A device that connects again with the same certificate, or a token, ends its
//     older connection. Beyond 16384 connections a new one replaces the one that
//     has been silent for longest, if that is 15 s, or is refused.
//   - A WebSocket needs no Origin, or that of the emulator itself (403 otherwise).
package emulator
