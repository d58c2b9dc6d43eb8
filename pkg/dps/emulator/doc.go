// Package emulator runs an Azure IoT Hub Device Provisioning Service on this
// machine: its service plane, its device plane and the part of Azure Resource
// Manager that uploads and verifies CA certificates.
package emulator
