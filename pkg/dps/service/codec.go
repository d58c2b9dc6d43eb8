package service

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/dpskit/dpskit/pkg/dps"
)

// The models of this package are encoded and decoded here instead of by
// encoding/json for three reasons: members that the model does not know survive
// a read-modify-write byte for byte (encoding/json would compact and escape
// them), keys go out in clear to the service and only there, and read-only
// members are left out of requests.
//
// A field is described by the tag `dps:"name"` with the options "always" (kept
// although zero), "readonly" and "etag". A field `Unknown map[string]json.RawMessage`
// takes the rest.

// form selects what encode writes.
type form int

const (
	formDisplay form = iota // everything, keys redacted
	formRequest             // no read-only members, keys in clear
	formBulk                // the same with the ETag, as there is no If-Match
)

type field struct {
	index            int
	name             string
	always, readonly bool
	etag             bool // read-only, but part of a bulk item
}

// left reports whether a member is left out in this form.
func (fd field) left(value reflect.Value, f form) bool {
	switch {
	case absent(value):
		return !fd.always
	case fd.etag:
		return f == formRequest
	}
	return fd.readonly && f != formDisplay
}

// fieldsOf lists the tagged fields of a struct in their order.
func fieldsOf(t reflect.Type) []field {
	var list []field
	for i := range t.NumField() {
		tag, ok := t.Field(i).Tag.Lookup("dps")
		if !ok {
			continue
		}
		options := strings.Split(tag, ",")
		list = append(list, field{
			index:    i,
			name:     options[0],
			always:   slices.Contains(options[1:], "always"),
			readonly: slices.Contains(options[1:], "readonly"),
			etag:     slices.Contains(options[1:], "etag"),
		})
	}
	return list
}

var (
	rawType    = reflect.TypeFor[json.RawMessage]()
	secretType = reflect.TypeFor[dps.Secret]()
	timeType   = reflect.TypeFor[time.Time]()
)

// encodeModel returns a model, or a pointer to one, as JSON.
func encodeModel(model any, f form) ([]byte, error) {
	var b bytes.Buffer
	if err := encode(&b, reflect.Indirect(reflect.ValueOf(model)), f); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func encode(b *bytes.Buffer, v reflect.Value, f form) error {
	switch {
	case v.Type() == rawType:
		if !json.Valid(v.Bytes()) {
			return errors.New("invalid JSON")
		}
		b.Write(v.Bytes())
		return nil
	case v.Type() == secretType && f != formDisplay:
		return encodePlain(b, v.String())
	case v.Type() == timeType, v.Type() == secretType:
		return encodePlain(b, v.Interface())
	case v.Kind() == reflect.Pointer:
		return encode(b, v.Elem(), f)
	case v.Kind() == reflect.Struct:
		return encodeObject(b, v, f)
	}
	return encodePlain(b, v.Interface())
}

// encodePlain is encoding/json without the escapes for HTML.
func encodePlain(b *bytes.Buffer, value any) error {
	enc := json.NewEncoder(b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(value); err != nil {
		return err
	}
	b.Truncate(b.Len() - 1) // the newline that Encode appends
	return nil
}

func encodeObject(b *bytes.Buffer, v reflect.Value, f form) error {
	b.WriteByte('{')
	first := true
	member := func(name string, value reflect.Value) error {
		if !first {
			b.WriteByte(',')
		}
		first = false
		if err := encodePlain(b, name); err != nil {
			return err
		}
		b.WriteByte(':')
		if err := encode(b, value, f); err != nil {
			return fmt.Errorf("member %s: %w", name, err)
		}
		return nil
	}
	known := make(map[string]bool)
	for _, fd := range fieldsOf(v.Type()) {
		known[fd.name] = true
		value := v.Field(fd.index)
		if fd.left(value, f) {
			continue
		}
		if err := member(fd.name, value); err != nil {
			return err
		}
	}
	unknown := unknownOf(v)
	for _, name := range slices.Sorted(maps.Keys(unknown)) {
		if known[name] {
			continue // the typed field is the truth
		}
		if err := member(name, reflect.ValueOf(unknown[name])); err != nil {
			return err
		}
	}
	b.WriteByte('}')
	return nil
}

// absent reports a value that is left out: zero, or an empty raw message. An
// empty list that is not nil is kept.
func absent(v reflect.Value) bool {
	return v.IsZero() || v.Type() == rawType && v.Len() == 0
}

func unknownOf(v reflect.Value) map[string]json.RawMessage {
	if u := v.FieldByName("Unknown"); u.IsValid() {
		unknown, _ := u.Interface().(map[string]json.RawMessage)
		return unknown
	}
	return nil
}

// decodeModel fills the model that target points to.
func decodeModel(data []byte, target any) error {
	return decode(data, reflect.ValueOf(target).Elem())
}

func decode(data []byte, v reflect.Value) error {
	switch {
	case v.Type() == rawType:
		v.SetBytes(bytes.Clone(data))
		return nil
	case string(data) == "null":
		v.SetZero()
		return nil
	case v.Type() == timeType:
		return decodeTime(data, v)
	case v.Kind() == reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		return decode(data, v.Elem())
	case v.Kind() == reflect.Struct:
		return decodeObject(data, v)
	}
	if err := json.Unmarshal(data, v.Addr().Interface()); err != nil {
		return fmt.Errorf("not a %s", v.Kind())
	}
	return nil
}

func decodeObject(data []byte, v reflect.Value) error {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(data, &members); err != nil {
		return errors.New("not a JSON object")
	}
	for _, fd := range fieldsOf(v.Type()) {
		raw, ok := members[fd.name]
		if !ok {
			continue
		}
		delete(members, fd.name)
		if err := decode(raw, v.Field(fd.index)); err != nil {
			return fmt.Errorf("member %s: %w", fd.name, err)
		}
	}
	if u := v.FieldByName("Unknown"); u.IsValid() && len(members) > 0 {
		u.Set(reflect.ValueOf(members))
	}
	return nil
}

// decodeTime reads ISO 8601 as the service writes it: 0 to 7 digits of a
// second, UTC, and in some versions without the zone.
func decodeTime(data []byte, v reflect.Value) error {
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return errors.New("not a date and time")
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999"} {
		if t, err := time.Parse(layout, text); err == nil {
			v.Set(reflect.ValueOf(t.UTC()))
			return nil
		}
	}
	return errors.New("not a date and time")
}
