package emulator_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/eclipse/paho.mqtt.golang/packets"

	"github.com/dpskit/dpskit/pkg/dps/emulator"
)

// BenchmarkRegisterMQTT measures whole registrations over MQTT: register and
// poll, on connections that stay open or with a connection, and its TLS
// handshake, for each. The client's share is included; so is the delay of each
// answer, which is why there are many clients at once.
func BenchmarkRegisterMQTT(b *testing.B) {
	for _, kind := range []string{"same connection", "new connection"} {
		b.Run(kind, func(b *testing.B) {
			w := newWorld(b, func(o *emulator.Options) { o.Logger = nil })
			p := newPKI(b)
			w.prove("root", p.root)
			w.group("fleet", p.intermediate.Certificate())
			var next atomic.Int64
			b.SetParallelism(128)
			b.RunParallel(func(pb *testing.PB) {
				id := fmt.Sprintf("dev-%d", next.Add(1))
				cert := device(b, p.intermediate, id)
				var c *mqttClient
				for pb.Next() {
					if c == nil {
						c = w.online(id, cert)
					}
					c.assigned(id)
					if kind == "new connection" {
						c.send(packets.NewControlPacket(packets.Disconnect))
						_ = c.conn.Close()
						c = nil
					}
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "registrations/s")
		})
	}
}
