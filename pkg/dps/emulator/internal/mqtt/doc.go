// Package mqtt is the emulator's device plane over MQTT 3.1.1, on TLS and on
// WebSocket.
//
// It is no broker. A client subscribes to the one filter of the service,
// publishes requests, and gets its own answers; nothing passes from one client
// to another, and nothing outlives a connection. So the codec knows the packets
// that such a client sends and nothing else, with limits on all of them, and
// each connection is served by one goroutine that reads a packet, answers it,
// and reads the next. Whatever a client does wrong ends its own connection.
//
// The topics are those of
// https://learn.microsoft.com/azure/iot/iot-mqtt-connect-to-iot-dps; the order
// of packets and parameters is what the official device SDKs insist on.
package mqtt
