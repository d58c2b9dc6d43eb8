package device

import (
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"os"
	"sync"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"github.com/dpskit/dpskit/pkg/dps"
)

const (
	keepAlive = 60 * time.Second
	// goodbye bounds the end of a connection.
	goodbye = 5 * time.Second
	// connackTimeout bounds the wait for CONNACK. A server of another protocol may
	// wait for us as we do for it.
	connackTimeout = 30 * time.Second
)

// link is one MQTT connection: a Paho client without its own ideas of connecting
// again. It is used by one goroutine, apart from Paho's own, which never wait for
// it.
type link struct {
	client  mqtt.Client
	connect *mqtt.ConnectToken
	answers chan mqttAnswer
	lost    chan struct{} // closed when a connection, once made, has ended

	mu    sync.Mutex
	conn  net.Conn    // nil until dialled
	cause error       // the first thing that went wrong with it
	quiet *time.Timer // ends a connection without CONNACK; nil until dialled
}

// dialer opens the byte stream that a link speaks MQTT on.
type dialer func(ctx context.Context) (net.Conn, error)

// openLink connects and subscribes to the answers. Every error that is the
// server's refusal is a *dps.Error.
func openLink(ctx context.Context, dial dialer, clientID, userName, password string) (*link, error) {
	l := &link{answers: make(chan mqttAnswer, 4), lost: make(chan struct{})}
	var ended sync.Once
	opts := mqtt.NewClientOptions().
		AddBroker("mqtts://dialled-by-us").
		SetClientID(clientID).SetUsername(userName).SetPassword(password).
		SetProtocolVersion(4).SetCleanSession(true).
		SetAutoReconnect(false).SetConnectRetry(false).
		SetKeepAlive(keepAlive).SetPingTimeout(dialTimeout).
		SetConnectTimeout(time.Until(deadlineOf(ctx))).SetWriteTimeout(dialTimeout).
		SetDefaultPublishHandler(l.receive).
		SetConnectionLostHandler(func(_ mqtt.Client, err error) {
			l.fail(err)
			ended.Do(func() { close(l.lost) })
		}).
		SetCustomOpenConnectionFn(func(*url.URL, mqtt.ClientOptions) (net.Conn, error) { return l.open(ctx, dial) })
	l.client = mqtt.NewClient(opts)
	if err := l.handshake(ctx); err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

func deadlineOf(ctx context.Context) time.Time {
	if deadline, ok := ctx.Deadline(); ok {
		return deadline
	}
	return time.Now().Add(time.Minute)
}

func (l *link) handshake(ctx context.Context) error {
	defer context.AfterFunc(ctx, l.cut)()
	var ok bool
	if l.connect, ok = l.client.Connect().(*mqtt.ConnectToken); !ok {
		return errors.New("connect over mqtt: no token")
	}
	err := l.wait(ctx, l.connect)
	opened := l.greeted()
	if code := l.connack(); code >= 1 && code <= 5 {
		return connackError(code)
	}
	if opened && (errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded)) {
		return noConnack()
	}
	if err != nil {
		return err
	}
	subscribe, ok := l.client.Subscribe(responseFilter, 1, nil).(*mqtt.SubscribeToken)
	if !ok {
		return errors.New("subscribe over mqtt: no token")
	}
	if err := l.wait(ctx, subscribe); err != nil {
		return err
	}
	if granted := subscribe.Result()[responseFilter]; granted > 1 {
		return &dps.Error{Message: "the server refused the subscription to answers", Err: dps.ErrUnexpectedAnswer}
	}
	return nil
}

// noConnack is the end of a connection whose server says nothing. Each has its
// own, because the exchange fills it in.
func noConnack() *dps.Error {
	return &dps.Error{Message: "no CONNACK from the server", Err: context.DeadlineExceeded}
}

