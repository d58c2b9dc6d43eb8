package rest

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/dpskit/dpskit/pkg/dps"
)

// MaxBody bounds an answer after decompression, in bytes.
const MaxBody = 16 << 20

// transport sends one request and reads its answer whole.
type transport struct{ client *http.Client }

func newTransport(client *http.Client) transport {
	if client == nil {
		client = defaultClient()
	}
	own := *client
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return transport{client: &own}
}

// defaultClient trusts the roots of the system. It heeds the proxy variables
// of the environment, as net/http does by default.
var defaultClient = sync.OnceValue(func() *http.Client {
	dialer := &net.Dialer{Timeout: 15 * time.Second, KeepAlive: 30 * time.Second}
	return &http.Client{Transport: &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         dialer.DialContext,
		ForceAttemptHTTP2:   true,
		MaxIdleConnsPerHost: 10,
		IdleConnTimeout:     90 * time.Second,
		TLSHandshakeTimeout: 10 * time.Second,
		TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12},
	}}
})

// Do implements policy.Transporter.
func (t transport) Do(req *http.Request) (*http.Response, error) {
	req, err := withOwnBody(req)
	if err != nil {
		return nil, err
	}
	resp, err := t.client.Do(req)
	if err != nil {
		return nil, Classify(err)
	}
	defer func() { _ = resp.Body.Close() }()
	limit := int64(MaxBody)
	if resp.StatusCode >= 300 {
		limit = dps.MaxErrorBody
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	switch {
	case err != nil && resp.StatusCode < 300:
		return nil, fmt.Errorf("read answer: %w", err)
	case int64(len(body)) > limit && resp.StatusCode < 300:
		return nil, fmt.Errorf("%w: the answer is larger than %d MiB", dps.ErrUnexpectedAnswer, MaxBody>>20)
	case resp.StatusCode < 300:
		if err := CheckWhole(body); err != nil {
			return nil, err
		}
	}
	resp.Body = io.NopCloser(bytes.NewReader(body[:min(int64(len(body)), limit)]))
	return resp, nil
}

// withOwnBody returns req with a copy of its body. net/http may still be reading
// the body of an attempt that has ended, and azcore rewinds the one body that
// it has for the next: what was sent then could be a mixture of both.
func withOwnBody(req *http.Request) (*http.Request, error) {
	if req.Body == nil || req.Body == http.NoBody {
		return req, nil
	}
	body, err := io.ReadAll(req.Body) // in memory: see Client.Do
	if err != nil {
		return nil, fmt.Errorf("read request: %w", err)
	}
	own := req.WithContext(req.Context())
	own.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	own.Body, _ = own.GetBody()
	return own, nil
}

// errCutOff is an answer whose end was lost, as with a lost connection.
var errCutOff = fmt.Errorf("the answer is cut off: %w", io.ErrUnexpectedEOF)

// CheckWhole returns an error for the beginning of JSON, which is there when
// something on the way loses the rest and makes up a length. Like a lost
// connection, it says nothing about what the server did, and the request may be
// sent again.
func CheckWhole(body []byte) error {
	if len(body) == 0 || json.Valid(body) {
		return nil
	}
	var value json.RawMessage
	if errors.Is(json.NewDecoder(bytes.NewReader(body)).Decode(&value), io.ErrUnexpectedEOF) {
		return errCutOff
	}
	return nil
}

// Classify drops the method and address that net/http puts around a cause (the
// operation is named by our own error) and marks what must not be retried.
func Classify(err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "remote error" && isCertificateAlert(op.Err.Error()) {
		return fmt.Errorf("%w: the server refused the TLS handshake: %w", dps.ErrUnauthorized, err)
	}
	if dps.IsUntrustedServer(err) {
		return fmt.Errorf("%w: %w", dps.ErrUntrustedServer, err)
	}
	return err
}

// isCertificateAlert recognises the alerts by which a server refuses a client
// certificate (RFC 8446 section 6.2). crypto/tls does not export their type for
// connections over TCP, only their text.
func isCertificateAlert(text string) bool {
	return strings.Contains(text, "certificate") || strings.Contains(text, "access denied")
}
