package fault_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dpskit/dpskit/pkg/dps/emulator/fault"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]struct {
		rule fault.Rule
		text string // canonical form; "" means the input
	}{
		"plane=service,op=put-enrollment,percent=30,drop-ack": {rule: fault.Rule{
			Match: fault.Match{Plane: fault.Service, Op: "put-enrollment", Percent: 30}, Do: fault.Do{Kind: fault.DropAck}}},
		" status=503 , op=*-group,nth=1,per-id,code=503001,committed,retry-after=date:2": {
			rule: fault.Rule{Match: fault.Match{Op: "*-group", Nth: 1, PerID: true},
				Do: fault.Do{Kind: fault.Status, Status: 503, Code: 503001, Committed: true, RetryAfter: "date:2"}},
			text: "op=*-group,nth=1,per-id,status=503,code=503001,committed,retry-after=date:2"},
		"op=register,throttle=100/1m": {
			rule: fault.Rule{Match: fault.Match{Op: "register"}, Do: fault.Do{Kind: fault.Throttle, Limit: 100, Window: time.Minute}},
			text: "op=register,throttle=100/1m0s"},
		"throttle=5":                      {rule: fault.Rule{Do: fault.Do{Kind: fault.Throttle, Limit: 5}}},
		"op=poll,assigning=3":             {rule: fault.Rule{Match: fault.Match{Op: "poll"}, Do: fault.Do{Kind: fault.Assigning, Polls: 3}}},
		"assigning=forever":               {rule: fault.Rule{Do: fault.Do{Kind: fault.Assigning, Polls: fault.Forever}}},
		"id=dev-??,after=2,times=1,reset": {rule: fault.Rule{Match: fault.Match{ID: "dev-??", After: 2, Times: 1}, Do: fault.Do{Kind: fault.Reset}}},
		"plane=arm,close":                 {rule: fault.Rule{Match: fault.Match{Plane: fault.ARM}, Do: fault.Do{Kind: fault.Close}}},
		"plane=device,close-after=0":      {rule: fault.Rule{Match: fault.Match{Plane: fault.Device}, Do: fault.Do{Kind: fault.CloseAfter}}},
		"percent=0.5,truncate":            {rule: fault.Rule{Match: fault.Match{Percent: 0.5}, Do: fault.Do{Kind: fault.Truncate}}},
		"delay=1.5s,slow=200ms":           {rule: fault.Rule{Do: fault.Do{Delay: 1500 * time.Millisecond, Slow: 200 * time.Millisecond}}},
		"op=register,retry-after=absent":  {rule: fault.Rule{Match: fault.Match{Op: "register"}, Do: fault.Do{RetryAfter: "absent"}}},
		"op=connect,nth=1,per-id,status=503": {rule: fault.Rule{
			Match: fault.Match{Op: fault.Connect, Nth: 1, PerID: true}, Do: fault.Do{Kind: fault.Status, Status: 503}}},
		"retry-after=garbage":    {rule: fault.Rule{Do: fault.Do{RetryAfter: "garbage"}}},
		"retry-after=-1":         {rule: fault.Rule{Do: fault.Do{RetryAfter: "-1"}}},
		"retry-after=1000000000": {rule: fault.Rule{Do: fault.Do{RetryAfter: "1000000000"}}},
		"retry-after=20ms":       {rule: fault.Rule{Do: fault.Do{RetryAfter: "20ms"}}},
	} {
		got, err := fault.Parse(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if diff := cmp.Diff([]fault.Rule{want.rule}, got); diff != "" {
			t.Errorf("%s: %s", text, diff)
		}
		if want.text == "" {
			want.text = text
		}
		if got[0].String() != want.text {
			t.Errorf("%s: written as %s, want %s", text, got[0], want.text)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"":                                  `unknown setting ""`,
		"reset,":                            `unknown setting ""`,
		"op=put-enrollment":                 "it does nothing",
		"percent=10":                        "it does nothing",
		"plane=mqtt,reset":                  `plane "mqtt": want service, device or arm`,
		"op=put-nothing,reset":              `op "put-nothing": matches none of`,
		"plane=arm,op=put-group,reset":      `op "put-group": matches none of`,
		"explode":                           `unknown setting "explode"`,
		"reset=1":                           "reset takes no value",
		"status":                            "status needs a value",
		"status=99":                         "status 99: want 400 to 599",
		"status=200":                        "want 400 to 599",
		"status=x":                          `number "x"`,
		"status=-500":                       `number "-500"`,
		"status=0":                          "want more than 0",
		"status=500,status=501":             "status is given twice",
		"status=500,reset":                  "status and reset exclude each other",
		"close,drop-ack":                    "close and drop-ack exclude each other",
		"close-after=-1":                    "want a whole number",
		"reset,code=500000":                 "code: goes with status or throttle",
		"status=500,code=5":                 "code 5: want six digits",
		"reset,committed":                   "committed: goes with status only",
		"nth=0,reset":                       "want more than 0",
		"percent=0,reset":                   "percent",
		"percent=101,reset":                 "percent",
		"percent=NaN,reset":                 "percent",
		"assigning=0":                       "want more than 0",
		"op=register,assigning=2":           "never is poll",
		"op=connect,truncate":               "have no place",
		"op=connect,status=503,code=503001": "have no place",
		"op=connect,status=503,committed":   "have no place",
		"op=connect,retry-after=1":          "have no place",
		"op=connect,assigning=1":            "never is poll",
		"op=con*,reset":                     "matches none of",
		"plane=arm,op=connect,reset":        "matches none of",
		"throttle=0/1m":                     "want more than 0",
		"throttle=5/0s":                     `duration "0s"`,
		"throttle=5/1000h":                  "period up to",
		"throttle=5/week":                   `duration "week"`,
		"delay=5":                           `duration "5"`,
		"delay=2h":                          "up to 1h",
		"slow=-1s":                          `duration "-1s"`,
		"retry-after=":                      "retry-after: want a value",
		"retry-after=soon":                  `retry-after "soon"`,
		"retry-after=date:tomorrow":         "want seconds",
		"retry-after=99999999999999999":     "want seconds",
		"id=a b,reset":                      "without spaces",
		"real-throttle,plane=device":        `unknown setting "real-throttle"`,
		"id=\x1b[31m\n,reset":               `parse fault "id=\x1b[31m\n,reset"`,
	} {
		got, err := fault.Parse(text)
		switch {
		case err == nil:
			t.Errorf("%s: accepted as %v, want …%s…", text, got, want)
		case !strings.Contains(err.Error(), want), strings.ContainsAny(err.Error(), "\n\x1b"):
			t.Errorf("%s: %v, want …%s…", text, err, want)
		}
	}
}

func TestRealThrottle(t *testing.T) {
	got, err := fault.Parse("real-throttle")
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	for _, r := range got {
		if err := r.Check(); err != nil {
			t.Errorf("%s: %v", r, err)
		}
		texts = append(texts, r.String())
	}
	want := []string{"plane=service,throttle=1000", "plane=device,op=register,throttle=1000", "plane=device,op=poll,per-id,throttle=5/10s"}
	if diff := cmp.Diff(want, texts); diff != "" {
		t.Error(diff)
	}
}

// TestCheckOfLiterals refuses what the text form cannot say.
func TestCheckOfLiterals(t *testing.T) {
	for name, r := range map[string]fault.Rule{
		"negative nth":      {Match: fault.Match{Nth: -1}, Do: fault.Do{Kind: fault.Reset}},
		"negative percent":  {Match: fault.Match{Percent: -1}, Do: fault.Do{Kind: fault.Reset}},
		"comma in a glob":   {Match: fault.Match{ID: "a,b"}, Do: fault.Do{Kind: fault.Reset}},
		"status without":    {Do: fault.Do{Kind: fault.Status}},
		"status elsewhere":  {Do: fault.Do{Kind: fault.Reset, Status: 500}},
		"limit elsewhere":   {Do: fault.Do{Kind: fault.Reset, Limit: 5}},
		"negative bytes":    {Do: fault.Do{Kind: fault.CloseAfter, Bytes: -1}},
		"assigning nothing": {Do: fault.Do{Kind: fault.Assigning}},
		"negative delay":    {Do: fault.Do{Delay: -1}},
		"unknown kind":      {Do: fault.Do{Kind: "explode"}},
		"nothing":           {},
	} {
		if err := r.Check(); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestGlob(t *testing.T) {
	for _, tt := range []struct {
		pattern, text string
		want          bool
	}{
		{"", "", true}, {"", "a", false}, {"*", "", true}, {"*", "abc", true}, {"**", "abc", true},
		{"abc", "abc", true}, {"abc", "abd", false}, {"abc", "abcd", false}, {"abcd", "abc", false},
		{"a?c", "abc", true}, {"a?c", "ac", false}, {"?", "", false},
		{"put-*", "put-group", true}, {"put-*", "get-group", false}, {"*-group", "put-group", true}, {"*-group", "put-groups", false},
		{"a*b*c", "aXbYbZc", true}, {"a*b*c", "aXcYb", false}, {"*a*", "bab", true}, {"*aab", "aaaab", true},
	} {
		if got := fault.Glob(tt.pattern, tt.text); got != tt.want {
			t.Errorf("Glob(%q, %q) = %v", tt.pattern, tt.text, got)
		}
	}
}

func TestOperations(t *testing.T) {
	all := fault.Operations(fault.Any)
	n := 0
	for _, p := range []fault.Plane{fault.Service, fault.Device, fault.ARM} {
		n += len(fault.Operations(p))
	}
	for op, want := range map[string]bool{"": false, "*": false, "connect": true, "register": false} {
		if got := (fault.Match{Op: op}).Names(fault.Connect); got != want {
			t.Errorf("op=%s is about connect: %v", op, got)
		}
	}
	if len(all) != n || n == 0 {
		t.Errorf("%d operations, %d by plane", len(all), n)
	}
	if got := fault.Operations("mqtt"); got != nil {
		t.Errorf("a plane that does not exist has %v", got)
	}
}

// FuzzParse wants a rule that is accepted to survive being written.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"plane=service,op=put-*,id=dev-*,nth=1,after=2,times=3,percent=4.5,per-id,status=503,code=503001,committed,retry-after=date:1",
		"real-throttle", "throttle=100/1m", "assigning=forever", "delay=1s,slow=2s", "close-after=10", "a=b", ",",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		rules, err := fault.Parse(text)
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("error of more than one line: %q", err)
			}
			return
		}
		for _, r := range rules {
			again, err := fault.Parse(r.String())
			if err != nil {
				t.Fatalf("%q is written as %q: %v", text, r, err)
			}
			if diff := cmp.Diff([]fault.Rule{r}, again); diff != "" {
				t.Errorf("%q: %s", text, diff)
			}
		}
	})
}
