package device

import (
	"bytes"
	"io"
	"net"
	"testing"
	"testing/iotest"

	"github.com/eclipse/paho.mqtt.golang/packets"
)

func TestParseResponse(t *testing.T) {
	for topic, want := range map[string]mqttAnswer{
		"$dps/registrations/res/202/?$rid=1&retry-after=3":       {status: 202, requestID: "1", retryAfter: "3"},
		"$dps/registrations/res/200/?$rid=a-b":                   {status: 200, requestID: "a-b"},
		"$dps/registrations/res/429/?retry-after=3&$rid=1&x":     {status: 429, requestID: "1", retryAfter: "3"},
		"$dps/registrations/res/202/?$rid=1&Retry-After=3":       {status: 202, requestID: "1", retryAfter: "3"},
		"$dps/registrations/res/202/?$rid=1&retry-after=soon%20": {status: 202, requestID: "1", retryAfter: "soon%20"},
	} {
		got, ok := parseResponse(topic, nil)
		if !ok || got.status != want.status || got.requestID != want.requestID || got.retryAfter != want.retryAfter {
			t.Errorf("%q: %+v, %v", topic, got, ok)
		}
	}
	for _, topic := range []string{
		"", "$dps/registrations/res/", "$dps/registrations/res/200", "$dps/registrations/res/200/", "$dps/registrations/res/200/?",
		"$dps/registrations/res/200/?$rid=", "$dps/registrations/res/200/?retry-after=3", "$dps/registrations/res/ok/?$rid=1",
		"$dps/registrations/res/-200/?$rid=1", "$dps/registrations/res/99999/?$rid=1", "$dps/registrations/res/2/?$rid=1", "x/200/?$rid=1",
	} {
		if got, ok := parseResponse(topic, nil); ok {
			t.Errorf("%q: %+v", topic, got)
		}
	}
}

// stream is a connection that only reads.
type stream struct {
	net.Conn
	io.Reader
}

func (s stream) Read(p []byte) (int, error) { return s.Reader.Read(p) }

// FuzzGuard: what the guard lets through Paho's codec can read without allocating
// much, and it does not matter how the bytes arrive.
func FuzzGuard(f *testing.F) {
	for _, seed := range []string{
		"\x20\x02\x00\x00", "\x20\x02\x00\x00\x90\x03\x00\x01\x01\x40\x02\x00\x02\x30\x05\x00\x01ahi\xd0\x00",
		"\x20\x02\x00\x07", "\x20\x02\x00\x00\x90\x05\x00\x01\x01\x01\x01", "\x20\x02\x00\x00\x30\xff\xff\xff\x7f", "HTTP/1.1", "\x20\x82\x00\x00\x00",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		ignore := func(error) {}
		whole, err := io.ReadAll(&guard{Conn: stream{Reader: bytes.NewReader(data)}, fail: ignore})
		single, err1 := io.ReadAll(&guard{Conn: stream{Reader: iotest.OneByteReader(bytes.NewReader(data))}, fail: ignore})
		if (err == nil) != (err1 == nil) || err == nil && (!bytes.Equal(whole, data) || !bytes.Equal(single, data)) {
			t.Fatalf("at once: %x, %v; byte by byte: %x, %v", whole, err, single, err1)
		}
		in := bytes.NewReader(single)
		for in.Len() > 0 {
			p, err := packets.ReadPacket(in)
			if err != nil {
				return
			}
			switch p := p.(type) {
			case *packets.ConnackPacket:
				if p.ReturnCode > 5 {
					t.Fatalf("let %v through", p)
				}
			case *packets.SubackPacket:
				if len(p.ReturnCodes) > 1 {
					t.Fatalf("let %d codes through", len(p.ReturnCodes))
				}
			}
		}
	})
}
