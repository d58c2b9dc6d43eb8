package oneline_test

import (
	"testing"

	"github.com/dpskit/dpskit/pkg/dps/internal/oneline"
)

func TestCell(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "dev-1": "dev-1", "a=b": "a=b", " text": " text",
		"=1+1": "'=1+1", "+1": "'+1", "-dev": "'-dev", "@x": "'@x", "\tx": "'\tx", " =1": "' =1", "\u00a0=1": "'\u00a0=1", "＝1": "'＝1",
	} {
		if got := oneline.Cell(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}
