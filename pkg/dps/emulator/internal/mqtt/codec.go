package mqtt

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
	"unicode"
	"unicode/utf8"
)

// Limits of what is read from a client, in bytes of a packet without its fixed
// header. Nobody has a right to more before it has said who it is.
const (
	maxConnect = 16 << 10
	maxPacket  = 256 << 10
)

// maxFilters bounds one SUBSCRIBE or UNSUBSCRIBE. There is one filter that makes
// sense.
const maxFilters = 16

// chunk is how much is allocated before any of it has arrived.
const chunk = 4 << 10

// readPacket reads one packet of at most limit bytes. It calls begun when the
// first byte is there. A packet that breaks a rule of MQTT 3.1.1, or that no
// client of this server has a use for, is a protocolError; a CONNECT of another
// version is a versionError.
func readPacket(r *bufio.Reader, limit int, begun func()) (packet, error) {
	first, err := r.ReadByte()
	if err != nil {
		return nil, err
	}
	begun()
	if err := checkHeader(first); err != nil {
		return nil, err
	}
	length, err := readLength(r)
	if err != nil {
		return nil, err
	}
	if length > limit {
		return nil, protocolError("packet is larger than allowed")
	}
	body, err := readBody(r, length)
	if err != nil {
		return nil, err
	}
	return parse(first, body)
}

// checkHeader refuses types that clients do not send and flags that must not be
// set (section 2.2.2), before anything else is read.
func checkHeader(first byte) error {
	flags := first & 0x0f
	want := byte(0)
	switch first >> 4 {
	case typePublish:
		qos := flags >> 1 & 3
		if qos == 3 || qos == 0 && flags&8 != 0 {
			return protocolError("PUBLISH has impossible flags")
		}
		return nil
	case typeSubscribe, typeUnsubscribe:
		want = 2
	case typeConnect, typePuback, typePingreq, typeDisconnect:
	case typePubrel, 5, 7:
		return protocolError("QoS 2 is not supported")
	default:
		return protocolError("packet type is not one that clients send")
	}
	if flags != want {
		return protocolError("reserved flags are set")
	}
	return nil
}

// readLength reads the remaining length (section 2.2.3): at most four bytes.
func readLength(r io.ByteReader) (int, error) {
	length := 0
	for shift := 0; shift < 28; shift += 7 {
		b, err := r.ReadByte()
		if err != nil {
			return 0, unexpectedEnd(err)
		}
		length |= int(b&0x7f) << shift
		if b&0x80 == 0 {
			return length, nil
		}
	}
	return 0, protocolError("remaining length has more than four bytes")
}

// readBody allocates as the bytes arrive, not as they are announced.
func readBody(r io.Reader, length int) ([]byte, error) {
	if length <= chunk {
		body := make([]byte, length)
		_, err := io.ReadFull(r, body)
		return body, unexpectedEnd(err)
	}
	var body bytes.Buffer
	body.Grow(chunk)
	if _, err := io.CopyN(&body, r, int64(length)); err != nil {
		return nil, unexpectedEnd(err)
	}
	return body.Bytes(), nil
}

