// Package arm reaches a provisioning service through Azure Resource Manager:
// its CA certificates, proof of possession, and the service's own data (id
// scope, host names, linked hubs); and the CA certificates of an IoT hub. It
// wraps the official clients armdeviceprovisioningservices and armiothub, and
// adds what they lack:
//
//   - errors: the devices provider sends numeric codes, which the official
//     client cannot read; here every refusal is a *dps.Error;
//   - etags: each write returns a new one and invalidates the one before; they
//     are threaded through, and an empty one means "the current";
//   - encodings: the upload and the verification take a certificate in two
//     different encodings; here both take an *x509.Certificate;
//   - [CertificateClient.Prove], the whole proof of possession in one resumable
//     call.
//
// [Client] is for a provisioning service, [HubClient] for an IoT hub; both have
// the methods of [CertificateClient]. A [SubscriptionClient] finds a service
// whose resource group nobody remembers; [Client.Keys] and [OwnerKey] lead from
// there to a connection string.
//
// # Proof of possession
//
// A CA certificate counts only when it is verified. The service hands out a
// code; whoever holds the CA's key signs a certificate with that code as its
// common name and sends it back
// (https://learn.microsoft.com/azure/iot-dps/how-to-verify-certificates).
// The key never leaves the caller: Prove takes a function that signs.
package arm
