// Package wire holds the emulator's own wire structs: what the service, the
// Azure Resource Manager and the device planes read and write as JSON.
//
// They are deliberately not shared with the clients in this module. A wrong
// member name in one of them then fails a test instead of matching itself.
// Members stand in the order in which the real service sends them.
package wire