func unexpectedEnd(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// parse decodes the body of a packet whose header has been checked.
func parse(first byte, body []byte) (packet, error) {
	c := &cursor{rest: body}
	var p packet
	switch first >> 4 {
	case typeConnect:
		var err error
		if p, err = c.connect(); err != nil {
			return nil, err
		}
	case typePublish:
		p = c.publish(first)
	case typePuback:
		p = puback{id: c.id()}
	case typeSubscribe:
		p = c.subscribe()
	case typeUnsubscribe:
		p = c.unsubscribe()
	case typePingreq:
		p = pingreq{}
	case typeDisconnect:
		p = disconnect{}
	}
	if c.fault == "" && len(c.rest) > 0 {
		c.fail("packet is longer than its content")
	}
	if c.fault != "" {
		return nil, c.fault
	}
	return p, nil
}

// cursor takes a packet apart. After the first fault it yields zero values.
type cursor struct {
	rest  []byte
	fault protocolError
}

func (c *cursor) fail(text string) {
	if c.fault == "" {
		c.fault = protocolError(text)
	}
	c.rest = nil
}

func (c *cursor) take(n int) []byte {
	if n > len(c.rest) {
		c.fail("packet is shorter than its content")
		return nil
	}
	taken := c.rest[:n:n]
	c.rest = c.rest[n:]
	return taken
}

func (c *cursor) byte() byte {
	if b := c.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (c *cursor) uint16() uint16 {
	if b := c.take(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

// id is a packet identifier, which is never 0 (section 2.3.1).
func (c *cursor) id() uint16 {
	id := c.uint16()
	if id == 0 {
		c.fail("packet identifier is 0")
	}
	return id
}

func (c *cursor) bytes() []byte { return c.take(int(c.uint16())) }

// text is a UTF-8 string (section 1.5.3). Of the characters that a server may
// refuse, it refuses all: controls and non-characters.
func (c *cursor) text() string {
	raw := c.bytes()
	if !utf8.Valid(raw) {
		c.fail("text is not UTF-8")
		return ""
	}
	for _, r := range string(raw) {
		if unicode.IsControl(r) || r >= 0xfdd0 && r <= 0xfdef || r&0xfffe == 0xfffe {
			c.fail("text has a control character or a non-character")
			return ""
		}
	}
	return string(raw)
}

// connect decodes CONNECT (section 3.1). Nothing is known about the rest of a
// packet of another version.
func (c *cursor) connect() (packet, error) {
	name, level := c.text(), c.byte()
	if c.fault == "" && (name != "MQTT" || level != 4) {
		return nil, versionError{name: name, level: level}
	}
	flags := c.byte()
	has := func(bit byte) bool { return flags&bit != 0 }
	const reserved, clean, will, willRetain, password, userName = 0x01, 0x02, 0x04, 0x20, 0x40, 0x80
	willQoS := flags >> 3 & 3
	if has(reserved) || willQoS == 3 || !has(will) && (willQoS != 0 || has(willRetain)) || has(password) && !has(userName) {
		c.fail("CONNECT has impossible flags")
	}
	p := connect{cleanSession: has(clean), keepAlive: c.uint16(), clientID: c.text()}
	if has(will) {
		c.text()
		c.bytes()
	}
	if has(userName) {
		p.userName = c.text()
	}
	if has(password) {
		p.password = c.bytes()
	}
	return p, nil
}

func (c *cursor) publish(first byte) publish {
	p := publish{qos: first >> 1 & 3, dup: first&8 != 0, retain: first&1 != 0, topic: c.text()}
	switch {
	case c.fault != "":
	case p.topic == "":
		c.fail("topic is empty")
	case bytes.ContainsAny([]byte(p.topic), "+#"):
		c.fail("topic of PUBLISH has a wildcard")
	}
	if p.qos > 0 {
		p.id = c.id()
	}
	p.payload = c.take(len(c.rest))
	return p
}

func (c *cursor) subscribe() subscribe {
	p := subscribe{id: c.id()}
	for len(c.rest) > 0 && len(p.filters) < maxFilters {
		f := filter{topic: c.text(), qos: c.byte()}
		switch {
		case c.fault == "" && f.topic == "":
			c.fail("filter is empty")
		case f.qos > 2:
			c.fail("SUBSCRIBE has an impossible QoS")
		}
		p.filters = append(p.filters, f)
	}
	c.checkFilters(len(p.filters))
	return p
}

func (c *cursor) unsubscribe() unsubscribe {
	p := unsubscribe{id: c.id()}
	for len(c.rest) > 0 && len(p.filters) < maxFilters {
		topic := c.text()
		if c.fault == "" && topic == "" {
			c.fail("filter is empty")
		}
		p.filters = append(p.filters, topic)
	}
	c.checkFilters(len(p.filters))
	return p
}

func (c *cursor) checkFilters(n int) {
	switch {
	case n == 0:
		c.fail("there is no filter")
	case len(c.rest) > 0:
		c.fail("there are too many filters")
	}
}
