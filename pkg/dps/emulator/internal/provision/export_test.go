package provision

import (
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/state"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/wire"
)

// Allocate picks a hub for a device of an enrollment without wishes.
func Allocate(s *Service, id string) string {
	hub, _, _ := s.allocate(Call{RegistrationID: id, APIVersion: "2021-10-01"}, wire.Common{}, state.Registration{})
	return hub
}
