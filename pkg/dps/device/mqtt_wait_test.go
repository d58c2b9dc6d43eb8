package device_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"

	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/device"
)

// mqttReply is one scripted answer to a request: a status topic, or what happens
// instead.
type mqttReply struct {
	status     int
	retryAfter string
	body       string
	instead    func(conn net.Conn, p *packets.PublishPacket) // nil for an answer
}

// mqttScript is a server that answers requests in turn, the last reply again and
// again, whatever connection they come by.
type mqttScript struct {
	replies []mqttReply
	connack []byte                  // codes in turn, the last again and again; none means 0
	greet   func(conn net.Conn)     // in place of CONNACK
	suback  []byte                  // the whole packet; nil for what is right
	extra   []packets.ControlPacket // sent before each answer

	mu        sync.Mutex
	start     time.Time
	at        []int // seconds of each request
	connects  []int
	names     []string // user names
	passwords []string
	topics    []string
	payloads  []string
}

func (s *mqttScript) serve(t *testing.T) *memory {
	t.Helper()
	m, config := newMemory(t)
	s.start = time.Now()
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			raw, err := m.Accept()
			if err != nil {
				return
			}
			conns.Go(func() {
				defer raw.Close()
				each := config.Clone()
				each.ClientAuth = m.auth
				conn := tls.Server(raw, each)
				if conn.HandshakeContext(t.Context()) == nil {
					s.converse(conn)
				}
			})
		}
	})
	t.Cleanup(func() {
		_ = m.Close()
		conns.Wait()
	})
	return m
}

// converse serves one connection until it ends.
func (s *mqttScript) converse(conn net.Conn) {
	for {
		p, err := packets.ReadPacket(conn)
		if err != nil {
			return
		}
		var answer packets.ControlPacket
		switch p := p.(type) {
		case *packets.ConnectPacket:
			if s.greet != nil {
				s.greet(conn)
				return
			}
			answer = s.connect(p)
		case *packets.SubscribePacket:
			if s.suback != nil {
				_, _ = conn.Write(s.suback)
				continue
			}
			ack := packets.NewControlPacket(packets.Suback).(*packets.SubackPacket)
			ack.MessageID, ack.ReturnCodes = p.MessageID, []byte{1}
			answer = ack
		case *packets.PublishPacket:
			if !s.publish(conn, p) {
				return
			}
			continue
		case *packets.PingreqPacket:
			answer = packets.NewControlPacket(packets.Pingresp)
		case *packets.DisconnectPacket:
			return
		default:
			continue
		}
		if answer.Write(conn) != nil {
			return
		}
		if ack, ok := answer.(*packets.ConnackPacket); ok && ack.ReturnCode != 0 {
			return
		}
	}
}

func (s *mqttScript) connect(p *packets.ConnectPacket) packets.ControlPacket {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.names, s.passwords = append(s.names, p.Username), append(s.passwords, string(p.Password))
	s.connects = append(s.connects, int(time.Since(s.start).Seconds()))
	ack := packets.NewControlPacket(packets.Connack).(*packets.ConnackPacket)
	if len(s.connack) > 0 {
		ack.ReturnCode = s.connack[min(len(s.connects), len(s.connack))-1]
	}
	return ack
}

// publish answers a request; false ends the connection.
func (s *mqttScript) publish(conn net.Conn, p *packets.PublishPacket) bool {
	s.mu.Lock()
	s.at = append(s.at, int(time.Since(s.start).Seconds()))
	s.topics, s.payloads = append(s.topics, p.TopicName), append(s.payloads, string(p.Payload))
	reply := s.replies[min(len(s.at), len(s.replies))-1]
	s.mu.Unlock()
	if reply.instead != nil {
		reply.instead(conn, p)
		return false
	}
	ack := packets.NewControlPacket(packets.Puback).(*packets.PubackPacket)
	ack.MessageID = p.MessageID
	answer := packets.NewControlPacket(packets.Publish).(*packets.PublishPacket)
	_, rid, _ := strings.Cut(p.TopicName, "$rid=")
	rid, _, _ = strings.Cut(rid, "&")
	answer.TopicName, answer.Payload = fmt.Sprintf("$dps/registrations/res/%d/?$rid=%s", reply.status, rid), []byte(reply.body)
	if reply.retryAfter != "" {
		answer.TopicName += "&retry-after=" + reply.retryAfter
	}
	for _, p := range append(append([]packets.ControlPacket{ack}, s.extra...), answer) {
		if p.Write(conn) != nil {
			return false
		}
	}
	return true
}

