package service_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/service"
)

// TestAnswersThatSayNothing: a success whose body is no object, or an object
// without its identity, is never taken for an enrollment with nothing in it.
func TestAnswersThatSayNothing(t *testing.T) {
	group := service.EnrollmentGroup{EnrollmentGroupID: "g", Attestation: service.SymmetricKeys(testKey, testKey)}
	device := service.IndividualEnrollment{RegistrationID: "d", Attestation: service.SymmetricKeys(testKey, testKey)}
	operations := map[string]func(context.Context, *service.Client) error{
		`get enrollment group "g"`: func(ctx context.Context, c *service.Client) error {
			_, err := c.GetGroup(ctx, "g", nil)
			return err
		},
		`create enrollment group "g"`: func(ctx context.Context, c *service.Client) error {
			_, err := c.PutGroup(ctx, group, nil)
			return err
		},
		`get enrollment "d"`: func(ctx context.Context, c *service.Client) error {
			_, err := c.GetEnrollment(ctx, "d", nil)
			return err
		},
		`update enrollment "d"`: func(ctx context.Context, c *service.Client) error {
			_, err := c.PutEnrollment(ctx, device, &service.PutOptions{IfMatch: "*"})
			return err
		},
		`get attestation of enrollment group "g"`: func(ctx context.Context, c *service.Client) error {
			_, err := c.GetGroupAttestation(ctx, "g", nil)
			return err
		},
		`get attestation of enrollment "d"`: func(ctx context.Context, c *service.Client) error {
			_, err := c.GetEnrollmentAttestation(ctx, "d", nil)
			return err
		},
		`get registration "d"`: func(ctx context.Context, c *service.Client) error {
			_, err := c.GetRegistration(ctx, "d", nil)
			return err
		},
		`bulk create of 1 enrollments`: func(ctx context.Context, c *service.Client) error {
			_, err := c.BulkEnrollments(ctx, service.BulkCreate, []service.IndividualEnrollment{device})
			return err
		},
		`list enrollments`: func(ctx context.Context, c *service.Client) error {
			for _, err := range c.Enrollments(ctx, nil) {
				return err
			}
			return nil
		},
		`list registrations of enrollment group "g"`: func(ctx context.Context, c *service.Client) error {
			for _, err := range c.Registrations(ctx, "g", nil) {
				return err
			}
			return nil
		},
	}
	bodies := []string{"null", " null ", "[null]", `""`, "", " ", "5", "true", "{}", `{"message":"hello"}`, `[{}]`, `{"isSuccessful":null}`,
		`{"enrollmentGroupId":"","registrationId":"","attestation":null}`,
		`{"enrollmentGroupId":"other","registrationId":"other","attestation":{"type":""}}`}
	for op, run := range operations {
		for _, body := range bodies {
			t.Run(fmt.Sprintf("%s answered by %s", op, body), func(t *testing.T) {
				_, c := scriptedClient(t, scriptedAnswer{status: 200, body: body})
				err := run(t.Context(), c)
				wantError(t, err, dps.ErrUnexpectedAnswer, 0)
				if !strings.HasPrefix(fmt.Sprint(err), op+": 200 OK") {
					t.Errorf("got %v, want it to begin with %s", err, op)
				}
			})
		}
	}
}

// TestAnswersAboutTheObject are its twin: the id may come back in other case,
// and in any company.
func TestAnswersAboutTheObject(t *testing.T) {
	_, c := scriptedClient(t, scriptedAnswer{status: 200, body: ` {"enrollmentGroupId":"LINE-1","new":1} `})
	if g, err := c.GetGroup(t.Context(), "line-1", nil); err != nil || g.EnrollmentGroupID != "LINE-1" {
		t.Errorf("got %v, %v", g, err)
	}
	_, c = scriptedClient(t, scriptedAnswer{status: 200, body: `[]`})
	for g, err := range c.Groups(t.Context(), nil) {
		t.Errorf("got %v, %v", g, err)
	}
}
