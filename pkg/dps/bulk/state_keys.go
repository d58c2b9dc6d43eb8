package bulk

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
)

// WritesKeys records the content of a file of keys that is about to be written,
// as a digest. A later import knows the file by it, see [State.WroteKeys].
func (s *State) WritesKeys(content []byte) error {
	digest := s.keysDigest(content)
	s.mu.Lock()
	s.keys[digest] = true
	s.mu.Unlock()
	if s.dryRun {
		return nil
	}
	return s.append(stateLine{Keys: []string{digest}})
}

// WroteKeys tells whether imports with this state have written a file of keys
// with this content: nobody else has changed it since.
func (s *State) WroteKeys(content []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.keys[s.keysDigest(content)]
}

func (s *State) keysDigest(content []byte) string {
	mac := hmac.New(sha256.New, s.salt)
	mac.Write([]byte("keys\x00"))
	mac.Write(content)
	return hex.EncodeToString(mac.Sum(nil))
}
