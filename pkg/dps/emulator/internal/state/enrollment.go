package state

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/store"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/wire"
)

// Kinds of index rows.
const (
	kindLeaf      = "leaf"      // SHA-256 of a client certificate -> enrollment
	kindSigning   = "signing"   // SHA-256 of a signing certificate -> group
	kindReference = "reference" // name of a CA certificate -> group
	kindSymmetric = "symmetric" // group -> group
	kindMember    = "member"    // group/registration -> registration
)

// Certificates are the two certificates of an attestation, DER.
type Certificates struct {
	Primary   []byte `json:"primary,omitempty"`
	Secondary []byte `json:"secondary,omitempty"`
}

// Thumbprints returns the SHA-256 of each certificate that is set.
func (c Certificates) Thumbprints() []string {
	var prints []string
	for _, der := range [][]byte{c.Primary, c.Secondary} {
		if len(der) > 0 {
			prints = append(prints, Thumbprint(der))
		}
	}
	return prints
}

// Thumbprint is the form under which certificates are indexed.
func Thumbprint(der []byte) string {
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}

// Enrollment is an individual enrollment as stored: symmetric keys and
// certificates included.
type Enrollment struct {
	wire.IndividualEnrollment

	Client Certificates `json:"client"`
}

// Group is an enrollment group as stored.
type Group struct {
	wire.EnrollmentGroup

	Signing Certificates `json:"signing"`
}

// references returns the folded names of the CA certificates g points to.
func (g Group) references() []string {
	if g.Attestation == nil || g.Attestation.X509 == nil || g.Attestation.X509.CAReferences == nil {
		return nil
	}
	var names []string
	for _, name := range []string{g.Attestation.X509.CAReferences.Primary, g.Attestation.X509.CAReferences.Secondary} {
		if name != "" {
			names = append(names, Fold(name))
		}
	}
	return names
}

func (g Group) symmetric() []string {
	if g.Attestation != nil && g.Attestation.Type == wire.TypeSymmetricKey {
		return []string{Fold(g.EnrollmentGroupID)}
	}
	return nil
}

// GetEnrollment finds an individual enrollment.
func GetEnrollment(r store.Reader, id string) (Enrollment, bool, error) {
	return load[Enrollment](r, tableEnrollments, Fold(id))
}

// PutEnrollment writes e over old (the zero value when e is new).
func PutEnrollment(tx store.Tx, old, e Enrollment) error {
	key := Fold(e.RegistrationID)
	reindex(tx, kindLeaf, key, old.Client.Thumbprints(), e.Client.Thumbprints())
	return save(tx, tableEnrollments, key, e)
}

// DeleteEnrollment removes e.
func DeleteEnrollment(tx store.Tx, e Enrollment) {
	reindex(tx, kindLeaf, "", e.Client.Thumbprints(), nil)
	tx.Delete(tableEnrollments, Fold(e.RegistrationID))
}

// Enrollments reads one page in the order of the folded identifiers.
func Enrollments(r store.Reader, after string, limit int) ([]Enrollment, string, error) {
	return page[Enrollment](r, tableEnrollments, "", after, limit)
}

// EnrollmentOf returns the folded id of the enrollment that has the client
// certificate with this thumbprint.
func EnrollmentOf(r store.Reader, thumbprint string) (string, bool) {
	return lookUp(r, kindLeaf, thumbprint)
}

// GetGroup finds an enrollment group.
func GetGroup(r store.Reader, id string) (Group, bool, error) {
	return load[Group](r, tableGroups, Fold(id))
}

// PutGroup writes g over old (the zero value when g is new).
func PutGroup(tx store.Tx, old, g Group) error {
	key := Fold(g.EnrollmentGroupID)
	unindexGroup(tx, old)
	reindex(tx, kindSigning, key, nil, g.Signing.Thumbprints())
	reindex(tx, kindReference, key, nil, g.references())
	reindex(tx, kindSymmetric, key, nil, g.symmetric())
	return save(tx, tableGroups, key, g)
}

// DeleteGroup removes g. Its registration records stay, as in the service.
func DeleteGroup(tx store.Tx, g Group) {
	unindexGroup(tx, g)
	tx.Delete(tableGroups, Fold(g.EnrollmentGroupID))
}

func unindexGroup(tx store.Tx, g Group) {
	reindex(tx, kindSigning, "", g.Signing.Thumbprints(), nil)
	reindex(tx, kindReference, "", g.references(), nil)
	reindex(tx, kindSymmetric, "", g.symmetric(), nil)
}

// Groups reads one page in the order of the folded identifiers.
func Groups(r store.Reader, after string, limit int) ([]Group, string, error) {
	return page[Group](r, tableGroups, "", after, limit)
}

// GroupBySigning returns the folded id of the group that has the signing
// certificate with this thumbprint.
func GroupBySigning(r store.Reader, thumbprint string) (string, bool) {
	return lookUp(r, kindSigning, thumbprint)
}

// GroupByReference returns the folded id of the group that refers to the CA
// certificate with this name.
func GroupByReference(r store.Reader, caName string) (string, bool) {
	return lookUp(r, kindReference, Fold(caName))
}

// SymmetricGroups returns the folded ids of all groups with symmetric keys.
func SymmetricGroups(r store.Reader) []string {
	prefix := indexKey(kindSymmetric, "")
	var ids []string
	r.Ascend(tableIndex, prefix, func(key string, _ []byte) bool {
		if !strings.HasPrefix(key, prefix) {
			return false
		}
		ids = append(ids, key[len(prefix):])
		return true
	})
	return ids
}
