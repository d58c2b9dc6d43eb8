package emulator_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"

	"github.com/dpskit/dpskit/pkg/dps/emulator"
	"github.com/dpskit/dpskit/pkg/dps/emulator/fault"
)

func withFaults(t *testing.T, texts ...string) func(*emulator.Options) {
	t.Helper()
	var rules []fault.Rule
	for _, text := range texts {
		r, err := fault.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		rules = append(rules, r...)
	}
	return func(o *emulator.Options) { o.Faults = rules }
}

// records returns how many registrations the group has.
func (w *world) records() int {
	w.t.Helper()
	ids, _ := w.pages(w.t.(*testing.T), "/registrations/fleet/query", "registrationId", nil, "")
	return len(ids)
}

// TestMQTTFaultyAnswers: a first registration is answered wrongly, the second
// one rightly.
func TestMQTTFaultyAnswers(t *testing.T) {
	for _, tt := range []struct {
		do         string
		status     int
		retryAfter string
		body       string
		carriedOut bool
	}{
		{"status=503,retry-after=7", 503, "7", `"errorCode":503000`, false},
		{"status=500,code=500123,committed", 500, "", `"errorCode":500123`, true},
		{"status=429,retry-after=garbage", 429, "in-a-while", `"errorCode":429000`, false},
		{"status=429,retry-after=-1", 429, "-1", `"message":"Too Many Requests."`, false},
		{"retry-after=absent", 202, "", `"status":"assigning"`, true},
		{"retry-after=date:5", 202, "", `"status":"assigning"`, true},
		{"delay=1ms", 202, "0", `"status":"assigning"`, true},
		{"slow=16ms", 202, "0", `"status":"assigning"`, true},
		{"assigning=1", 202, "0", `"status":"assigning"`, true}, // not about register
	} {
		rule := "id=DEV,nth=1," + tt.do
		w, p := fleet(t, withFaults(t, rule))
		c := w.online("dev", device(t, p.intermediate, "dev"))
		r := c.ask(registerTopic+"1", "")
		if r.status != tt.status || r.retryAfter != tt.retryAfter || !strings.Contains(string(r.raw), tt.body) {
			t.Errorf("%s: %d, retry-after %q: %s", tt.do, r.status, r.retryAfter, r.raw)
		}
		if carriedOut := w.records() > 0; carriedOut != tt.carriedOut {
			t.Errorf("%s: carried out %v", tt.do, carriedOut)
		}
		if n := strings.Count(w.logs.String(), `"msg":"fault injected"`); n != 1 || !strings.Contains(w.logs.String(), `"transport":"mqtt"`) {
			if tt.do != "assigning=1" || n != 0 {
				t.Errorf("%s: %d records in the log", tt.do, n)
			}
		}
		c.assigned("dev")
	}
}

// TestMQTTCutConnections: the connection ends instead of an answer, and the next
// one is good.
func TestMQTTCutConnections(t *testing.T) {
	for _, tt := range []struct {
		do                string
		acked, carriedOut bool
		is                error
	}{
		{"reset", false, false, syscall.ECONNRESET},
		{"close", false, false, io.EOF},
		{"drop-ack", false, true, syscall.ECONNRESET},
		{"close-after=0", true, true, io.ErrUnexpectedEOF},
		{"close-after=10", true, true, io.ErrUnexpectedEOF},
	} {
		w, p := fleet(t, withFaults(t, "op=register,nth=1,"+tt.do))
		leaf := device(t, p.intermediate, "dev")
		c := w.online("dev", leaf)
		c.publish(1, registerTopic+"1", "")
		_ = c.conn.SetReadDeadline(time.Now().Add(patience))
		var acked bool
		var err error
		for err == nil {
			var got packets.ControlPacket
			if got, err = packets.ReadPacket(c.conn); err == nil {
				_, ok := got.(*packets.PubackPacket)
				if acked = acked || ok; !ok {
					t.Errorf("%s: got %v", tt.do, got)
				}
			}
		}
		if !errors.Is(err, tt.is) || acked != tt.acked {
			t.Errorf("%s: acknowledged %v, ended with %v", tt.do, acked, err)
		}
		if carriedOut := w.records() > 0; carriedOut != tt.carriedOut {
			t.Errorf("%s: carried out %v", tt.do, carriedOut)
		}
		w.online("dev", leaf).assigned("dev")
		if n := w.records(); n != 1 {
			t.Errorf("%s: %d records", tt.do, n)
		}
	}
}

func TestMQTTKeptAssigning(t *testing.T) {
	w, p := fleet(t, withFaults(t, "assigning=2"))
	c := w.online("dev", device(t, p.intermediate, "dev"))
	operation := c.ask(registerTopic+"1", "").str("operationId")
	for i, want := range []int{http.StatusAccepted, http.StatusAccepted, http.StatusOK} {
		r := c.ask(pollTopic+"2&operationId="+operation, " ")
		if r.status != want || (want == http.StatusAccepted) != (r.str("status") == "assigning" && r.retryAfter == "0") {
			t.Errorf("poll %d: %d, retry-after %q: %s", i+1, r.status, r.retryAfter, r.raw)
		}
	}
}

// TestMQTTThrottle: both transports share one count.
func TestMQTTThrottle(t *testing.T) {
	w, p := fleet(t, withFaults(t, "op=register,throttle=2/1h"))
	leaf := device(t, p.intermediate, "dev")
	c := w.online("dev", leaf)
	if r := c.ask(registerTopic+"1", ""); r.status != http.StatusAccepted {
		t.Errorf("first: %d %s", r.status, r.raw)
	}
	client := w.client(leaf)
	defer client.CloseIdleConnections()
	a := w.do(call{method: http.MethodPut, path: "/" + w.info.IDScope + "/registrations/dev/register", version: deviceVersion, body: "{}", client: client})
	w.want(a, http.StatusAccepted, 0)
	r := c.ask(registerTopic+"3", "")
	if r.status != http.StatusTooManyRequests || (r.retryAfter != "3600" && r.retryAfter != "3599") {
		t.Errorf("third: %d, retry-after %q", r.status, r.retryAfter)
	}
}

func TestMQTTTruncated(t *testing.T) {
	w, p := fleet(t, withFaults(t, "op=register,nth=1,truncate"))
	c := w.online("dev", device(t, p.intermediate, "dev"))
	c.publish(1, registerTopic+"1", "")
	c.next() // PUBACK
	got, ok := c.next().(*packets.PublishPacket)
	if !ok || !strings.HasPrefix(string(got.Payload), `{"operationId"`) || strings.HasSuffix(string(got.Payload), "}") {
		t.Errorf("got %v", got)
	}
	c.assigned("dev")
}

// TestCloseEndsMQTTFaults: an emulator that closes does not wait for a delay.
func TestCloseEndsMQTTFaults(t *testing.T) {
	w, p := fleet(t, withFaults(t, "op=register,delay=1h"))
	c := w.online("dev", device(t, p.intermediate, "dev"))
	c.publish(1, registerTopic+"1", "")
	closed := make(chan error)
	go func() { closed <- w.e.Close() }()
	c.closed()
	if err := <-closed; err != nil {
		t.Error(err)
	}
}
