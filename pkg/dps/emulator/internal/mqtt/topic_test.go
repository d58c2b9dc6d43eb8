package mqtt

import (
	"strings"
	"testing"
)

// TestUserNames of the official clients, as they send them.
func TestUserNames(t *testing.T) {
	want := userName{"0ne00C0FFEE", "dev-1", "2019-03-31"}
	for client, text := range map[string]string{
		"Node":   "0ne00C0FFEE/registrations/dev-1/api-version=2019-03-31&ClientVersion=azure-iot-provisioning-device%2F1.9.1",
		"Python": "0ne00C0FFEE/registrations/dev-1/api-version=2019-03-31&ClientVersion=azure-iot-device-provisioning-py%2F2.14.0%20%283.11%29",
		"C#":     "0ne00C0FFEE/registrations/dev-1/api-version=2019-03-31&ClientVersion=.NET%2F1.19.3%20%28.NET%206.0%3B%20X64%29",
		"Java":   "0ne00C0FFEE/registrations/dev-1/api-version=2019-03-31&ClientVersion=2019-03-31",
		"C":      "0ne00C0FFEE/registrations/dev-1/api-version=2019-03-31&ClientVersion=1.11.0",
		"bare":   "0ne00C0FFEE/registrations/dev-1/api-version=2019-03-31",
	} {
		if got, ok := parseUserName(text); !ok || got != want {
			t.Errorf("%s: %+v, %v", client, got, ok)
		}
	}
	for _, text := range []string{
		"", "/", "///", "dev-1", "0ne/registrations/dev-1", "0ne/registrations/dev-1/", "0ne/registrations//api-version=1",
		"/registrations/dev-1/api-version=1", "0ne/Registrations/dev-1/api-version=1", "0ne/registrations/a/b/api-version=1",
		"0ne/registrations/dev-1/Api-Version=1", "0ne/registrations/dev-1/api-version=1&api-version=1",
	} {
		if got, ok := parseUserName(text); ok {
			t.Errorf("%q: %+v", text, got)
		}
	}
}

func TestResponseTopic(t *testing.T) {
	for want, got := range map[string]string{
		"$dps/registrations/res/202/?$rid=1&retry-after=3": responseTopic(202, "1", "3"),
		"$dps/registrations/res/200/?$rid={request_id}":    responseTopic(200, "{request_id}", ""),
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// FuzzTopic: a topic that is understood has a request id that comes back as it
// was, and fits into an answer that clients can take apart.
func FuzzTopic(f *testing.F) {
	for _, seed := range []string{
		registerPrefix + "?$rid=1", pollPrefix + "?$rid=a-b&operationId=4.x", pollPrefix + "?operationId=%34.x&$rid=1",
		registerPrefix, registerPrefix + "?", registerPrefix + "?$rid", registerPrefix + "?$rid==&=", "$dps/registrations/res/200/?$rid=1",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, topic string) {
		r, err := parseRequest(topic)
		if err != nil {
			return
		}
		if !strings.Contains(topic, "$rid="+r.requestID) || len(r.requestID) > maxRequestID {
			t.Errorf("%q: request id %q", topic, r.requestID)
		}
		back := responseTopic(429, r.requestID, "5")
		id, _ := strings.CutPrefix(back, "$dps/registrations/res/429/?$rid=")
		if id != r.requestID+"&retry-after=5" || strings.Contains(r.requestID, "&") {
			t.Errorf("%q: answered to %q", topic, back)
		}
	})
}
