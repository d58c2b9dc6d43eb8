package emulator_test

import (
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dpskit/dpskit/pkg/dps/emulator"
	"github.com/dpskit/dpskit/pkg/pki"
)

// movingClock is a clock that tests set; it starts at the real time.
type movingClock struct{ offset atomic.Int64 }

func (c *movingClock) now() time.Time           { return time.Now().Add(time.Duration(c.offset.Load())) }
func (c *movingClock) move(d time.Duration)     { c.offset.Add(int64(d)) }
func (c *movingClock) use(o *emulator.Options)  { o.Now = c.now }
func (c *movingClock) stamp(text string) string { return text[:len("2006-01-02")] }

// TestClock moves the emulator's clock past the life of a leaf and of a token,
// and back. TLS goes on as before, because it follows the real time.
func TestClock(t *testing.T) {
	clock := &movingClock{}
	w, p := fleet(t, clock.use)
	dev := identity(t, issue(t, p.intermediate, pki.IssueRequest{CommonName: "dev", Validity: pki.Validity{Days: 2}}))
	w.assigned("dev", dev)
	token := map[string]string{"Authorization": w.serviceToken()} // good for an hour
	read := func() answer { return w.service(http.MethodGet, "/registrations/dev", nil, token) }
	w.want(read(), 200, 0)

	clock.move(72 * time.Hour)
	w.want(w.register("dev", dev), 401, 401002)
	if w.rule() != "expired" {
		t.Errorf("rule = %q", w.rule())
	}
	w.want(read(), 401, 401000)
	if w.rule() != "authorization-expired" {
		t.Errorf("rule = %q", w.rule())
	}
	bearer := map[string]string{"Authorization": "Bearer " + w.info.Token}
	a := w.service(http.MethodPut, "/enrollments/later", symmetric("registrationId", "later"), bearer)
	w.want(a, 200, 0)
	if got, want := clock.stamp(a.str("createdDateTimeUtc")), clock.now().UTC().Format("2006-01-02"); got != want {
		t.Errorf("created on %s, want the emulator's day %s", got, want)
	}

	clock.move(-96 * time.Hour)
	w.want(w.register("dev", dev), 401, 401002)
	if w.rule() != "not-yet-valid" {
		t.Errorf("rule = %q", w.rule())
	}
	clock.move(24 * time.Hour)
	w.assigned("dev", dev)
	w.want(read(), 200, 0)
}

// TestClockOfProof lets a CA expire between upload and proof.
func TestClockOfProof(t *testing.T) {
	clock := &movingClock{}
	w := newWorld(t, clock.use)
	root := newPKI(t).root // 30 days
	a := w.upload("root", root.Certificate(), false)
	clock.move(40 * 24 * time.Hour)
	w.upload("again", root.Certificate(), false) // an expired CA may be uploaded
	a = w.arm(http.MethodPost, "/certificates/root/generateVerificationCode", armVersion, nil, map[string]string{"If-Match": a.str("etag")})
	w.want(a, 200, 0)
	proof := issue(t, root, pki.IssueRequest{Profile: pki.ProfileVerification, CommonName: a.str("properties", "verificationCode")})
	a = w.arm(http.MethodPost, "/certificates/root/verify", armVersion, flat(base64PEM(proof.Certificate)), map[string]string{"If-Match": a.str("etag")})
	w.want(a, 400, 400053)
	if w.rule() != "expired" {
		t.Errorf("rule = %q", w.rule())
	}
}

// TestStoppedClock runs on a clock that stands still: registrations end all the
// same, because their pace is that of the real time.
func TestStoppedClock(t *testing.T) {
	now := time.Now()
	w, p := fleet(t, func(o *emulator.Options) {
		o.Now = func() time.Time { return now }
		o.RetryAfter = 50 * time.Millisecond
	})
	dev := device(t, p.intermediate, "dev")
	operation := w.register("dev", dev).str("operationId")
	deadline := time.Now().Add(10 * time.Second)
	for w.device(http.MethodGet, "/operations/"+operation, "dev", dev, nil, nil).str("status") != "assigned" {
		if time.Now().After(deadline) {
			t.Fatal("never assigned")
		}
	}
}
