package state

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/store"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/wire"
)

// Registration is a registration record: the outcome of a device's last
// registration. Its outcome is decided when the device asks, and shown as
// `assigning` until ReadyAt.
type Registration struct {
	RegistrationID string    `json:"registrationId"`
	GroupID        string    `json:"groupId,omitempty"` // "" for an individual enrollment
	Attestation    string    `json:"attestation"`
	Created        time.Time `json:"created"`
	Updated        time.Time `json:"updated"`
	Status         string    `json:"status"`
	Substatus      string    `json:"substatus,omitempty"`
	AssignedHub    string    `json:"assignedHub,omitempty"`
	DeviceID       string    `json:"deviceId,omitempty"`
	ErrorCode      int       `json:"errorCode,omitempty"`
	ErrorMessage   string    `json:"errorMessage,omitempty"`
	ETag           string    `json:"etag"`
	ReadyAt        time.Time `json:"readyAt"`
	OperationID    string    `json:"operationId"`
	// Waiting is set until the webhook of a custom allocation has answered.
	// Status is not decided before.
	Waiting bool `json:"waiting,omitempty"`
	// Payload is what the webhook returned for the device.
	Payload json.RawMessage `json:"payload,omitempty"`
	// Device is what the last successful registration has left on a hub. A
	// later one that fails does not change it.
	Device *Device `json:"device,omitempty"`
}

// Device is the identity of a device on an IoT hub, as the service makes it.
type Device struct {
	Hub string `json:"hub"`
	ID  string `json:"id"`
	// Certificate is the SHA-256 thumbprint of the certificate that the hub
	// accepts (authentication `selfSigned`); "" if the device has a key.
	Certificate string `json:"certificate,omitempty"`
	IotEdge     bool   `json:"iotEdge,omitempty"`
	// Twin is what the twin started with; nil if nothing was asked for.
	Twin *wire.InitialTwin `json:"twin,omitempty"`
}

// LastDevice is Device, also for records that were written without it.
func (r Registration) LastDevice() *Device {
	if r.Device == nil && r.AssignedHub != "" {
		return &Device{Hub: r.AssignedHub, ID: r.DeviceID}
	}
	return r.Device
}

// Assigning reports whether the registration shows as `assigning` at now, which
// is the real time.
func (r Registration) Assigning(now time.Time) bool { return r.Waiting || now.Before(r.ReadyAt) }

// Operation is one request to register, kept for polling.
type Operation struct {
	ID string `json:"id"`
	// Leaf is the thumbprint of the certificate that asked; "" for a key.
	Leaf    string       `json:"leaf,omitempty"`
	Started time.Time    `json:"started"`
	Result  Registration `json:"result"`
	// RequestID names the request that asked, in the log.
	RequestID string `json:"requestId,omitempty"`
	// Basis is the etag of the enrollment that decided.
	Basis string `json:"basis,omitempty"`
	// Question is what the webhook is asked, while Result.Waiting is set.
	Question *Question `json:"question,omitempty"`
}

// Question is what a custom allocation needs to know of a device, beyond what
// is in the records. It is kept so that an emulator can ask again after a
// restart.
type Question struct {
	Payload     json.RawMessage `json:"payload,omitempty"`
	Certificate []byte          `json:"certificate,omitempty"` // DER
}

// Leaf is the certificate; nil if the device has none, or nothing is asked.
func (q *Question) Leaf() (*x509.Certificate, error) {
	if q == nil || len(q.Certificate) == 0 {
		return nil, nil
	}
	cert, err := x509.ParseCertificate(q.Certificate)
	if err != nil {
		return nil, fmt.Errorf("parse certificate of a device: %w", err)
	}
	return cert, nil
}

// State is the service plane's view at time now, which is the real time: the
// pace of an assignment does not follow the emulator's settable clock.
func (r Registration) State(now time.Time) *wire.RegistrationState {
	created, updated := wire.At(r.Created), wire.At(r.Updated)
	s := &wire.RegistrationState{
		RegistrationID:         r.RegistrationID,
		CreatedDateTimeUTC:     &created,
		LastUpdatedDateTimeUTC: &updated,
		Status:                 wire.RegistrationAssigning,
		ETag:                   r.ETag,
	}
	if r.Assigning(now) {
		return s
	}
	s.AssignedHub, s.DeviceID = r.AssignedHub, r.DeviceID
	s.Status, s.Substatus = r.Status, r.Substatus
	s.ErrorCode, s.ErrorMessage = r.ErrorCode, r.ErrorMessage
	s.Payload = r.Payload
	return s
}