func (s *mqttScript) client(t *testing.T, change ...func(*device.ClientOptions)) *device.Client {
	t.Helper()
	return s.serve(t).client(t, append([]func(*device.ClientOptions){
		func(o *device.ClientOptions) { o.Transport = device.TransportMQTT }}, change...)...)
}

func TestWaitingOverMQTT(t *testing.T) {
	hangUp := func(conn net.Conn, _ *packets.PublishPacket) {}
	for _, tt := range []struct {
		name     string
		replies  []mqttReply
		want     []int // seconds of each request, at least; jitter adds a little
		connects int
	}{
		{"as asked", []mqttReply{{202, "3", assigning, nil}, {202, "5", assigning, nil}, {200, "", assigned, nil}}, []int{0, 3, 8}, 1},
		{"not said", []mqttReply{{202, "", assigning, nil}, {200, "", assigned, nil}}, []int{0, 2}, 1},
		{"nonsense", []mqttReply{{202, "-1", assigning, nil}, {202, "soon", assigning, nil}, {200, "", assigned, nil}}, []int{0, 2, 4}, 1},
		{"capped", []mqttReply{{202, "1000000", assigning, nil}, {200, "", assigned, nil}}, []int{0, 60}, 1},
		{"at once, within the limit", []mqttReply{{202, "0", assigning, nil}, {202, "0", assigning, nil}, {202, "0", assigning, nil},
			{202, "0", assigning, nil}, {202, "0", assigning, nil}, {200, "", assigned, nil}}, []int{0, 0, 0, 0, 0, 10}, 1},
		{"terminal at once", []mqttReply{{200, "", assigned, nil}}, []int{0}, 1},
		{"throttled", []mqttReply{{429, "7", `{"errorCode":429001}`, nil}, {202, "1", assigning, nil}, {429, "4", "", nil}, {200, "", assigned, nil}}, []int{0, 7, 8, 12}, 1},
		{"registering twice at once", []mqttReply{{409, "", `{"errorCode":409203}`, nil}, {200, "", assigned, nil}}, []int{0, 0}, 1},
		{"unavailable", []mqttReply{{503, "", "", nil}, {503, "", "", nil}, {503, "", "", nil}, {200, "", assigned, nil}}, []int{0, 0, 1, 4}, 1},
		{"connection lost", []mqttReply{{0, "", "", hangUp}, {202, "1", assigning, nil}, {0, "", "", hangUp}, {200, "", assigned, nil}}, []int{0, 0, 1, 2}, 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &mqttScript{replies: tt.replies}
				got, err := settled(s.client(t).Register(t.Context(), nil))
				if err != nil || got.AssignedHub != "h" || got.DeviceID != "d" || got.OperationID != "4.op/1" {
					t.Fatalf("got %+v, %v", got, err)
				}
				if len(s.at) != len(tt.want) || len(s.connects) != tt.connects {
					t.Fatalf("requests at %v on %d connections", s.at, len(s.connects))
				}
				for i := range s.at {
					if s.at[i] < tt.want[i] || s.at[i] > tt.want[i]+3 {
						t.Errorf("requests at %v, want %v", s.at, tt.want)
						break
					}
				}
			})
		})
	}
}

