package fault

import (
	"maps"
	"slices"
)

// Connect is the operation of opening a connection over MQTT. A rule is about it
// only if it names it: wildcards stand for requests.
const Connect = "connect"

// operations are the names of what clients can ask for.
var operations = map[string]Plane{
	"get-enrollment": Service, "put-enrollment": Service, "delete-enrollment": Service,
	"query-enrollments": Service, "bulk-enrollments": Service, "attest-enrollment": Service,
	"get-group": Service, "put-group": Service, "delete-group": Service,
	"query-groups": Service, "bulk-groups": Service, "attest-group": Service,
	"get-registration": Service, "delete-registration": Service, "query-registrations": Service,

	"register": Device, "poll": Device, "look-up": Device, Connect: Device,

	"list-services": ARM, "get-service": ARM, "list-keys": ARM, "get-key": ARM,
	"list-certificates": ARM, "get-certificate": ARM, "put-certificate": ARM, "delete-certificate": ARM,
	"generate-code": ARM, "verify-certificate": ARM,
}

// Operations returns the names of all operations of a plane, sorted; Any
// returns those of all planes.
func Operations(p Plane) []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(operations)) {
		if p == Any || operations[name] == p {
			names = append(names, name)
		}
	}
	return names
}

// Names reports whether m is about an operation.
func (m Match) Names(op string) bool {
	if op == Connect {
		return m.Op == Connect
	}
	return m.Op == "" || Glob(m.Op, op)
}

// Glob reports whether pattern, where * is any text and ? any one byte, matches
// all of text.
func Glob(pattern, text string) bool {
	star, mark := -1, 0 // where the last star was, and what it has eaten up to
	p, t := 0, 0
	for t < len(text) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, t
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == text[t]):
			p++
			t++
		case star >= 0:
			mark++
			p, t = star+1, mark
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}
