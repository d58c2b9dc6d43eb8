// Package deviceapi is the emulator's device plane: register, poll and look up,
// over HTTPS ([New]) or for another transport ([Plane]). A device proves who it
// is by the certificate of the TLS connection or by a shared access signature;
// both are judged when it registers, not in the handshake.
package deviceapi
