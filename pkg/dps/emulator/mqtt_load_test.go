package emulator_test

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"
)

// TestMQTTBurst registers many devices at once, each on its own connection. All
// are assigned, each has one record.
func TestMQTTBurst(t *testing.T) {
	const devices = 150
	w, p := fleet(t, withHubs)
	ids := make([]*tls.Certificate, devices)
	parallel(devices, 4, func(i int) { ids[i] = device(t, p.intermediate, fmt.Sprintf("dev-%03d", i)) })
	clients := make([]*mqttClient, devices)
	parallel(devices, 4, func(i int) { clients[i] = w.dialMQTT(ids[i]) })
	parallel(devices, devices, func(i int) {
		id := fmt.Sprintf("dev-%03d", i)
		clients[i].start(hello(w.info.IDScope, id))
		if r := clients[i].assigned(id); r.str("registrationState", "deviceId") != id {
			t.Errorf("%s: %s", id, r.raw)
		}
	})
	list, _ := w.pages(t, "/registrations/fleet/query", "registrationId", nil, "")
	if len(list) != devices {
		t.Errorf("%d records for %d devices", len(list), devices)
	}
}

// TestManyIdleConnections: clients that connect and fall silent, before and after
// CONNECT, cost little memory and no time of others (HT5, MQ13).
func TestManyIdleConnections(t *testing.T) {
	w, p := fleet(t)
	cert := device(t, p.intermediate, "idle")
	witness := w.online("witness", device(t, p.intermediate, "witness"))
	idle := 400
	if testing.Short() {
		idle = 50
	}
	quick := func() time.Duration {
		best := time.Hour
		for range 10 {
			start := time.Now()
			witness.send(packets.NewControlPacket(packets.Pingreq))
			witness.next()
			best = min(best, time.Since(start))
		}
		return best
	}
	before := quick()
	heap := heapInUse()
	hi := hello(w.info.IDScope, "idle")
	parallel(idle, 8, func(i int) {
		c := w.dialMQTT(cert)
		if i%2 == 0 {
			hi := *hi
			hi.ClientIdentifier = fmt.Sprintf("idle-%d", i)
			hi.Username = string(bytes.Replace([]byte(hi.Username), []byte("/idle/"), []byte("/"+hi.ClientIdentifier+"/"), 1))
			if code := c.connect(&hi); code != 0 {
				t.Errorf("CONNACK %d", code)
			}
		}
	})
	if after := quick(); after > 2*before+20*time.Millisecond {
		t.Errorf("a ping takes %v, and took %v before", after, before)
	}
	witness.assigned("witness")
	// Both ends are in this process; 64 KiB is for both.
	if each := (heapInUse() - heap) / int64(idle); each > 64<<10 {
		t.Errorf("%d bytes for each idle connection", each)
	}
}

func heapInUse() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse + m.StackInuse)
}
