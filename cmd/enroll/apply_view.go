package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/dps/desired"
	"github.com/dpskit/dpskit/pkg/dps/enrollment"
)

// planView is a plan, or what became of it, as JSON prints it.
type planView struct {
	Host      string       `json:"host"`
	Applied   bool         `json:"applied"`
	Changes   []changeView `json:"changes"`
	Unchanged int          `json:"unchanged"`
}

// changeView is one change. Status is empty in a plan.
type changeView struct {
	Action      desired.Action          `json:"action"`
	Kind        desired.Kind            `json:"kind"`
	ID          string                  `json:"id"`
	Differences []enrollment.Difference `json:"differences"`
	Status      desired.Status          `json:"status,omitempty"`
	Error       string                  `json:"error,omitempty"`
}

func viewChange(c desired.Change) changeView {
	v := changeView{Action: c.Action, Kind: c.Kind, ID: c.ID, Differences: c.Differences}
	if v.Differences == nil {
		v.Differences = []enrollment.Difference{}
	}
	return v
}

// pruneError says what to do about a plan that would delete too much.
func pruneError(err error) error {
	var used *desired.InUseError
	switch {
	case errors.Is(err, desired.ErrNoValue):
		return cliapp.WithHint(cliapp.WithCode(fmt.Errorf("--%s: %w", flagPrune, err), cliapp.ExitUsage),
			"write 'SECTION: []' if everything of that kind is to be deleted; else list what stays, or take the section out of the file")
	case errors.As(err, &used):
		return cliapp.WithHint(cliapp.WithCode(err, cliapp.ExitConflict),
			"list %q in the section certificates to keep it; or give the groups another attestation, or delete them, first", used.Name)
	}
	return err
}

// signs mark the actions in the text.
var signs = map[desired.Action]string{desired.Create: "+", desired.Update: "~", desired.Verify: "~", desired.Replace: "!", desired.Delete: "-"}

// printPlan prints a plan. nothing is the sentence for one without changes.
func printPlan(env *cliapp.Env, format cliapp.Format, v planView, nothing string) error {
	if v.Changes == nil {
		v.Changes = []changeView{}
	}
	rows := make([][]string, len(v.Changes))
	for i, c := range v.Changes {
		rows[i] = []string{string(c.Action), string(c.Kind), c.ID, string(c.Status), c.Error}
	}
	return env.Print(format, cliapp.View{Value: v, Rows: rows, Text: v.text(nothing)})
}

func (v planView) text(nothing string) string {
	if nothing != "" {
		return nothing + "\n"
	}
	var b strings.Builder
	line := func(format string, args ...any) {
		b.WriteString(cliapp.Printable(fmt.Sprintf(format, args...)) + "\n")
	}
	line("DPS %s: %s, %d unchanged", v.Host, v.counts(), v.Unchanged)
	for _, c := range v.Changes {
		b.WriteString("\n")
		line("%s %s %s %q", signs[c.Action], c.Action, c.Kind, c.ID)
		for _, d := range c.Differences {
			if c.Action == desired.Create {
				line("    %s: %s", d.Member, d.After)
			} else {
				line("    %s", changeText(d))
			}
		}
	}
	b.WriteString("\n")
	return b.String()
}

// counts says how many changes of each action there are.
func (v planView) counts() string {
	count := map[desired.Action]int{}
	for _, c := range v.Changes {
		count[c.Action]++
	}
	var parts []string
	for _, action := range []desired.Action{desired.Create, desired.Update, desired.Verify, desired.Replace, desired.Delete} {
		if n := count[action]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d to %s", n, action))
		}
	}
	return strings.Join(parts, ", ")
}
