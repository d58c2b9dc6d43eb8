package mqtt

import (
	"bytes"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/eclipse/paho.mqtt.golang/packets"
)

// TestCutAnywhere ends a conversation after each of its bytes. That costs the
// one connection: what was answered are whole packets, and a witness goes on
// (MQ1).
func TestCutAnywhere(t *testing.T) {
	leave := packets.NewControlPacket(packets.Unsubscribe).(*packets.UnsubscribePacket)
	leave.MessageID, leave.Topics = 7, []string{responseFilter}
	poll := packets.NewControlPacket(packets.Publish).(*packets.PublishPacket)
	poll.Qos, poll.MessageID, poll.TopicName, poll.Payload = 1, 3, pollPrefix+"?$rid=2&operationId=4.x", []byte(" ")
	conversation := bytes.Join([][]byte{
		hello("dev-1", 60), subscription(), registration(1), foreign(t, poll), registration(0), {0xc0, 0}, foreign(t, leave), {0xe0, 0},
	}, nil)
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		defer b.close()
		witness := b.online("witness", 600)
		for n := range len(conversation) + 1 {
			conn := &fuzzed{in: bytes.NewReader(conversation[:n])}
			if !b.server.serveConn(t.Context(), conn, conn, b.chain, "test", "cut") {
				t.Fatalf("after %d bytes: not served", n)
			}
			for conn.out.Len() > 0 {
				if _, err := packets.ReadPacket(&conn.out); err != nil {
					t.Fatalf("after %d bytes: %v", n, err)
				}
			}
			send(t, witness, []byte{0xc0, 0})
			if _, ok := receive(t, witness).(*packets.PingrespPacket); !ok {
				t.Fatalf("after %d bytes: the witness got something else", n)
			}
		}
		if strings.Contains(b.logs.String(), "panicked") {
			t.Errorf("log:\n%s", b.logs)
		}
		if n := len(b.server.sessions); n != 1 {
			t.Errorf("%d sessions are left, want the witness", n)
		}
	})
}

// TestTenThousandIdle: connections that have connected, and such that say
// nothing, leave room and time for others (HT5, MQ13).
func TestTenThousandIdle(t *testing.T) {
	idle := 10_000
	if testing.Short() {
		idle = 500
	}
	b := newBench(t)
	conns := make([]net.Conn, idle)
	var all sync.WaitGroup
	for worker := range 4 {
		all.Go(func() {
			for i := worker; i < idle; i += 4 {
				if i%2 == 0 {
					conns[i] = b.online(fmt.Sprintf("idle-%d", i), 600)
				} else {
					conns[i], _ = b.dial()
				}
			}
		})
	}
	all.Wait()
	device := b.online("dev-1", 60)
	send(t, device, registration(0))
	if answer, ok := receive(t, device).(*packets.PublishPacket); !ok || answer.TopicName != responsePrefix+"401/?$rid=1" {
		t.Errorf("got %v", answer)
	}
	for _, i := range []int{0, idle - 2} { // nobody had to go
		send(t, conns[i], []byte{0xc0, 0})
		receive(t, conns[i])
	}
	b.close()
	b.server.mu.Lock()
	defer b.server.mu.Unlock()
	if n := len(b.server.sessions); n != 0 {
		t.Errorf("%d sessions are left", n)
	}
}
