// Package dps holds what every client of the Azure IoT Hub Device Provisioning
// Service (DPS) shares: errors, connection strings, SAS tokens, derived keys and
// an explainer for refusals.
//
// # The endpoints
//
// A provisioning service is reached through four endpoints, each with its own
// credentials and its own client:
//
//	service API   NAME.azure-devices-provisioning.net          SAS or Entra ID   package service
//	device API    global.azure-devices-provisioning.net        client certificate  package device
//	ARM           management.azure.com                         Entra ID          package arm
//	a local one   the emulator serves all three on one port                      package emulator
//
// The service API manages enrollments, enrollment groups and registration
// records. ARM manages the service itself and its CA certificates, including
// proof of possession; there is no other way to upload a CA. The device API
// registers a device and assigns it to an IoT hub.
//
// # Errors
//
// A refusal is an [*Error] in all three clients. Branch with errors.Is on the
// sentinels ([ErrNotFound], [ErrConflict], …), read details with errors.As, and
// turn an error into advice with [Explain]. Text that came from a server is one
// line without control characters and without the credentials of the request.
//
// # Secrets
//
// Keys are of type [Secret], which prints as REDACTED wherever it is formatted,
// logged or encoded. Nothing in this module logs a key, a token or a signature
// at any level.
package dps
