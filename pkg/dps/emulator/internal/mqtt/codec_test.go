package mqtt

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/eclipse/paho.mqtt.golang/packets"
	"github.com/google/go-cmp/cmp"
)

var compare = cmp.AllowUnexported(connect{}, publish{}, subscribe{}, unsubscribe{}, filter{}, puback{}, pingreq{}, disconnect{})

// decode reads one packet from data, and how much of data is left.
func decode(data []byte) (packet, int, error) {
	whole := bytes.NewReader(data)
	in := bufio.NewReader(whole)
	p, err := readPacket(in, maxPacket, func() {})
	return p, whole.Len() + in.Buffered(), err
}

// sample is a packet in the encoding of an independent implementation, and what
// it should be read as.
type sample struct {
	name string
	data []byte
	want packet
}

// foreign encodes a packet with the codec of the Paho client.
func foreign(t testing.TB, p packets.ControlPacket) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := p.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func samples(t testing.TB) []sample {
	t.Helper()
	hello := packets.NewControlPacket(packets.Connect).(*packets.ConnectPacket)
	hello.ProtocolName, hello.ProtocolVersion, hello.CleanSession, hello.Keepalive = "MQTT", 4, true, 60
	hello.ClientIdentifier, hello.UsernameFlag, hello.Username = "dev-1", true, "0ne/registrations/dev-1/api-version=2019-03-31"
	keyed := *hello
	keyed.PasswordFlag, keyed.Password, keyed.CleanSession = true, []byte("SharedAccessSignature sr=…"), false
	willing := keyed
	willing.WillFlag, willing.WillQos, willing.WillRetain, willing.WillTopic, willing.WillMessage = true, 1, true, "last", []byte{0, 0xff}
	ask := packets.NewControlPacket(packets.Publish).(*packets.PublishPacket)
	ask.TopicName, ask.Payload = registerPrefix+"?$rid=1", []byte(`{"registrationId":"dev-1"}`)
	sure := *ask
	sure.Qos, sure.MessageID, sure.Dup, sure.Retain, sure.Payload = 1, 0xabcd, true, true, nil
	twice := sure
	twice.Qos, twice.Payload = 2, bytes.Repeat([]byte{0x5a}, 100_000)
	sub := packets.NewControlPacket(packets.Subscribe).(*packets.SubscribePacket)
	sub.MessageID, sub.Topics, sub.Qoss = 7, []string{responseFilter, "ä/+"}, []byte{2, 0}
	unsub := packets.NewControlPacket(packets.Unsubscribe).(*packets.UnsubscribePacket)
	unsub.MessageID, unsub.Topics = 8, []string{responseFilter}
	ack := packets.NewControlPacket(packets.Puback).(*packets.PubackPacket)
	ack.MessageID = 9
	return []sample{
		{"CONNECT", foreign(t, hello), connect{cleanSession: true, keepAlive: 60, clientID: "dev-1", userName: hello.Username}},
		{"CONNECT with password", foreign(t, &keyed), connect{keepAlive: 60, clientID: "dev-1", userName: hello.Username, password: keyed.Password}},
		{"CONNECT with will", foreign(t, &willing), connect{keepAlive: 60, clientID: "dev-1", userName: hello.Username, password: keyed.Password}},
		{"PUBLISH", foreign(t, ask), publish{topic: ask.TopicName, payload: ask.Payload}},
		{"PUBLISH at QoS 1", foreign(t, &sure), publish{topic: ask.TopicName, id: 0xabcd, qos: 1, dup: true, retain: true, payload: []byte{}}},
		{"PUBLISH at QoS 2", foreign(t, &twice), publish{topic: ask.TopicName, id: 0xabcd, qos: 2, dup: true, retain: true, payload: twice.Payload}},
		{"SUBSCRIBE", foreign(t, sub), subscribe{id: 7, filters: []filter{{responseFilter, 2}, {"ä/+", 0}}}},
		{"UNSUBSCRIBE", foreign(t, unsub), unsubscribe{id: 8, filters: []string{responseFilter}}},
		{"PUBACK", foreign(t, ack), puback{id: 9}},
		{"PINGREQ", foreign(t, packets.NewControlPacket(packets.Pingreq)), pingreq{}},
		{"DISCONNECT", foreign(t, packets.NewControlPacket(packets.Disconnect)), disconnect{}},
	}
}

