package dps

import "errors"

// ErrInvalidID marks an identifier that the service cannot accept.
var ErrInvalidID = errors.New("invalid identifier: 1 to 128 letters, digits, '-', '.', '_', ':', the last one a letter, a digit or '-'")

// CheckID reports whether id can be a registration id or the id of an
// enrollment group
// (https://learn.microsoft.com/azure/iot-dps/concepts-service#registration-id).
// The rule is the widest that the documentation gives; the service compares
// ids without regard to case. With X.509 the id is a common name and has at
// most 64 characters; that is not checked here.
func CheckID(id string) error {
	if id == "" || len(id) > 128 {
		return ErrInvalidID
	}
	for i, r := range id {
		last := i == len(id)-1
		switch {
		case isASCIILetterOrDigit(r), r == '-':
		case !last && (r == '.' || r == '_' || r == ':'):
		default:
			return ErrInvalidID
		}
	}
	return nil
}
