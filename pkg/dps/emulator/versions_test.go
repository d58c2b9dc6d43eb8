package emulator_test

import (
	"net/http"
	"testing"

	"github.com/dpskit/dpskit/pkg/pki"
)

// TestProofInEveryVersion proves possession under each api-version that some
// client speaks: the upload is flat or nested, the rest is the same.
func TestProofInEveryVersion(t *testing.T) {
	w := newWorld(t, twoHubs)
	root := newPKI(t).root
	for _, kind := range []struct {
		path, nestedSince string
		versions          []string
	}{
		{w.armPath(""), "2022-02-05", []string{"2017-11-15", "2018-01-22", "2020-01-01", "2020-03-01", "2021-10-15", "2022-02-05", "2022-12-12",
			"2023-03-01-preview", "2025-02-01-preview", "2026-03-01-preview", "2026-08-31"}},
		{w.hubPath("/hub-a"), "2020-08-01", []string{"2017-07-01", "2018-01-22", "2018-04-01", "2019-03-22", "2019-11-04", "2020-03-01",
			"2020-08-01", "2021-03-31", "2021-07-01", "2021-07-02", "2022-11-15-preview", "2023-06-30-preview", "2023-06-30"}},
	} {
		for _, version := range kind.versions {
			t.Run(version, func(t *testing.T) {
				w := w.in(t)
				send := func(method, path string, body any, etag string) answer {
					t.Helper()
					header := map[string]string{"Authorization": "Bearer " + w.info.Token, "If-Match": etag}
					a := w.do(call{method: method, path: kind.path + "/certificates/root" + path, version: version, body: body, header: header})
					w.want(a, http.StatusOK, 0)
					return a
				}
				body := flat(base64PEM(root.Certificate()))
				if version >= kind.nestedSince {
					body = nested(base64PEM(root.Certificate()))
				}
				put := send(http.MethodPut, "", body, "")
				code := send(http.MethodPost, "/generateVerificationCode", nil, put.str("etag"))
				proof := issue(t, root, pki.IssueRequest{Profile: pki.ProfileVerification, CommonName: code.str("properties", "verificationCode")})
				verified := send(http.MethodPost, "/verify", flat(base64PEM(proof.Certificate)), code.str("etag"))
				if verified.body["properties"].(map[string]any)["isVerified"] != true {
					t.Errorf("not verified: %s", verified.raw)
				}
				send(http.MethodDelete, "", nil, verified.str("etag"))
			})
		}
	}
}