// greeted ends the wait for CONNACK and reports whether there was a connection.
func (l *link) greeted() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.quiet != nil {
		l.quiet.Stop()
	}
	return l.conn != nil
}

// open dials for Paho. What it returns is watched, see guard.
func (l *link) open(ctx context.Context, dial dialer) (net.Conn, error) {
	conn, err := dial(ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.cause = err
		return nil, err
	}
	l.conn = conn
	l.quiet = time.AfterFunc(connackTimeout, func() {
		l.fail(noConnack())
		l.cut()
	})
	if ctx.Err() != nil { // cut came before there was anything to cut
		_ = conn.Close()
	}
	return &guard{Conn: conn, fail: l.fail}, nil
}

// ask publishes a request and waits for its answer.
func (l *link) ask(ctx context.Context, topic, requestID string, body []byte) (mqttAnswer, error) {
	defer context.AfterFunc(ctx, l.cut)()
	if err := l.wait(ctx, l.client.Publish(topic, 1, false, body)); err != nil {
		return mqttAnswer{}, err
	}
	for {
		select {
		case a := <-l.answers:
			if a.requestID == requestID {
				return a, nil
			}
		case <-l.lost:
			return mqttAnswer{}, l.err(ctx, nil)
		case <-ctx.Done():
			return mqttAnswer{}, ctx.Err()
		}
	}
}

// receive is called by Paho, which must not wait. One answer at a time is
// expected, so what does not fit is not ours.
func (l *link) receive(_ mqtt.Client, m mqtt.Message) {
	a, ok := parseResponse(m.Topic(), m.Payload())
	if !ok {
		return
	}
	select {
	case l.answers <- a:
	default:
	}
}

// wait waits for a step to end. The error is the cause, not Paho's summary of it.
func (l *link) wait(ctx context.Context, token mqtt.Token) error {
	select {
	case <-token.Done():
		if err := token.Error(); err != nil {
			return l.err(ctx, err)
		}
		return nil
	case <-l.lost:
		return l.err(ctx, nil)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// errLost is a connection that ended without a word.
var errLost = errors.New("connection lost")

// err returns the best explanation of an error: the end of ctx, what dialling or
// reading ran into, or what Paho says.
func (l *link) err(ctx context.Context, err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case l.cause != nil:
		return l.cause
	case err != nil:
		return err
	}
	return errLost
}

func (l *link) fail(err error) {
	if err == io.EOF {
		err = errLost
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cause == nil {
		l.cause = err
	}
}

func (l *link) isLost() bool {
	select {
	case <-l.lost:
		return true
	default:
		return false
	}
}

// cut ends the connection at once, whatever Paho is doing with it.
func (l *link) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn != nil {
		_ = l.conn.Close()
	}
}

// connack returns the code of CONNACK; 0xff before there is one.
func (l *link) connack() byte {
	select {
	case <-l.connect.Done(): // until then the code is Paho's to write
		return l.connect.ReturnCode()
	default:
		return 0xff
	}
}

// close says goodbye and returns when Paho has ended all that it runs for this
// connection. Its own Disconnect returns before.
func (l *link) close() {
	l.bye()
	late := time.NewTimer(goodbye)
	defer late.Stop()
	if l.connect == nil {
		return
	}
	select {
	case <-l.connect.Done(): // whatever it waited for ended with the connection
	case <-late.C:
		return
	}
	if l.connect.Error() != nil {
		return
	}
	select {
	case <-l.lost:
	case <-late.C:
	}
}

// bye sends DISCONNECT, which is one write and so does not mix with Paho's, and
// ends the connection.
func (l *link) bye() {
	l.mu.Lock()
	conn := l.conn
	l.mu.Unlock()
	if conn == nil {
		return
	}
	if l.connect != nil && l.connack() == 0 && !l.isLost() {
		late := time.AfterFunc(time.Second, l.cut)
		_, _ = conn.Write([]byte{0xe0, 0})
		late.Stop()
	}
	l.cut()
}