// TestOnTheWire is what the server sees.
func TestOnTheWire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &mqttScript{replies: []mqttReply{{202, "1", assigning, nil}, {200, "", assigned, nil}}}
		if _, err := settled(s.client(t).Register(t.Context(), &device.RegisterOptions{Payload: []byte(`{"a":1}`)})); err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(s.names[0], "0ne00000000/registrations/dev-1/api-version=2021-06-01&ClientVersion=dpskit%2Fv") || s.passwords[0] != "" {
			t.Errorf("user name %q, password %q", s.names[0], s.passwords[0])
		}
		if !strings.HasPrefix(s.topics[0], "$dps/registrations/PUT/iotdps-register/?$rid=") ||
			!strings.HasPrefix(s.topics[1], "$dps/registrations/GET/iotdps-get-operationstatus/?$rid=") ||
			!strings.HasSuffix(s.topics[1], "&operationId=4.op%2F1") || s.topics[0][45:] == s.topics[1][56:] {
			t.Errorf("topics %q", s.topics)
		}
		if want := []string{`{"registrationId":"dev-1","payload":{"a":1}}`, ""}; !slices.Equal(s.payloads, want) {
			t.Errorf("payloads %q", s.payloads)
		}
	})
}

// TestUnrelatedPackets do not disturb: answers to others, to nobody, pings.
func TestUnrelatedPackets(t *testing.T) {
	stray := func(topic string) packets.ControlPacket {
		p := packets.NewControlPacket(packets.Publish).(*packets.PublishPacket)
		p.TopicName, p.Payload = topic, []byte(`{"status":"disabled"}`)
		return p
	}
	synctest.Test(t, func(t *testing.T) {
		s := &mqttScript{replies: []mqttReply{{202, "1", assigning, nil}, {200, "", assigned, nil}}, extra: []packets.ControlPacket{
			stray("$dps/registrations/res/200/?$rid=other"), stray("$dps/registrations/res/"), stray("x"), stray("$dps/registrations/res/-1/?$rid=1"),
			packets.NewControlPacket(packets.Pingresp),
		}}
		if got, err := settled(s.client(t).Register(t.Context(), nil)); err != nil || got.Status != device.StatusAssigned {
			t.Errorf("got %+v, %v", got, err)
		}
	})
}

// TestConnectionLasts through long waits: pings keep it.
func TestConnectionLasts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &mqttScript{replies: []mqttReply{{202, "300", assigning, nil}, {200, "", assigned, nil}}}
		_, err := settled(s.client(t, func(o *device.ClientOptions) { o.MaxRetryDelay = time.Hour }).Register(t.Context(), nil))
		if err != nil || len(s.connects) != 1 || s.at[1] != 300 {
			t.Errorf("%v; %d connections, requests at %v", err, len(s.connects), s.at)
		}
	})
}

