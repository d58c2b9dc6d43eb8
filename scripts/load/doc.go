// Command load registers many devices at one emulator and says how that went:
//
//	go run ./scripts/load -devices 10000 -in-flight 256
//	go run ./scripts/load -devices 10000 -in-flight 0        # all at once
//	go run ./scripts/load -data /tmp/dps                     # with the state in a file
//	go run ./scripts/load -idle 10000 -devices 1000          # among idle connections
//	go run ./scripts/load -transport mqtt                    # or mqtt-ws; https is the default
//
// Devices wait before they poll as -retry-after says, 3 s as in the service;
// with 0 the figures are those of the machine.
//
// It starts an emulator in a process of its own, so that the figures of server
// and client are apart, or takes a running one by its ready file (-connect).
// Each device has a key, a certificate below one intermediate, and connections
// of its own: over MQTT and WebSocket one that lasts until it is assigned. It
// registers with package device, which waits and comes back as it is told. Idle
// connections are made to the listener that the devices use. In the end every
// device must have been assigned, with one record under the group; if not, the
// exit code is 1.
package main
