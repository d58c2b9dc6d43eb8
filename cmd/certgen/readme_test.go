package main

import (
	"testing"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/cmd/internal/clitest"
)

func TestReadmeCommands(t *testing.T) {
	clitest.CheckReadme(t, "certgen", "../../README.md", newApp(&cliapp.Env{}))
}
