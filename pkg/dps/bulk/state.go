package bulk

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/gofrs/flock"

	"github.com/dpskit/dpskit/pkg/dps/service"
)

// What a caller of OpenState branches on.
var (
	// ErrLocked: another import works with the state.
	ErrLocked = errors.New("another import is running with it")
	// ErrOtherService: the state belongs to an import into another service.
	ErrOtherService = errors.New("it belongs to an import into another service")
	// ErrBroken: the file is not a state, or damaged.
	ErrBroken = errors.New("not a state that can be read")
)

// State is the journal of an import in a file: which rows are done, and which
// were sent without an answer. It holds no secrets. It survives the death of the
// process, and of the machine, at any moment: what it is told of is on the disk
// before the import goes on. It is for one import at a time.
type State struct {
	path    string
	lock    *flock.Flock
	dryRun  bool
	journal *journal // nil: of a dry run, or closed

	mu      sync.Mutex
	header  stateHeader
	salt    []byte
	entries map[string]entry // by folded id
	keys    map[string]bool  // digests of files of keys
}

// entry is what is known about one row.
type entry struct {
	digest  string
	outcome Outcome // "" while the answer is missing
}

type stateHeader struct {
	Version int       `json:"version"`
	Host    string    `json:"host"`
	Started time.Time `json:"started"`
	// Salt keeps the digests of rows with guessable keys from being guessed.
	Salt string `json:"salt"`
}

// stateLine is a line after the header: rows about to be sent, or settled, or a
// file of keys about to be written.
type stateLine struct {
	Sending [][2]string `json:"sending,omitempty"` // id, digest
	Done    [][3]string `json:"done,omitempty"`    // id, digest, outcome
	Keys    []string    `json:"keys,omitempty"`    // digests of files of keys
}

const stateVersion = 1

// StateOptions are the choices of OpenState. Nil and zero fields mean the
// defaults.
type StateOptions struct {
	// Restart forgets what an earlier import has done.
	Restart bool
	// DryRun reads what is there and writes nothing.
	DryRun bool
	// Now is the clock; default time.Now.
	Now func() time.Time
}

// OpenState opens the journal of imports into the service at host, or begins
// one. A journal that another process works with, that belongs to another
// service or that is damaged is refused and not changed. A record that was cut
// off when its writer died is dropped.
func OpenState(path, host string, opts *StateOptions) (*State, error) {
	if opts == nil {
		opts = &StateOptions{}
	}
	s := &State{path: path, dryRun: opts.DryRun, entries: map[string]entry{}, keys: map[string]bool{}}
	if err := s.open(host, opts); err != nil {
		if s.lock != nil {
			_ = s.lock.Unlock()
		}
		return nil, fmt.Errorf("open state %q: %w", path, err)
	}
	return s, nil
}

func (s *State) open(host string, opts *StateOptions) error {
	if !s.dryRun {
		lock := flock.New(s.path+".lock", flock.SetPermissions(0o600))
		switch locked, err := lock.TryLock(); {
		case err != nil:
			return err
		case !locked:
			return ErrLocked
		}
		s.lock = lock
	}
	data, err := os.ReadFile(s.path)
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && opts.Restart:
		return s.begin(host, opts.Now)
	case err != nil:
		return err
	}
	complete, err := s.read(data)
	if err != nil {
		return err
	}
	if s.header.Host != host {
		return fmt.Errorf("%w: %s", ErrOtherService, s.header.Host)
	}
	return s.goOn(complete)
}

