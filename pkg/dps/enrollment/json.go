package enrollment

import (
	"encoding/json"
	"fmt"

	"github.com/dpskit/dpskit/pkg/dps/internal/tree"
)

// ParseObject reads a JSON object that a person wrote, such as twin tags, and
// returns it compact, numbers and member order as they were. Duplicate members,
// broken text, deep nesting and anything after the object are refused with
// their line and column.
func ParseObject(data []byte) (json.RawMessage, error) {
	n, err := tree.ParseJSON(data)
	if err != nil {
		return nil, err
	}
	if n.Kind != tree.Object {
		return nil, n.Errorf("want an object in braces, found %s", n.Kind)
	}
	return n.JSON(), nil
}

// object refuses a member that is no JSON object.
func (c *checker) object(member string, raw json.RawMessage) {
	if len(raw) == 0 {
		return
	}
	if _, err := ParseObject(raw); err != nil {
		c.add(member, "", "%v", err)
	}
}

func (c *checker) twin() {
	twin := *c.InitialTwin
	if twin == nil {
		return
	}
	c.object("initialTwin.tags", twin.Tags)
	if twin.Properties != nil {
		c.object("initialTwin.properties.desired", twin.Properties.Desired)
	}
}

// Limits of a device twin in an IoT hub, in bytes but for the depth
// (https://learn.microsoft.com/azure/iot-hub/iot-hub-devguide-device-twins).
const (
	maxTags       = 8 << 10
	maxDesired    = 32 << 10
	maxTwinKey    = 1 << 10
	maxTwinString = 4 << 10
	maxTwinDepth  = 10
)

// warnTwin finds what the IoT hub, not the provisioning service, refuses: the
// device could then not be assigned.
func (c *checker) warnTwin() {
	twin := *c.InitialTwin
	if twin == nil {
		return
	}
	c.twinPart("initialTwin.tags", twin.Tags, maxTags)
	if twin.Properties != nil {
		c.twinPart("initialTwin.properties.desired", twin.Properties.Desired, maxDesired)
	}
}

func (c *checker) twinPart(member string, raw json.RawMessage, limit int) {
	n, err := tree.ParseJSON(raw)
	if err != nil || len(raw) == 0 {
		return
	}
	w := twinWalk{}
	w.visit(n, 1)
	if w.size > limit {
		w.faults = append(w.faults, fmt.Sprintf("it has about %d bytes, an IoT hub takes %d", w.size, limit))
	}
	for _, fault := range w.faults {
		c.add(member, "an IoT hub refuses such a twin, so the device could not be assigned", "%s", fault)
	}
}

type twinWalk struct {
	size   int
	faults []string
	deep   bool
}

func (w *twinWalk) visit(n *tree.Node, depth int) {
	if depth > maxTwinDepth+1 && !w.deep {
		w.deep = true
		w.faults = append(w.faults, fmt.Sprintf("it is nested deeper than %d levels", maxTwinDepth))
	}
	switch n.Kind {
	case tree.Number:
		w.size += 8
	case tree.Bool:
		w.size += 4
	case tree.String:
		w.size += len(n.Text)
		if len(n.Text) > maxTwinString {
			w.faults = append(w.faults, fmt.Sprintf("a text has %d bytes, an IoT hub takes %d", len(n.Text), maxTwinString))
		}
	}
	for _, item := range n.Items {
		w.visit(item, depth+1)
	}
	for _, m := range n.Members {
		w.size += len(m.Name)
		w.key(m.Name)
		w.visit(m.Value, depth+1)
	}
}

func (w *twinWalk) key(name string) {
	if len(name) > maxTwinKey {
		w.faults = append(w.faults, fmt.Sprintf("a name has %d bytes, an IoT hub takes %d", len(name), maxTwinKey))
		return
	}
	for _, r := range name {
		if r == '.' || r == '$' || r == ' ' || r < 0x20 || r >= 0x7f && r < 0xa0 {
			w.faults = append(w.faults, fmt.Sprintf("the name %.80q holds a '.', a '$', a space or a control character", name))
			return
		}
	}
}
