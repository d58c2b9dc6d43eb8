package arm_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/arm"
	"github.com/dpskit/dpskit/pkg/pki"
)

// TestAnswersThatSayNothing: a success without what was asked for is an error
// that names the operation, not a service with nothing in it.
func TestAnswersThatSayNothing(t *testing.T) {
	hub := func(s *scripted) *arm.HubClient {
		c, err := arm.NewHubClient(arm.HubScope{SubscriptionID: testScope.SubscriptionID, ResourceGroup: "rg", HubName: "hub"},
			staticToken("t"), &arm.ClientOptions{HTTPClient: &http.Client{Transport: s}, RetryDelay: 1})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	first := func(c *arm.SubscriptionClient) error {
		for _, err := range c.Services(t.Context(), nil) {
			return err
		}
		return nil
	}
	for _, body := range []string{"null", " null ", "{}", `""`, "[]", "", `{"value":null}`, `{"properties":null}`} {
		for op, run := range map[string]func(*scripted, *arm.Client, *arm.SubscriptionClient) error{
			`get provisioning service "name"`: func(_ *scripted, c *arm.Client, _ *arm.SubscriptionClient) error {
				_, err := c.GetService(t.Context())
				return err
			},
			`list keys of provisioning service "name"`: func(_ *scripted, c *arm.Client, _ *arm.SubscriptionClient) error {
				_, err := c.Keys(t.Context())
				return err
			},
			`list CA certificates`: func(_ *scripted, c *arm.Client, _ *arm.SubscriptionClient) error {
				_, err := c.ListCertificates(t.Context())
				return err
			},
			`upload CA certificate "n"`: func(_ *scripted, c *arm.Client, _ *arm.SubscriptionClient) error {
				ca, err := pki.NewRoot(nil)
				if err == nil {
					_, err = c.UploadCertificate(t.Context(), "n", ca.Certificate(), nil)
				}
				return err
			},
			`list provisioning services`: func(_ *scripted, _ *arm.Client, c *arm.SubscriptionClient) error { return first(c) },
			`get IoT hub "hub"`: func(s *scripted, _ *arm.Client, _ *arm.SubscriptionClient) error {
				_, err := hub(s).GetHub(t.Context())
				return err
			},
			`get CA certificate "n"`: func(s *scripted, _ *arm.Client, _ *arm.SubscriptionClient) error {
				_, err := hub(s).GetCertificate(t.Context(), "n")
				return err
			},
		} {
			t.Run(op+" answered by "+body, func(t *testing.T) {
				s, c := scriptedClient(t, nil, answer{200, body})
				_, all := subscriptionClient(t, answer{200, body})
				err := run(s, c, all)
				wantError(t, err, dps.ErrUnexpectedAnswer, 0)
				if !strings.HasPrefix(fmt.Sprint(err), op+": ") {
					t.Errorf("got %v", err)
				}
			})
		}
	}
}