// GetRegistration finds a registration record.
func GetRegistration(r store.Reader, id string) (Registration, bool, error) {
	return load[Registration](r, tableRegistrations, Fold(id))
}

// PutRegistration writes reg over old (the zero value when reg is new).
func PutRegistration(tx store.Tx, old, reg Registration) error {
	key := Fold(reg.RegistrationID)
	if old.GroupID != "" {
		tx.Delete(tableIndex, memberKey(old.GroupID, key))
	}
	if reg.GroupID != "" {
		tx.Put(tableIndex, memberKey(reg.GroupID, key), []byte(key))
	}
	return save(tx, tableRegistrations, key, reg)
}

// DeleteRegistration removes reg and its operations.
func DeleteRegistration(tx store.Tx, reg Registration) {
	key := Fold(reg.RegistrationID)
	if reg.GroupID != "" {
		tx.Delete(tableIndex, memberKey(reg.GroupID, key))
	}
	for _, op := range operationKeys(tx, key) {
		tx.Delete(tableOperations, op)
	}
	tx.Delete(tableRegistrations, key)
}

func memberKey(groupID, registrationKey string) string {
	return indexKey(kindMember, Fold(groupID)+"/"+registrationKey)
}

// Registrations reads one page of the records of a group, in the order of
// their folded identifiers.
func Registrations(r store.Reader, groupID, after string, limit int) (recs []Registration, next string, err error) {
	prefix := memberKey(groupID, "")
	var keys []string
	r.Ascend(tableIndex, prefix+after, func(key string, _ []byte) bool {
		key, ok := strings.CutPrefix(key, prefix)
		if ok && (after == "" || key != after) {
			keys = append(keys, key)
		}
		return ok && len(keys) <= limit
	})
	if len(keys) > limit {
		keys = keys[:limit]
		next = keys[limit-1]
	}
	for _, key := range keys {
		rec, ok, err := load[Registration](r, tableRegistrations, key)
		if err != nil {
			return nil, "", err
		}
		if ok {
			recs = append(recs, rec)
		}
	}
	return recs, next, nil
}

// Bounds on the operations kept per registration.
const (
	maxOperations      = 256
	operationRetention = time.Hour
)

func operationKey(registrationKey, id string) string { return registrationKey + "/" + Fold(id) }

func operationKeys(r store.Reader, registrationKey string) []string {
	prefix := operationKey(registrationKey, "")
	var keys []string
	r.Ascend(tableOperations, prefix, func(key string, _ []byte) bool {
		if !strings.HasPrefix(key, prefix) {
			return false
		}
		keys = append(keys, key)
		return true
	})
	return keys
}

// GetOperation finds an operation of one registration.
func GetOperation(r store.Reader, registrationID, id string) (Operation, bool, error) {
	return load[Operation](r, tableOperations, operationKey(Fold(registrationID), id))
}

// PutOperation writes op and forgets operations of the same registration that
// are older than an hour or too many. Their identifiers sort by time.
func PutOperation(tx store.Tx, op Operation) error {
	key := Fold(op.Result.RegistrationID)
	keys := operationKeys(tx, key)
	oldest := operationKey(key, operationID(key, op.Started.Add(-operationRetention), [10]byte{}))
	for i, k := range keys {
		if k < oldest || len(keys)-i >= maxOperations {
			tx.Delete(tableOperations, k)
		}
	}
	return save(tx, tableOperations, operationKey(key, op.ID), op)
}

// NewOperationID returns an identifier in the service's form: `4.`, sixteen
// hex digits that belong to the device, and a UUID; the UUID is one of version
// 7, so identifiers of one device sort by time.
func NewOperationID(registrationID string, now time.Time) string {
	var random [10]byte
	_, _ = rand.Read(random[:]) // never fails
	return operationID(Fold(registrationID), now, random)
}

func operationID(registrationKey string, now time.Time, random [10]byte) string {
	device := sha256.Sum256([]byte(registrationKey))
	var u [16]byte
	binary.BigEndian.PutUint64(u[:8], uint64(now.UnixMilli())<<16)
	copy(u[6:], random[:])
	u[6] = u[6]&0x0f | 0x70
	u[8] = u[8]&0x3f | 0x80
	return fmt.Sprintf("4.%x.%x-%x-%x-%x-%x", device[:8], u[0:4], u[4:6], u[6:8], u[8:10], u[10:])
}
