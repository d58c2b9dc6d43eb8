package provision

import (
	"crypto/sha256"
	"encoding/binary"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/state"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/wire"
)

// Hub is a linked IoT hub.
type Hub struct {
	// Name is the host name.
	Name string
	// Weight is its share of the devices, 1 to 1000; 0 means that no device is
	// allocated there (applyAllocationPolicy is false).
	Weight int
	// Latency is how far away it is from every device; 0 means that nobody
	// knows, which counts as farther than any other.
	Latency time.Duration
}

// Codes of registrations that fail after they were accepted.
const (
	codeCustomAllocation = 400207
	codeNoHub            = 400208
)

// policy is the allocation policy of an enrollment.
func (s *Service) policy(c wire.Common) string {
	switch {
	case c.IotHubHostName != "":
		return wire.AllocateStatic
	case c.AllocationPolicy != "":
		return c.AllocationPolicy
	case s.AllocationPolicy != "":
		return s.AllocationPolicy
	}
	return wire.AllocateHashed
}

// allocate picks a hub by any policy but custom; "" if there is none.
func (s *Service) allocate(registrationID string, c wire.Common) string {
	hubs := s.candidates(c)
	if len(hubs) == 0 {
		return ""
	}
	switch s.policy(c) {
	case wire.AllocateStatic:
		return hubs[0].Name
	case wire.AllocateGeoLatency:
		hubs = nearest(hubs)
	}
	return rendezvous(state.Fold(registrationID), hubs)
}

// candidates are the linked hubs that take part in allocation and that the
// enrollment allows, in its order; all of them if it names none. Static
// allocation needs a name.
func (s *Service) candidates(c wire.Common) []Hub {
	wanted := c.IotHubs
	if c.IotHubHostName != "" {
		wanted = []string{c.IotHubHostName}
	}
	var hubs []Hub
	if len(wanted) == 0 && s.policy(c) != wire.AllocateStatic {
		hubs = slices.Clone(s.Hubs)
	}
	for _, name := range wanted {
		if i := s.linked(name); i >= 0 {
			hubs = append(hubs, s.Hubs[i])
		}
	}
	return slices.DeleteFunc(hubs, func(h Hub) bool { return h.Weight <= 0 })
}

// linked returns the position of a hub in s.Hubs, -1 if it is not linked.
func (s *Service) linked(name string) int {
	return slices.IndexFunc(s.Hubs, func(hub Hub) bool { return strings.EqualFold(hub.Name, name) })
}

// nearest returns the hubs with the lowest latency.
func nearest(hubs []Hub) (near []Hub) {
	distance := func(h Hub) time.Duration {
		if h.Latency <= 0 {
			return math.MaxInt64
		}
		return h.Latency
	}
	least := distance(hubs[0])
	for _, h := range hubs {
		least = min(least, distance(h))
	}
	for _, h := range hubs {
		if distance(h) == least {
			near = append(near, h)
		}
	}
	return near
}

// rendezvous gives each device one hub, by weight, and moves as few devices as
// possible when hubs come and go or weights change. This is the logarithmic
// method of weighted rendezvous hashing.
func rendezvous(registrationKey string, hubs []Hub) string {
	best, top := "", 0.0
	for _, hub := range hubs {
		sum := sha256.Sum256([]byte(strings.ToLower(hub.Name) + "\x00" + registrationKey))
		u := (float64(binary.BigEndian.Uint64(sum[:8])>>11) + 0.5) / (1 << 53) // in (0, 1)
		if score := float64(hub.Weight) / -math.Log(u); best == "" || score > top {
			best, top = hub.Name, score
		}
	}
	return best
}
