package device_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"

	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/device"
)

// TestConnectSurvives: whatever goes wrong with the first connection, or the
// first two, the device registers with the next one.
func TestConnectSurvives(t *testing.T) {
	raw := func(data string) func(net.Conn) {
		return func(conn net.Conn) { _, _ = conn.Write([]byte(data)) }
	}
	silent := func(conn net.Conn) { _, _ = conn.Read(make([]byte, 1)) }
	for name, tt := range map[string]struct {
		greet func(conn net.Conn)
		times int
		took  time.Duration // at most
	}{
		"cut before CONNACK": {raw(""), 2, 10 * time.Second},
		"cut within CONNACK": {raw("\x20\x02"), 2, 10 * time.Second},
		// Paho may take the end for its own business, and has to be waited for.
		"cut behind CONNACK":      {raw("\x20\x02\x00\x00"), 2, time.Minute},
		"server unavailable":      {raw("\x20\x02\x00\x03"), 2, 10 * time.Second},
		"never a CONNACK":         {silent, 1, 2 * time.Minute},
		"the rest of it is never": {func(conn net.Conn) { raw("\x20\x02")(conn); silent(conn) }, 1, 2 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &mqttScript{replies: []mqttReply{{202, "1", assigning, nil}, {200, "", assigned, nil}}}
				greeted := 0
				s.greet = func(conn net.Conn) {
					if greeted++; greeted <= tt.times {
						tt.greet(conn)
						return
					}
					if packets.NewControlPacket(packets.Connack).Write(conn) == nil {
						s.converse(conn)
					}
				}
				start := time.Now()
				got, err := settled(s.client(t).Register(t.Context(), nil))
				took := time.Since(start)
				if err != nil || got.AssignedHub != "h" || greeted != tt.times+1 || took > tt.took {
					t.Errorf("%+v, %v after %v and %d connections", got, err, took, greeted)
				}
				if len(s.at) != 2 {
					t.Errorf("%d requests", len(s.at))
				}
			})
		})
	}
}

// TestSlowConnack waits for a CONNACK that is late, and no longer than an attempt
// may take.
func TestSlowConnack(t *testing.T) {
	for late, connections := range map[time.Duration]int{10 * time.Second: 1, 25 * time.Second: 1, 40 * time.Second: 3, 2 * time.Minute: 3} {
		synctest.Test(t, func(t *testing.T) {
			s := &mqttScript{replies: []mqttReply{{200, "", assigned, nil}}}
			greeted := 0
			s.greet = func(conn net.Conn) {
				greeted++
				_ = conn.SetReadDeadline(time.Now().Add(late)) // see when the device leaves
				_, _ = conn.Read(make([]byte, 1))
				_ = conn.SetReadDeadline(time.Time{})
				if packets.NewControlPacket(packets.Connack).Write(conn) == nil {
					s.converse(conn)
				}
			}
			start := time.Now()
			_, err := settled(s.client(t, func(o *device.ClientOptions) { o.MaxRetries, o.RetryDelay = 2, time.Second }).Register(t.Context(), nil))
			if err != nil {
				if refusal := wantError(t, err, dps.ErrUnavailable, 0); refusal == nil || !strings.Contains(refusal.Message, "no CONNACK") || refusal.Attempts != 3 {
					t.Errorf("%v late: %+v", late, refusal)
				}
				if took := time.Since(start); took > 2*time.Minute {
					t.Errorf("%v late: given up after %v", late, took)
				}
			}
			if (err == nil) != (connections == 1) || greeted != connections {
				t.Errorf("%v late: %v after %d connections", late, err, greeted)
			}
		})
	}
}

// TestNoConnackInTime: the time of the caller ends first, and the error says what
// was waited for.
func TestNoConnackInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &mqttScript{greet: func(conn net.Conn) { _, _ = conn.Read(make([]byte, 1)) }}
		ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
		defer cancel()
		_, err := settled(s.client(t).Register(ctx, nil))
		wantError(t, err, dps.ErrUnavailable, 0)
		if x, ok := dps.Explain(err); !ok || !strings.Contains(x.Why, "8883") || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v, explained as %+v", err, x)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		s := &mqttScript{greet: func(conn net.Conn) { _, _ = conn.Read(make([]byte, 1)) }}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		if _, err := settled(s.client(t).Register(ctx, nil)); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}
