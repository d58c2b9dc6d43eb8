package dps_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/google/go-cmp/cmp"
)

const guid = "f2f77e2d-8d49-4d9c-ae7b-1c7a9e37a71b"

// The bodies are those that the service and its control plane have been seen to
// send, or that their specification gives.
func TestParseErrorBody(t *testing.T) {
	tests := []struct {
		name   string
		status int
		body   string
		want   dps.Error
	}{
		{"service API", 404, `{"errorCode":404204,"trackingId":"` + guid + `","message":"Group not found.","timestampUtc":"2026-01-01T00:00:00Z"}`,
			dps.Error{StatusCode: 404, Code: 404204, TrackingID: guid, Message: "Group not found."}},
		{"device API with info", 401, `{"errorCode":401002,"trackingId":"t","message":"Invalid certificate.","info":{"a":"b","n":5,"z":""}}`,
			dps.Error{StatusCode: 401, Code: 401002, TrackingID: "t", Message: "Invalid certificate.", Info: map[string]string{"a": "b", "n": "5"}}},
		{"info that is none", 401, `{"errorCode":401002,"info":["a"]}`, dps.Error{StatusCode: 401, Code: 401002}},
		{"code member instead of errorCode", 409, `{"code":409201,"message":"Enrollment already exists."}`,
			dps.Error{StatusCode: 409, Code: 409201, Message: "Enrollment already exists."}},
		{"two codes", 404, `{"errorCode":404201,"code":404001,"message":"m"}`,
			dps.Error{StatusCode: 404, Code: 404201, Message: "m"}},
		{"inner code before outer", 400, `{"code":400001,"error":{"code":"400002","message":"m"}}`,
			dps.Error{StatusCode: 400, Code: 400002, Message: "m"}},
		{"other case of names", 409, `{"ErrorCode":"409201","TRACKINGID":"t","Message":"m"}`,
			dps.Error{StatusCode: 409, Code: 409201, TrackingID: "t", Message: "m"}},
		{"serialized in Message", 400,
			`{"Message":"{\"errorCode\":400004,\"trackingId\":\"t\",\"message\":\"Invalid RegistrationId\"}","ExceptionMessage":""}`,
			dps.Error{StatusCode: 400, Code: 400004, TrackingID: "t", Message: "Invalid RegistrationId"}},
		{"hub error inside", 0, `{"Message":"ErrorCode:IotHubUnauthorizedAccess;Unauthorized","ExceptionMessage":"Tracking ID:x"}`,
			dps.Error{Message: "ErrorCode:IotHubUnauthorizedAccess;Unauthorized"}},
		{"devices provider", 412, `{"code":412001,"httpStatusCode":"PreconditionFailed","message":"Invalid ETag supplied. If you contact a support representative please include this correlation identifier: ` +
			guid + `, timestamp: 2026-01-01 00:00:00Z, errorcode: IH412001."}`,
			dps.Error{StatusCode: 412, Code: 412001, TrackingID: guid, Message: "Invalid ETag supplied."}},
		{"devices provider, numeric status", 400, `{"code":400016,"httpStatusCode":400,"message":"m"}`,
			dps.Error{StatusCode: 400, Code: 400016, Message: "m"}},
		{"devices provider, old", 404, `{"Code":"KeyNameNotFound","HttpStatusCode":"NotFound","Message":"Key name not found: x."}`,
			dps.Error{StatusCode: 404, ErrorCode: "KeyNameNotFound", Message: "Key name not found: x."}},
		{"only the number in the text", 400, `{"message":"Bad. errorcode: IH400053."}`,
			dps.Error{StatusCode: 400, Code: 400053, Message: "Bad. errorcode: IH400053."}},
		{"front end of ARM", 404, `{"error":{"code":"ResourceNotFound","message":"The Resource was not found."}}`,
			dps.Error{StatusCode: 404, ErrorCode: "ResourceNotFound", Message: "The Resource was not found."}},
		{"failed operation of ARM", 412, `{"status":"Failed","error":{"code":"ResourceOperationFailure","message":"It failed.","details":[{"code":"412001","message":"Call failed."}]}}`,
			dps.Error{StatusCode: 412, Code: 412001, ErrorCode: "ResourceOperationFailure", Message: "It failed."}},
		{"details only", 412, `{"error":{"details":[5,{"code":"Inner","message":"m"}]}}`,
			dps.Error{StatusCode: 412, ErrorCode: "Inner", Message: "m"}},
		{"status from the code", 0, `{"errorCode":404201,"message":"m"}`,
			dps.Error{StatusCode: 404, Code: 404201, Message: "m"}},
		{"byte order mark", 400, "\ufeff{\"errorCode\":400004}", dps.Error{StatusCode: 400, Code: 400004}},
		{"empty", 500, "", dps.Error{StatusCode: 500}},
		{"web page", 502, "<html><body>Bad gateway</body></html>",
			dps.Error{StatusCode: 502, Message: "the answer is a web page, not JSON (a proxy or another server?)"}},
		{"text", 503, "try\nlater", dps.Error{StatusCode: 503, Message: "try later"}},
		{"binary", 500, "\x00\x01\x02\xff", dps.Error{StatusCode: 500, Message: "the answer is binary data, not JSON"}},
		{"truncated", 400, `{"errorCode":400004,"mess`, dps.Error{StatusCode: 400, Message: "the answer is incomplete JSON"}},
		{"array", 400, `[1,2]`, dps.Error{StatusCode: 400, Message: "the answer is incomplete JSON"}},
		{"code of another kind", 400, `{"errorCode":{"a":1},"message":["m"]}`, dps.Error{StatusCode: 400}},
		{"code beyond an integer", 400, `{"errorCode":1e400,"message":"m"}`, dps.Error{StatusCode: 400, ErrorCode: "1e400", Message: "m"}},
		{"escape sequences", 400, `{"errorCode":400004,"message":"a\u001b[31mb\u202e\r\nc\u0000"}`,
			dps.Error{StatusCode: 400, Code: 400004, Message: "a[31mb c"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := dps.ParseErrorBody(tt.status, []byte(tt.body))
			if diff := cmp.Diff(&tt.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestParseErrorBodyIsBounded(t *testing.T) {
	long := dps.ParseErrorBody(400, []byte(`{"errorCode":400004,"message":"`+strings.Repeat("x", 30_000)+`"}`))
	if len(long.Message) > 1024 || !strings.HasSuffix(long.Message, "…") || long.Code != 400004 {
		t.Errorf("message of %d bytes, code %d", len(long.Message), long.Code)
	}
	beyond := dps.ParseErrorBody(400, []byte(`{"message":"`+strings.Repeat("x", dps.MaxErrorBody)+`"}`))
	if beyond.Message != "the answer is incomplete JSON" {
		t.Errorf("got %q", beyond.Message)
	}
	deep := dps.ParseErrorBody(400, []byte(strings.Repeat(`{"error":`, 5000)+"1"+strings.Repeat("}", 5000)))
	if deep.Message != "" || deep.Code != 0 {
		t.Errorf("got %+v", deep)
	}
}

func FuzzParseErrorBody(f *testing.F) {
	for _, seed := range []string{
		`{"errorCode":404204,"trackingId":"x","message":"Group not found."}`,
		`{"Message":"{\"errorCode\":400004}","ExceptionMessage":""}`,
		`{"code":412001,"httpStatusCode":"PreconditionFailed","message":"Invalid ETag supplied."}`,
		`{"Code":"KeyNameNotFound","HttpStatusCode":"NotFound","Message":"Key name not found: x."}`,
		`{"status":"Failed","error":{"code":"A","details":[{"code":"412001","message":"m"}]}}`,
		"<html>", "", "{", "[]", "null", "\xff\xfe", `{"message":"errorcode: IH400053."}`,
	} {
		f.Add(400, []byte(seed))
	}
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		e := dps.ParseErrorBody(status, body)
		for _, text := range []string{e.Message, e.ErrorCode, e.TrackingID, e.Error()} {
			if !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return unicode.In(r, unicode.Cc, unicode.Cf) }) {
				t.Fatalf("not clean: %q", text)
			}
			if len(text) > 2048 {
				t.Fatalf("%d bytes of text", len(text))
			}
		}
		if e.Code < 0 || status != 0 && e.StatusCode != status {
			t.Fatalf("code %d, status %d", e.Code, e.StatusCode)
		}
		_, _ = dps.Explain(e)
	})
}
