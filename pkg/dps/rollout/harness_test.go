package rollout_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/device"
	"github.com/dpskit/dpskit/pkg/dps/dpstest"
	"github.com/dpskit/dpskit/pkg/dps/emulator"
	"github.com/dpskit/dpskit/pkg/dps/emulator/fault"
	"github.com/dpskit/dpskit/pkg/dps/rollout"
	"github.com/dpskit/dpskit/pkg/dps/service"
)

const group = "fleet"

var groupKey = dps.Secret(base64.StdEncoding.EncodeToString([]byte("a key for a fleet of many devices")))

// keyed are devices of a group with symmetric keys.
type keyed struct {
	n      int
	prefix string
	key    dps.Secret
	errs   map[int]error // of Credential

	mu   sync.Mutex
	read map[int]int // how often a credential was asked for
}

func devices(n int) *keyed { return &keyed{n: n, prefix: "dev-", key: groupKey} }

func (k *keyed) Len() int        { return k.n }
func (k *keyed) ID(i int) string { return fmt.Sprintf("%s%04d", k.prefix, i) }

func (k *keyed) Credential(i int) (device.Credential, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.read == nil {
		k.read = map[int]int{}
	}
	k.read[i]++
	if err := k.errs[i]; err != nil {
		return nil, err
	}
	return device.GroupKey(k.key), nil
}

// world is an emulator with one group on a key.
type world struct {
	t       *testing.T
	e       *emulator.Emulator
	service *service.Client
}

func newWorld(t *testing.T, faults ...string) *world {
	t.Helper()
	w := &world{t: t}
	w.e = dpstest.Start(t, func(o *emulator.Options) {
		o.RetryAfter = -1
		for _, text := range faults {
			rule, err := fault.Parse(text)
			if err != nil {
				t.Fatal(err)
			}
			o.Faults = append(o.Faults, rule...)
		}
	})
	client := w.e.HTTPClient()
	t.Cleanup(client.CloseIdleConnections)
	cs, err := dps.ParseConnectionString(w.e.Info().ConnectionString)
	if err != nil {
		t.Fatal(err)
	}
	if w.service, err = service.NewClient(cs.HostName, service.SharedKey(cs.SharedAccessKeyName, cs.SharedAccessKey), &service.ClientOptions{HTTPClient: client}); err != nil {
		t.Fatal(err)
	}
	w.put(service.EnrollmentGroup{EnrollmentGroupID: group, Attestation: service.SymmetricKeys(groupKey, groupKey)})
	return w
}

func (w *world) put(g service.EnrollmentGroup) {
	w.t.Helper()
	if _, err := w.service.PutGroup(w.t.Context(), g, nil); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) scope() string { return w.e.Info().IDScope }

func (w *world) client(transport device.Transport) device.ClientOptions {
	o := device.ClientOptions{Host: w.e.Info().HostName, Transport: transport, RootCAs: w.e.CAPool(), RetryDelay: 1}
	if transport == device.TransportMQTT {
		o.Host = strings.TrimPrefix(w.e.Info().MQTT[0], "mqtts://")
	}
	return o
}

func (w *world) run(ctx context.Context, source rollout.Source, change func(*rollout.Options)) (*rollout.Summary, error) {
	w.t.Helper()
	o := &rollout.Options{Client: w.client("")}
	if change != nil {
		change(o)
	}
	return rollout.Run(ctx, w.scope(), source, o)
}

// records counts the registration records of each device.
func (w *world) records() map[string]int {
	w.t.Helper()
	count := map[string]int{}
	for rec, err := range w.service.Registrations(w.t.Context(), group, &service.ListOptions{PageSize: 1000}) {
		if err != nil {
			w.t.Fatal(err)
		}
		count[rec.RegistrationID]++
	}
	return count
}

// each fails unless every device of the source has one record.
func (w *world) each(source rollout.Source) {
	w.t.Helper()
	records := w.records()
	for i := range source.Len() {
		if n := records[source.ID(i)]; n != 1 {
			w.t.Errorf("device %s has %d records", source.ID(i), n)
		}
	}
	if len(records) != source.Len() {
		w.t.Errorf("%d records for %d devices", len(records), source.Len())
	}
}
