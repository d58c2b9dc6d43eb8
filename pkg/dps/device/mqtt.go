package device

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/internal/oneline"
	"github.com/dpskit/dpskit/pkg/dps/internal/rest"
)

// Topics of the service
// (https://learn.microsoft.com/azure/iot/iot-mqtt-connect-to-iot-dps).
const (
	responseFilter = "$dps/registrations/res/#"
	responsePrefix = "$dps/registrations/res/"
	registerTopic  = "$dps/registrations/PUT/iotdps-register/?$rid="
	pollTopic      = "$dps/registrations/GET/iotdps-get-operationstatus/?$rid="
)

// mqttExchange has one connection at a time, made when it is first needed and
// again when it was lost.
type mqttExchange struct {
	client *Client
	op     string
	link   *link // nil between two
	token  string
}

// mqttAnswer is a message on the response topic.
type mqttAnswer struct {
	status     int
	requestID  string
	retryAfter string
	body       []byte
}

func (x *mqttExchange) try(ctx context.Context, call *rest.Call, q question, attempt int) (operation, time.Duration, *dps.Error) {
	start := time.Now()
	answer, err := x.ask(ctx, q)
	refusal := x.refusal(attempt, answer, err)
	x.log(ctx, q, attempt, answer, refusal, time.Since(start))
	if refusal != nil {
		return operation{}, 0, refusal
	}
	op, wrong := decodeAnswer(answer.body, q)
	if wrong != "" {
		return operation{}, 0, &dps.Error{Op: call.Op, StatusCode: answer.status, Attempts: attempt, Host: x.client.opts.Host,
			Message: wrong, Err: dps.ErrUnexpectedAnswer}
	}
	return op, x.client.delay(answer.retryAfter, x.client.config.Now()), nil
}

// ask gets one answer. Whatever goes wrong without an answer costs the
// connection: what is in flight on it cannot be told from what is new.
func (x *mqttExchange) ask(ctx context.Context, q question) (mqttAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, x.client.config.TryTimeout)
	defer cancel()
	if x.link != nil && x.link.isLost() {
		x.close()
	}
	if x.link == nil {
		var err error
		if x.link, err = x.connect(ctx); err != nil {
			return mqttAnswer{}, err
		}
	}
	id := rand.Text()
	topic := registerTopic + id
	if !q.register() {
		topic = pollTopic + id + "&operationId=" + url.PathEscape(q.operationID)
	}
	answer, err := x.link.ask(ctx, topic, id, q.body)
	if err != nil {
		x.close()
		return answer, err
	}
	if answer.status < 300 {
		err = rest.CheckWhole(answer.body)
	}
	return answer, err
}

func (x *mqttExchange) connect(ctx context.Context) (*link, error) {
	c := x.client
	if c.identity.token != nil {
		var err error
		if x.token, err = c.identity.token(c.config.Now()); err != nil {
			return nil, fmt.Errorf("%w: %w", dps.ErrUnauthorized, err)
		}
	}
	return openLink(ctx, c.dial, c.id, c.userName(), x.token)
}

// userName names scope, device and version to the service.
func (c *Client) userName() string {
	return fmt.Sprintf("%s/registrations/%s/api-version=%s&ClientVersion=%s",
		c.scope, c.id, c.opts.APIVersion, url.QueryEscape("dpskit/"+rest.Version))
}

func (x *mqttExchange) close() {
	if x.link != nil {
		x.link.close()
		x.link = nil
	}
}

// refusal makes an error of whatever is not a positive answer; nil for one.
func (x *mqttExchange) refusal(attempt int, answer mqttAnswer, err error) *dps.Error {
	var known *dps.Error
	switch {
	case errors.As(err, &known): // refused before MQTT, or by CONNACK
	case err != nil:
		err = rest.Classify(err)
		known = &dps.Error{Message: oneline.Clean(err.Error(), 1024), Err: err}
	case answer.status >= 300:
		known = dps.ParseErrorBody(answer.status, answer.body)
		if asked, ok := dps.ParseRetryAfter(answer.retryAfter, x.client.config.Now()); ok {
			known.RetryAfter = asked
		}
	default:
		return nil
	}
	known.Op, known.Attempts, known.Host = x.op, attempt, x.client.opts.Host
	rest.ScrubToken(known, x.token)
	return known
}

// log writes one record for each attempt, without topics and payloads.
func (x *mqttExchange) log(ctx context.Context, q question, attempt int, answer mqttAnswer, refusal *dps.Error, took time.Duration) {
	attrs := []any{"transport", string(x.client.opts.Transport), "host", x.client.opts.Host, "request", q.name(),
		"attempt", attempt, "duration", took.Round(time.Millisecond)}
	if answer.status != 0 {
		attrs = append(attrs, "status", answer.status)
	}
	if refusal != nil {
		attrs = append(attrs, "code", refusal.Code, "tracking_id", refusal.TrackingID,
			"retry_after", refusal.RetryAfter, "error", refusal.Message)
	}
	x.client.config.Logger.DebugContext(ctx, "request sent", attrs...)
}

// parseResponse reads a response topic:
// $dps/registrations/res/{status}/?$rid={id}&retry-after={seconds}.
func parseResponse(topic string, body []byte) (mqttAnswer, bool) {
	rest, ok := strings.CutPrefix(topic, responsePrefix)
	status, query, found := strings.Cut(rest, "/?")
	code, err := strconv.ParseUint(status, 10, 16)
	if !ok || !found || err != nil || code < 100 || code > 599 {
		return mqttAnswer{}, false
	}
	a := mqttAnswer{status: int(code), body: body}
	for part := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(part, "=")
		switch strings.ToLower(name) {
		case "$rid":
			a.requestID = value
		case "retry-after":
			a.retryAfter = value
		}
	}
	return a, a.requestID != ""
}

// connackError returns a refusal by CONNACK (MQTT 3.1.1, section 3.2.2.3) as the
// error that other transports have for the same.
func connackError(code byte) error {
	switch code {
	case 1:
		return &dps.Error{Message: "the server does not speak MQTT 3.1.1 (CONNACK 1)", Err: dps.ErrUnexpectedAnswer}
	case 2:
		return &dps.Error{StatusCode: http.StatusBadRequest, Message: "client identifier refused (CONNACK 2)"}
	case 3:
		return &dps.Error{StatusCode: http.StatusServiceUnavailable, Message: "server unavailable (CONNACK 3)",
			Detail: "over MQTT the service answers so to an id scope that it does not know, too"}
	case 4:
		return &dps.Error{StatusCode: http.StatusBadRequest, Message: "user name or password malformed (CONNACK 4)"}
	}
	return &dps.Error{StatusCode: http.StatusUnauthorized, Message: fmt.Sprintf("not authorized (CONNACK %d)", code)}
}

// mqttAddress is where to dial: the host, with the port of the transport if it
// has none.
func (c *Client) mqttAddress() (host, address string) {
	port := "8883"
	if c.opts.Transport == TransportMQTTWS {
		port = "443"
	}
	host, given, err := net.SplitHostPort(c.opts.Host)
	if err != nil {
		host, given = strings.Trim(c.opts.Host, "[]"), port
	}
	return host, net.JoinHostPort(host, given)
}
