// Package tree reads JSON and YAML that a person wrote, strictly and with the
// place of everything, so that an error can point at a line.
//
// encoding/json takes the last of two members with the same name, replaces half
// a surrogate pair by U+FFFD and forgets where a value stood. Here a duplicate
// member, broken text, anything after the value and deep nesting are errors.
// Numbers keep their spelling and members their order.
package tree