// begin starts a new journal.
func (s *State) begin(host string, now func() time.Time) error {
	if now == nil {
		now = time.Now
	}
	s.salt = make([]byte, 32)
	_, _ = rand.Read(s.salt) // never fails
	s.header = stateHeader{Version: stateVersion, Host: host, Started: now().UTC().Truncate(time.Second), Salt: hex.EncodeToString(s.salt)}
	if s.dryRun {
		return nil
	}
	line, err := json.Marshal(s.header)
	if err != nil {
		return err
	}
	file, err := os.OpenFile(s.path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	s.journal = newJournal(file, 0)
	if err := s.journal.append(append(line, '\n')); err != nil {
		return err
	}
	syncFolder(s.path)
	return nil
}

// goOn opens the journal for more records after those that are complete.
func (s *State) goOn(complete int64) error {
	if s.dryRun {
		return nil
	}
	file, err := os.OpenFile(s.path, os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if err := file.Truncate(complete); err != nil {
		_ = file.Close()
		return err
	}
	if _, err := file.Seek(complete, io.SeekStart); err != nil {
		_ = file.Close()
		return err
	}
	s.journal = newJournal(file, complete)
	return nil
}

// read takes in a journal and returns the length of its complete lines.
func (s *State) read(data []byte) (complete int64, err error) {
	end := bytes.LastIndexByte(data, '\n') + 1
	lines := bufio.NewScanner(bytes.NewReader(data[:end]))
	lines.Buffer(nil, maxRow)
	for n := 1; lines.Scan(); n++ {
		if n == 1 {
			err = s.readHeader(lines.Bytes())
		} else {
			err = s.readLine(lines.Bytes())
		}
		if err != nil {
			return 0, fmt.Errorf("%w: line %d: %v", ErrBroken, n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return 0, fmt.Errorf("%w: %v", ErrBroken, err)
	}
	if s.header.Version == 0 {
		return 0, fmt.Errorf("%w: no header", ErrBroken)
	}
	return int64(end), nil
}

func (s *State) readHeader(line []byte) error {
	if err := strictJSON(line, &s.header); err != nil {
		return err
	}
	if s.header.Version != stateVersion {
		return fmt.Errorf("version %d is not %d", s.header.Version, stateVersion)
	}
	salt, err := hex.DecodeString(s.header.Salt)
	if err != nil || len(salt) < 16 {
		return errors.New("no salt")
	}
	s.salt = salt
	return nil
}

func (s *State) readLine(line []byte) error {
	var l stateLine
	if err := strictJSON(line, &l); err != nil {
		return err
	}
	for _, r := range l.Sending {
		s.entries[fold(r[0])] = entry{digest: r[1]}
	}
	for _, digest := range l.Keys {
		s.keys[digest] = true
	}
	for _, r := range l.Done {
		s.entries[fold(r[0])] = entry{digest: r[1], outcome: Outcome(r[2])}
	}
	return nil
}

func strictJSON(data []byte, target any) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(target); err != nil {
		return errors.New("not a record")
	}
	if dec.More() {
		return errors.New("more than a record")
	}
	return nil
}

func fold(id string) string { return strings.ToLower(id) }

// Started returns when the journal was begun.
func (s *State) Started() time.Time { return s.header.Started }

// known returns what the journal says about a row: its outcome if it is done,
// and whether it was sent without an answer. Another content of the row makes
// it a new one, and one that was skipped is done only for who skips.
func (s *State) known(id, digest string, exists Existing) (outcome Outcome, doubt bool) {
	if s == nil {
		return "", false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.entries[fold(id)]
	if !ok || e.digest != digest || e.outcome == Failed || e.outcome == Skipped && exists != Skip {
		return "", false
	}
	return e.outcome, e.outcome == ""
}

// sending records rows before they are sent.
func (s *State) sending(items []*item) error {
	if s == nil || s.dryRun {
		return nil
	}
	var l stateLine
	for _, it := range items {
		l.Sending = append(l.Sending, [2]string{it.id(), it.digest})
	}
	return s.append(l)
}

// settled records rows that are answered for; a failed one will be tried again.
func (s *State) settled(items []*item, results []Result) error {
	if s == nil || s.dryRun {
		return nil
	}
	var l stateLine
	for _, it := range items {
		l.Done = append(l.Done, [3]string{it.id(), it.digest, string(results[it.index].Outcome)})
	}
	if len(l.Done) == 0 {
		return nil
	}
	return s.append(l)
}

func (s *State) append(l stateLine) error {
	data, err := json.Marshal(l)
	if err != nil {
		return err
	}
	s.mu.Lock()
	journal := s.journal
	s.mu.Unlock()
	if journal == nil {
		return fmt.Errorf("write state: %w", fs.ErrClosed)
	}
	return journal.append(append(data, '\n'))
}

// digest identifies the content of a row.
func (s *State) digest(e service.IndividualEnrollment) string {
	if s == nil {
		return ""
	}
	mac := hmac.New(sha256.New, s.salt)
	shown, err := e.MarshalJSON() // with its keys hidden
	if err != nil {
		shown = []byte(err.Error())
	}
	mac.Write(shown)
	if keys := e.Attestation.SymmetricKey; keys != nil {
		mac.Write([]byte("\x00" + keys.PrimaryKey.Reveal() + "\x00" + keys.SecondaryKey.Reveal()))
	}
	return hex.EncodeToString(mac.Sum(nil)[:16])
}

// Close writes everything to the disk and lets another import have the state.
func (s *State) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var err error
	if s.journal != nil {
		err = s.journal.close()
		s.journal = nil
	}
	if s.lock != nil {
		err = errors.Join(err, s.lock.Unlock())
		s.lock = nil
	}
	if err != nil {
		return fmt.Errorf("close state: %w", err)
	}
	return nil
}