func TestConnackRefusals(t *testing.T) {
	for code, tt := range map[byte]struct {
		sentinel error
		connects int
	}{
		1: {dps.ErrUnexpectedAnswer, 1},
		2: {dps.ErrBadRequest, 1},
		3: {dps.ErrUnavailable, 5},
		4: {dps.ErrBadRequest, 1},
		5: {dps.ErrUnauthorized, 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := &mqttScript{connack: []byte{code}}
			_, err := settled(s.client(t).Register(t.Context(), nil))
			refusal := wantError(t, err, tt.sentinel, 0)
			if refusal == nil || refusal.Attempts != tt.connects || len(s.connects) != tt.connects || !strings.Contains(err.Error(), fmt.Sprintf("(CONNACK %d)", code)) {
				t.Errorf("%d: %v after %d connections", code, err, len(s.connects))
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		s := &mqttScript{connack: []byte{3, 3, 0}, replies: []mqttReply{{200, "", assigned, nil}}}
		if _, err := settled(s.client(t).Register(t.Context(), nil)); err != nil || len(s.connects) != 3 {
			t.Errorf("%v after %d connections", err, len(s.connects))
		}
	})
}

// TestBadServers: whatever a server sends costs one attempt, or a few, and never
// the process.
func TestBadServers(t *testing.T) {
	raw := func(data string) func(net.Conn) {
		return func(conn net.Conn) { _, _ = conn.Write([]byte(data)) }
	}
	silent := func(conn net.Conn) { _, _ = conn.Read(make([]byte, 1)) }
	answer := func(data string) []mqttReply {
		return []mqttReply{{instead: func(conn net.Conn, _ *packets.PublishPacket) {
			_, _ = conn.Write([]byte(data))
			_, _ = conn.Read(make([]byte, 64))
		}}}
	}
	for name, tt := range map[string]struct {
		script   *mqttScript
		sentinel error
	}{
		"an HTTP server":           {&mqttScript{greet: raw("HTTP/1.1 400 Bad Request\r\n\r\n")}, dps.ErrUnexpectedAnswer},
		"hangs up":                 {&mqttScript{greet: raw("")}, dps.ErrUnavailable},
		"half a CONNACK":           {&mqttScript{greet: raw("\x20\x02\x00")}, dps.ErrUnavailable},
		"a long CONNACK":           {&mqttScript{greet: raw("\x20\x03\x00\x00\x00")}, dps.ErrUnexpectedAnswer},
		"CONNACK of unknown code":  {&mqttScript{greet: raw("\x20\x02\x00\x07")}, dps.ErrUnexpectedAnswer},
		"says nothing":             {&mqttScript{greet: silent}, dps.ErrUnavailable},
		"subscription refused":     {&mqttScript{suback: []byte{0x90, 3, 0, 1, 0x80}}, dps.ErrUnexpectedAnswer},
		"too many subscriptions":   {&mqttScript{suback: []byte{0x90, 5, 0, 1, 1, 1, 1}}, dps.ErrUnexpectedAnswer},
		"packet of 256 MB":         {&mqttScript{replies: answer("\x30\xff\xff\xff\x7f")}, dps.ErrUnexpectedAnswer},
		"length without end":       {&mqttScript{replies: answer("\x30\xff\xff\xff\xff\xff")}, dps.ErrUnexpectedAnswer},
		"PUBLISH without content":  {&mqttScript{replies: answer("\x30\x00")}, dps.ErrUnavailable},
		"a topic that is too long": {&mqttScript{replies: answer("\x30\x02\xff\xff")}, dps.ErrUnavailable},
		"reserved type":            {&mqttScript{replies: answer("\xf0\x00")}, dps.ErrUnavailable},
		"not JSON":                 {&mqttScript{replies: []mqttReply{{202, "", "<html>", nil}}}, dps.ErrUnexpectedAnswer},
		"no status":                {&mqttScript{replies: []mqttReply{{202, "", `{"operationId":"o"}`, nil}}}, dps.ErrUnexpectedAnswer},
		"no operation id":          {&mqttScript{replies: []mqttReply{{202, "", `{"status":"assigning"}`, nil}}}, dps.ErrUnexpectedAnswer},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, err := tt.script.client(t, func(o *device.ClientOptions) { o.MaxRetries = 1 }).Register(t.Context(), nil)
				if wantError(t, err, tt.sentinel, 0); err != nil && !strings.HasPrefix(err.Error(), `register device "dev-1": `) {
					t.Errorf("got %v", err)
				}
			})
		})
	}
}

