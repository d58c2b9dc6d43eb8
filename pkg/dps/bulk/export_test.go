package bulk

// OnSync has told be told how much of the journal is on the disk, each time that
// it has grown there.
func OnSync(s *State, told func(size int64)) { s.journal.onSync = told }
