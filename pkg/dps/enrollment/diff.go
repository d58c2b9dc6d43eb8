package enrollment

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"reflect"
	"slices"
	"strings"

	"github.com/dpskit/dpskit/pkg/dps/service"
)

// Difference is one member that differs between two states of an enrollment.
type Difference struct {
	// Member is the name of the member, with those around it.
	Member string `json:"member"`
	// Before and After are the values as JSON or a description, "" for none.
	// Keys are never shown, nor is the query of a webhook: where only that differs,
	// both are the same.
	Before string `json:"before"`
	After  string `json:"after"`
}

// readOnly are the members that say nothing about what is wanted.
var readOnly = []string{
	"registrationId", "enrollmentGroupId", "registrationState", "etag", "createdDateTimeUtc", "lastUpdatedDateTimeUtc", "attestation",
}

// Diff compares two states of an enrollment and returns the members that
// differ, by name; nil if they mean the same to the service. A member that is
// absent equals its default, a certificate its description, and symmetric keys
// are compared only if both sides have them.
func Diff[T Object](before, after T) []Difference {
	a, b := plainMembers(before), plainMembers(after)
	names := slices.AppendSeq(slices.Collect(maps.Keys(a)), maps.Keys(b))
	slices.Sort(names)
	var list []Difference
	for _, name := range slices.Compact(names) {
		if reflect.DeepEqual(normal(name, a[name]), normal(name, b[name])) || sameAllocation(name, a, b) {
			continue
		}
		if inner := webhookDiff(name, a[name], b[name]); inner != nil {
			list = append(list, inner...)
			continue
		}
		list = append(list, Difference{Member: name, Before: show(name, a[name]), After: show(name, b[name])})
	}
	return append(attestationDiff(*Of(&before).Attestation, *Of(&after).Attestation), list...)
}

// webhookDiff names the members of a custom allocation that differ, where both
// sides have one; else nil.
func webhookDiff(name string, before, after any) []Difference {
	a, _ := before.(map[string]any)
	b, _ := after.(map[string]any)
	if name != "customAllocationDefinition" || a == nil || b == nil {
		return nil
	}
	names := slices.AppendSeq(slices.Collect(maps.Keys(a)), maps.Keys(b))
	slices.Sort(names)
	var list []Difference
	for _, member := range slices.Compact(names) {
		if !reflect.DeepEqual(a[member], b[member]) {
			list = append(list, Difference{Member: name + "." + member, Before: show(member, a[member]), After: show(member, b[member])})
		}
	}
	return list
}

// plainMembers are the members of the JSON form but for the attestation.
func plainMembers[T Object](object T) map[string]any {
	if f := Of(&object); f.Individual && *f.DeviceID == "" {
		*f.DeviceID = *f.ID // what the service uses in its place
	}
	data, err := json.Marshal(object)
	if err != nil {
		return map[string]any{"error": err.Error()} // a raw member that is not JSON
	}
	members := map[string]any{}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	_ = dec.Decode(&members) // it was made by json.Marshal
	for _, name := range readOnly {
		delete(members, name)
	}
	return members
}

// normal returns a value in the form in which equal meanings are equal.
func normal(name string, v any) any {
	switch name {
	case "provisioningStatus":
		return orElse(v, string(service.ProvisioningEnabled))
	case "reprovisionPolicy":
		return withDefaults(v, map[string]any{"updateHubAssignment": true, "migrateDeviceData": true})
	case "capabilities":
		return withDefaults(v, map[string]any{"iotEdge": false})
	case "iotHubHostName":
		text, _ := v.(string)
		return strings.ToLower(text)
	case "iotHubs":
		return hubSet(v)
	case "initialTwin", "customAllocationDefinition", "optionalDeviceInformation":
		return withoutEmpty(v)
	}
	return v
}

func orElse(v any, otherwise string) any {
	if v == nil || v == "" {
		return otherwise
	}
	return v
}

func withDefaults(v any, defaults map[string]any) any {
	object, _ := v.(map[string]any)
	merged := maps.Clone(defaults)
	maps.Copy(merged, object)
	return merged
}

func hubSet(v any) []string {
	list, _ := v.([]any)
	set := []string{}
	for _, hub := range list {
		set = append(set, strings.ToLower(fmt.Sprint(hub)))
	}
	slices.Sort(set)
	return set
}

// withoutEmpty drops empty objects and nulls at the edges of a twin, but not
// inside tags and properties, where null and {} are values.
func withoutEmpty(v any) any {
	object, ok := v.(map[string]any)
	if !ok {
		return v
	}
	kept := map[string]any{}
	for name, value := range object {
		if name == "properties" {
			value = withoutEmpty(value)
		}
		if inner, ok := value.(map[string]any); value == nil || ok && len(inner) == 0 {
			continue
		}
		kept[name] = value
	}
	if len(kept) == 0 {
		return nil
	}
	return kept
}

// sameAllocation treats an absent policy as hashed, which is what the service
// falls back to and may fill in.
func sameAllocation(name string, a, b map[string]any) bool {
	hashed := func(v any) bool { return v == nil || v == string(service.AllocationHashed) }
	return name == "allocationPolicy" && hashed(a[name]) && hashed(b[name]) &&
		len(hubSet(a["iotHubs"])) == 0 && len(hubSet(b["iotHubs"])) == 0
}

// show renders a value for a person, an absent one by what it means.
func show(name string, v any) string {
	switch name {
	case "provisioningStatus", "reprovisionPolicy", "capabilities":
		v = normal(name, v)
	}
	if v == nil {
		return ""
	}
	if object, ok := v.(map[string]any); ok && name == "customAllocationDefinition" {
		shown := maps.Clone(object)
		if text, ok := shown["webhookUrl"].(string); ok {
			shown["webhookUrl"] = HideQuery(text)
		}
		v = shown
	}
	if text, ok := v.(string); ok && name == "webhookUrl" {
		v = HideQuery(text)
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return "?"
	}
	return strings.TrimSpace(b.String())
}

// HideQuery returns a URL without what may be the key of a function: the query, the
// fragment and the user.
func HideQuery(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return hidden
	}
	u.User = nil
	if u.RawQuery != "" {
		u.RawQuery = hidden
	}
	u.Fragment = ""
	return u.String()
}

// hidden stands where a secret was.
const hidden = "REDACTED"

// HidesQuery tells whether a URL went through HideQuery, which took a part of it
// away.
func HidesQuery(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (text == hidden || u.RawQuery == hidden)
}

// attestationDiff asks package service, which knows that a certificate equals
// its description, and renders what it finds.
func attestationDiff(before, after service.Attestation) []Difference {
	var list []Difference
	for _, name := range (service.EnrollmentGroup{Attestation: after}).Differences(service.EnrollmentGroup{Attestation: before}) {
		list = append(list, Difference{Member: name, Before: showAttestation(name, before), After: showAttestation(name, after)})
	}
	return list
}