func TestFinalRefusalsOverMQTT(t *testing.T) {
	for status, sentinel := range map[int]error{400: dps.ErrBadRequest, 401: dps.ErrUnauthorized, 404: dps.ErrNotFound, 413: dps.ErrBadRequest} {
		synctest.Test(t, func(t *testing.T) {
			s := &mqttScript{replies: []mqttReply{{status, "", fmt.Sprintf(`{"errorCode":%d002,"trackingId":"t-1","message":"no"}`, status), nil}}}
			_, err := settled(s.client(t).Register(t.Context(), nil))
			refusal := wantError(t, err, sentinel, status*1000+2)
			if refusal == nil || refusal.TrackingID != "t-1" || refusal.Message != "no" || len(s.at) != 1 {
				t.Errorf("%d: %+v after %d requests", status, refusal, len(s.at))
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		s := &mqttScript{replies: []mqttReply{{429, "5", "", nil}}}
		_, err := settled(s.client(t, func(o *device.ClientOptions) { o.MaxRetries = 2 }).Register(t.Context(), nil))
		refusal := wantError(t, err, dps.ErrThrottled, 0)
		if refusal == nil || refusal.RetryAfter != 5*time.Second || refusal.Attempts != 3 || s.at[2] < 10 {
			t.Errorf("%+v, requests at %v", refusal, s.at)
		}
	})
}

func TestWaitingOverMQTTEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &mqttScript{replies: []mqttReply{{202, "3", assigning, nil}}}
		start := time.Now()
		_, err := settled(s.client(t, func(o *device.ClientOptions) { o.MaxWait = 20 * time.Second }).Register(t.Context(), nil))
		took := time.Since(start)
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(fmt.Sprint(err), "still assigning after 20s") || took < 20*time.Second || took > 21*time.Second {
			t.Errorf("%v after %v", err, took)
		}
	})
	// A refusal with a delay beyond the deadline ends it now.
	synctest.Test(t, func(t *testing.T) {
		s := &mqttScript{replies: []mqttReply{{503, "50", "", nil}}}
		start := time.Now()
		_, err := settled(s.client(t, func(o *device.ClientOptions) { o.MaxWait = 20 * time.Second }).Register(t.Context(), nil))
		if wantError(t, err, dps.ErrUnavailable, 0); time.Since(start) > time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
	// In the middle of anything.
	for name, s := range map[string]*mqttScript{
		"connecting": {greet: func(conn net.Conn) { _, _ = conn.Read(make([]byte, 1)) }},
		"asking": {replies: []mqttReply{{instead: func(conn net.Conn, _ *packets.PublishPacket) {
			_, _ = conn.Read(make([]byte, 64))
		}}}},
		"backing off": {replies: []mqttReply{{429, "60", "", nil}}},
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(5*time.Second, cancel)
			start := time.Now()
			_, err := settled(s.client(t).Register(ctx, nil))
			took := time.Since(start)
			if !errors.Is(err, context.Canceled) || errors.Is(err, dps.ErrUnavailable) && name != "backing off" || took < 5*time.Second || took > 6*time.Second {
				t.Errorf("%s: %v after %v", name, err, took)
			}
		})
	}
}

// TestTokenOfEachConnection: a device with a key signs again when it connects
// again.
func TestTokenOfEachConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &mqttScript{connack: []byte{3, 0}, replies: []mqttReply{{401, "", `{"errorCode":401002,"message":"no"}`, nil}}}
		m := s.serve(t)
		opts := &device.ClientOptions{Host: memoryHost, RootCAs: m.pool, DialContext: m.dial, Transport: device.TransportMQTT, RetryDelay: 2 * time.Second}
		c := must[*device.Client](t)(device.NewClient("0ne00000000", "dev-1", device.SymmetricKey(primaryKey), opts))
		_, err := settled(c.Register(t.Context(), nil))
		wantError(t, err, dps.ErrUnauthorized, 401002)
		if len(s.passwords) != 2 || s.passwords[0] == s.passwords[1] || !strings.HasPrefix(s.passwords[0], "SharedAccessSignature sr=0ne00000000%2Fregistrations%2Fdev-1&sig=") {
			t.Errorf("passwords %q", s.passwords)
		}
	})
}

// TestServerThatRepeatsTheToken does not get it into an error.
func TestServerThatRepeatsTheToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &mqttScript{replies: []mqttReply{{instead: func(net.Conn, *packets.PublishPacket) {}}}}
		s.replies[0] = mqttReply{401, "", "", nil}
		m := s.serve(t)
		opts := &device.ClientOptions{Host: memoryHost, RootCAs: m.pool, DialContext: m.dial, Transport: device.TransportMQTT}
		token := must[string](t)(dps.SASToken("0ne00000000/registrations/dev-1", "registration", primaryKey, time.Now().Add(time.Hour)))
		s.replies[0].body = fmt.Sprintf(`{"errorCode":401002,"message":"bad %s"}`, token)
		c := must[*device.Client](t)(device.NewClient("0ne00000000", "dev-1", device.SymmetricKey(primaryKey), opts))
		_, err := settled(c.Register(t.Context(), nil))
		refusal := wantError(t, err, dps.ErrUnauthorized, 401002)
		if s.passwords[0] != token {
			t.Fatalf("password %q, want %q", s.passwords[0], token)
		}
		if refusal == nil || !strings.Contains(refusal.Message, "REDACTED") || strings.Contains(refusal.Message, "sig=") {
			t.Errorf("got %+v", refusal)
		}
	})
}
