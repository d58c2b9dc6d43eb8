package mqtt

import "encoding/binary"

// The encoders return whole packets.

// encodeConnack never reports a session as present: there are none, and some
// clients take it for an error.
func encodeConnack(code byte) []byte { return []byte{typeConnack << 4, 2, 0, code} }

func encodePuback(id uint16) []byte { return withID(typePuback, id) }

func encodeUnsuback(id uint16) []byte { return withID(typeUnsuback, id) }

func encodePingresp() []byte { return []byte{typePingresp << 4, 0} }

func encodeSuback(id uint16, codes []byte) []byte {
	p := appendLength([]byte{typeSuback << 4}, 2+len(codes))
	return append(binary.BigEndian.AppendUint16(p, id), codes...)
}

func encodePublish(p publish) []byte {
	length := 2 + len(p.topic) + len(p.payload)
	if p.qos > 0 {
		length += 2
	}
	out := appendLength([]byte{typePublish<<4 | p.qos<<1}, length)
	out = binary.BigEndian.AppendUint16(out, uint16(len(p.topic)))
	out = append(out, p.topic...)
	if p.qos > 0 {
		out = binary.BigEndian.AppendUint16(out, p.id)
	}
	return append(out, p.payload...)
}

func withID(kind byte, id uint16) []byte {
	return binary.BigEndian.AppendUint16([]byte{kind << 4, 2}, id)
}

func appendLength(out []byte, length int) []byte {
	for length >= 0x80 {
		out = append(out, byte(length)|0x80)
		length >>= 7
	}
	return append(out, byte(length))
}
