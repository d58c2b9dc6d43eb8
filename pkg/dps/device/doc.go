// Package device registers a device with a provisioning service as the device
// itself would: over HTTPS, MQTT, or MQTT through a WebSocket, with a client
// certificate or a symmetric key.
//
//	client, err := device.NewClient("0ne00C0FFEE", "dev-1", device.X509(certificate), nil)
//	result, err := client.Register(ctx, nil)
//	fmt.Println(result.AssignedHub, result.DeviceID)
//
// # How a registration runs
//
// The device sends a register request and gets an operation id; it asks for the
// state of the operation until it is assigned, failed or disabled. The service
// says how long to wait in between, and allows five questions in ten seconds.
//
// # Two kinds of refusal
//
// An unknown or unacceptable certificate or key is refused at once: *dps.Error
// with status 401. A disabled enrollment, a missing hub or a failed allocation shows
// only after a while: [*RegistrationError], which matches [ErrRefused]. TLS
// itself accepts any certificate; a handshake proves nothing.
//
// # What the certificate must be
//
// The common name is the registration id. For an enrollment group the chain
// must follow the leaf: every intermediate up to the verified CA, nearest first
// (https://learn.microsoft.com/azure/iot-dps/concepts-x509-attestation). A
// missing intermediate is the most frequent cause of a refusal. The root may be
// left out.
//
// # Which key it is
//
// An individual enrollment has keys of its own. In a group each device has a key
// derived from the group's (dps.DeriveDeviceKey); the group's own key is
// refused. [GroupKey] derives on the spot, for tests.
//
// # Which transport
//
// [TransportHTTPS] is the default and tells most about what goes wrong.
// [TransportMQTT] and [TransportMQTTWS] do what devices with an MQTT stack do:
// one connection, on which the service answers. Results and errors are the same,
// but for two things: a token is refused when the connection is made, with status
// 401 and no code, and an unknown id scope looks like an outage.
package device