func TestDecode(t *testing.T) {
	for _, s := range samples(t) {
		got, left, err := decode(append(bytes.Clone(s.data), 0xc0))
		if err != nil || left != 1 {
			t.Errorf("%s: %v, %d bytes left", s.name, err, left)
		}
		if diff := cmp.Diff(s.want, got, compare); diff != "" {
			t.Errorf("%s (-want +got):\n%s", s.name, diff)
		}
	}
}

// TestTruncated cuts each packet at each byte: first the connection, then the
// packet, with a length that fits what is left.
func TestTruncated(t *testing.T) {
	for _, s := range samples(t) {
		step := max(1, len(s.data)/500)
		for n := 0; n < len(s.data); n += step {
			want := io.ErrUnexpectedEOF
			if n == 0 {
				want = io.EOF
			}
			if _, _, err := decode(s.data[:n]); err != want {
				t.Errorf("%s, cut at %d: %v", s.name, n, err)
			}
		}
		body := s.data[len(s.data)-contentLength(t, s.data):]
		for n := 0; n < len(body); n += step {
			cut := append(appendLength([]byte{s.data[0]}, n), body[:n]...)
			p, _, err := decode(cut)
			var broken protocolError
			switch {
			case errors.As(err, &broken):
			case err == nil && s.data[0]>>4 == typePublish && bytes.HasPrefix(s.want.(publish).payload, p.(publish).payload):
				// The payload has no length of its own.
			case err == nil && s.data[0]>>4 == typeSubscribe && len(p.(subscribe).filters) == 1:
				// Nor has the list of filters.
			default:
				t.Errorf("%s, content of %d bytes: %+v, %v", s.name, n, p, err)
			}
		}
	}
}

func contentLength(t *testing.T, data []byte) int {
	t.Helper()
	n, err := readLength(bytes.NewReader(data[1:]))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestMalformed(t *testing.T) {
	connectHead := "00044d51545404"
	for name, tt := range map[string]struct{ data, want string }{
		"a subscription cut short":      {"820600010000" + "0161", "filter is empty"},
		"length of five bytes":          {"30ffffffff01", "remaining length"},
		"length without end":            {"30ffffffffffffffff", "remaining length"},
		"length beyond the limit":       {"30818010", "larger than allowed"},
		"type 0":                        {"0000", "packet type"},
		"type 15":                       {"f000", "packet type"},
		"CONNACK":                       {"20020000", "packet type"},
		"SUBACK":                        {"9003000101", "packet type"},
		"PINGRESP":                      {"d000", "packet type"},
		"PUBREC":                        {"50020001", "QoS 2"},
		"PUBREL":                        {"62020001", "QoS 2"},
		"PUBCOMP":                       {"70020001", "QoS 2"},
		"CONNECT with header flags":     {"1100", "reserved"},
		"SUBSCRIBE without header flag": {"8006000100016100", "reserved"},
		"UNSUBSCRIBE with flags":        {"ab00", "reserved"},
		"PINGREQ with flags":            {"c100", "reserved"},
		"DISCONNECT with flags":         {"e800", "reserved"},
		"PINGREQ with content":          {"c00100", "longer"},
		"DISCONNECT with content":       {"e00100", "longer"},
		"PUBACK with more":              {"4003000100", "longer"},
		"PUBACK of nothing":             {"40020000", "identifier"},
		"PUBLISH with QoS 3":            {"3600", "impossible flags"},
		"PUBLISH again with QoS 0":      {"3800", "impossible flags"},
		"PUBLISH without topic":         {"30020000", "topic is empty"},
		"PUBLISH to plus":               {"300300012b", "wildcard"},
		"PUBLISH to hash":               {"3003000123", "wildcard"},
		"PUBLISH with identifier 0":     {"32050001610000", "identifier"},
		"topic with NUL":                {"3003000100", "control"},
		"topic with a control":          {"300300011b", "control"},
		"topic with U+FFFF":             {"30050003efbfbf", "non-character"},
		"topic with U+FDD0":             {"30050003efb790", "non-character"},
		"topic with U+1FFFE":            {"30060004f09fbfbe", "non-character"},
		"topic with a lone surrogate":   {"30050003eda080", "UTF-8"},
		"topic with an overlong form":   {"30040002c0af", "UTF-8"},
		"SUBSCRIBE to nothing":          {"82020001", "no filter"},
		"SUBSCRIBE with QoS 3":          {"8206000100016103", "impossible QoS"},
		"SUBSCRIBE with QoS bits":       {"8206000100016180", "impossible QoS"},
		"SUBSCRIBE with identifier 0":   {"8206000000016100", "identifier"},
		"UNSUBSCRIBE from nothing":      {"a2020001", "no filter"},
		"UNSUBSCRIBE from the empty":    {"a20400010000", "filter is empty"},
		"CONNECT with reserved flag":    {"100d" + connectHead + "03003c000161", "impossible flags"},
		"CONNECT with will QoS alone":   {"100d" + connectHead + "0a003c000161", "impossible flags"},
		"CONNECT with will retain":      {"100d" + connectHead + "22003c000161", "impossible flags"},
		"CONNECT with will QoS 3":       {"1011" + connectHead + "1e003c00016100000000", "impossible flags"},
		"CONNECT, password, no name":    {"1010" + connectHead + "42003c000161000178", "impossible flags"},
		"CONNECT with more":             {"100e" + connectHead + "02003c00016100", "longer"},
		"CONNECT, name with NUL":        {"1010" + connectHead + "82003c000161000100", "control"},
		"CONNECT, protocol not UTF-8":   {"100a0004ff51545404020000", "UTF-8"},
	} {
		data, err := hex.DecodeString(tt.data)
		if err != nil {
			t.Fatal(name, err)
		}
		_, _, err = decode(append(data, bytes.Repeat([]byte{0}, 8)...))
		var broken protocolError
		if !errors.As(err, &broken) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", name, err, tt.want)
		}
	}
}

