//go:build !unix

package clitest

import "os"

// PeakBytes is not known here.
func PeakBytes(*os.ProcessState) int64 { return 0 }
