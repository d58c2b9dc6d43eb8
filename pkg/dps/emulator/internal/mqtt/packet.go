package mqtt

// Types of control packets (MQTT 3.1.1, section 2.2.1).
const (
	typeConnect     = 1
	typeConnack     = 2
	typePublish     = 3
	typePuback      = 4
	typePubrel      = 6
	typeSubscribe   = 8
	typeSuback      = 9
	typeUnsubscribe = 10
	typeUnsuback    = 11
	typePingreq     = 12
	typePingresp    = 13
	typeDisconnect  = 14
)

// Return codes of CONNACK (section 3.2.2.3).
const (
	accepted           = 0
	badProtocolVersion = 1
	identifierRejected = 2
	serverUnavailable  = 3
	badUserName        = 4
	notAuthorized      = 5
)

// subscribeFailure is the return code of SUBACK for a filter that is refused.
const subscribeFailure = 0x80

// packet is one of the types below: everything that a client may send.
type packet any

// connect is CONNECT. A will is checked for its form and then forgotten.
type connect struct {
	cleanSession bool
	keepAlive    uint16 // seconds; 0 means that the client does not promise anything
	clientID     string
	userName     string
	password     []byte // nil if there is none
}

// publish is PUBLISH in either direction.
type publish struct {
	topic   string
	id      uint16 // 0 with QoS 0
	qos     byte
	dup     bool
	retain  bool
	payload []byte
}

type filter struct {
	topic string
	qos   byte
}

type (
	subscribe struct {
		id      uint16
		filters []filter
	}
	unsubscribe struct {
		id      uint16
		filters []string
	}
	puback     struct{ id uint16 }
	pingreq    struct{}
	disconnect struct{}
)

// protocolError is what a client did against the protocol. It ends the
// connection.
type protocolError string

func (e protocolError) Error() string { return string(e) }

// versionError is a CONNECT of another protocol version, which has an answer of
// its own.
type versionError struct {
	name  string
	level byte
}

func (versionError) Error() string { return "protocol is not MQTT 3.1.1" }