func TestOtherVersions(t *testing.T) {
	for name, want := range map[string]versionError{
		"00064d514973647003": {"MQIsdp", 3},
		"00044d51545403":     {"MQTT", 3},
		"00044d51545405":     {"MQTT", 5},
		"00044d51545406":     {"MQTT", 6},
		"00044d51545484":     {"MQTT", 0x84},
		"00046d71747404":     {"mqtt", 4},
		"000004":             {"", 4},
	} {
		head, err := hex.DecodeString(name)
		if err != nil {
			t.Fatal(err)
		}
		// What follows is not looked at: it has another form in each version.
		data := append(appendLength([]byte{0x10}, len(head)+3), append(head, 0xff, 0xff, 0xff)...)
		_, _, err = decode(data)
		var got versionError
		if !errors.As(err, &got) || got != want {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// TestTooManyFilters: the limit stands before the memory for them.
func TestTooManyFilters(t *testing.T) {
	for _, tt := range []struct {
		first  byte
		filter []byte
	}{{0x82, []byte{0, 1, 'a', 0}}, {0xa2, []byte{0, 1, 'a'}}} {
		for _, n := range []int{maxFilters, maxFilters + 1, 10_000} {
			body := append([]byte{0, 1}, bytes.Repeat(tt.filter, n)...)
			_, _, err := decode(append(appendLength([]byte{tt.first}, len(body)), body...))
			if (err == nil) != (n <= maxFilters) {
				t.Errorf("%x with %d filters: %v", tt.first, n, err)
			}
		}
	}
}

// TestAnnouncedLengthAllocatesNothing: memory follows what has arrived.
func TestAnnouncedLengthAllocatesNothing(t *testing.T) {
	const connections = 2000
	var readers []*bufio.Reader
	for range connections {
		data := append(appendLength([]byte{0x30}, maxPacket), 0, 1, 'a')
		readers = append(readers, bufio.NewReaderSize(bytes.NewReader(data), 16))
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for _, r := range readers {
		if _, err := readPacket(r, maxPacket, func() {}); err != io.ErrUnexpectedEOF {
			t.Fatal(err)
		}
	}
	runtime.ReadMemStats(&after)
	if each := (after.TotalAlloc - before.TotalAlloc) / connections; each > 4*chunk {
		t.Errorf("%d bytes for each packet that did not come", each)
	}
}

// TestEncode lets an independent implementation read what is written.
func TestEncode(t *testing.T) {
	read := func(data []byte) packets.ControlPacket {
		t.Helper()
		in := bytes.NewReader(data)
		p, err := packets.ReadPacket(in)
		if err != nil || in.Len() != 0 {
			t.Fatalf("%x: %v, %d bytes left", data, err, in.Len())
		}
		return p
	}
	for code := byte(0); code <= 5; code++ {
		if p := read(encodeConnack(code)).(*packets.ConnackPacket); p.ReturnCode != code || p.SessionPresent {
			t.Errorf("CONNACK %d: %v", code, p)
		}
	}
	if p := read(encodePuback(0xabcd)).(*packets.PubackPacket); p.MessageID != 0xabcd {
		t.Errorf("PUBACK: %v", p)
	}
	if p := read(encodeUnsuback(0xabcd)).(*packets.UnsubackPacket); p.MessageID != 0xabcd {
		t.Errorf("UNSUBACK: %v", p)
	}
	if p := read(encodeSuback(5, []byte{1, 0x80, 0})).(*packets.SubackPacket); p.MessageID != 5 || !bytes.Equal(p.ReturnCodes, []byte{1, 0x80, 0}) {
		t.Errorf("SUBACK: %v", p)
	}
	if _, ok := read(encodePingresp()).(*packets.PingrespPacket); !ok {
		t.Error("PINGRESP")
	}
	for _, size := range []int{0, 1, 100, 127, 128, 16_383, 16_384, 200_000} {
		for qos := byte(0); qos < 2; qos++ {
			want := publish{topic: "$dps/x", qos: qos, id: uint16(qos) * 0x1234, payload: bytes.Repeat([]byte{'x'}, size)}
			p := read(encodePublish(want)).(*packets.PublishPacket)
			if p.TopicName != want.topic || p.Qos != qos || p.MessageID != want.id || !bytes.Equal(p.Payload, want.payload) || p.Dup || p.Retain {
				t.Errorf("PUBLISH of %d bytes at QoS %d: %v", size, qos, p.FixedHeader)
			}
		}
	}
}

// FuzzReadPacket: what is accepted is exactly what its sender meant.
func FuzzReadPacket(f *testing.F) {
	for _, s := range samples(f) {
		f.Add(s.data[:min(len(s.data), 300)])
	}
	f.Add([]byte{0x82, 0x06, 0, 1, 0, 0, 1, 0x61})
	f.Fuzz(func(t *testing.T, data []byte) {
		p, left, err := decode(data)
		if err != nil {
			return
		}
		used := data[:len(data)-left]
		theirs, err := packets.ReadPacket(bytes.NewReader(used))
		if err != nil {
			t.Fatalf("accepted %x, which Paho refuses: %v", used, err)
		}
		switch p := p.(type) {
		case connect:
			q := theirs.(*packets.ConnectPacket)
			if q.Validate() != packets.Accepted && q.ClientIdentifier != "" {
				t.Errorf("accepted %v", q)
			}
			if p.clientID != q.ClientIdentifier || p.userName != q.Username || !bytes.Equal(p.password, q.Password) || p.keepAlive != q.Keepalive {
				t.Errorf("%+v, want %v", p, q)
			}
		case publish:
			q := theirs.(*packets.PublishPacket)
			if p.topic != q.TopicName || p.id != q.MessageID || p.qos != q.Qos || !bytes.Equal(p.payload, q.Payload) {
				t.Errorf("%+v, want %v", p, q)
			}
		case subscribe:
			q := theirs.(*packets.SubscribePacket)
			if p.id != q.MessageID || len(p.filters) != len(q.Topics) {
				t.Errorf("%+v, want %v", p, q)
			}
			for i, f := range p.filters {
				if f.topic != q.Topics[i] || f.qos != q.Qoss[i] {
					t.Errorf("%+v, want %v", p, q)
				}
			}
		case unsubscribe:
			q := theirs.(*packets.UnsubscribePacket)
			if diff := cmp.Diff(p.filters, q.Topics); p.id != q.MessageID || diff != "" {
				t.Errorf("%+v, want %v", p, q)
			}
		case puback:
			if q := theirs.(*packets.PubackPacket); p.id != q.MessageID {
				t.Errorf("%+v, want %v", p, q)
			}
		}
	})
}
