package provision

import "github.com/dpskit/dpskit/pkg/dps/emulator/internal/wire"

// Allocate picks a hub for a device of an enrollment without wishes.
func Allocate(s *Service, id string) string { return s.allocate(id, wire.Common{}) }
