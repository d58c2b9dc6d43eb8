package cliapp

import (
	"fmt"
	"strings"
	"time"

	"golang.org/x/term"
)

// Progress is one line on a terminal that says how far a long command is, how
// fast, and how long it will take:
//
//	devices [=========>           ]  43%  43008/100000  18432/s  3s left
//
// It is drawn on standard error, at most ten times a second, and nothing is
// written where standard error is no terminal. It has colour unless $NO_COLOR
// is set (https://no-color.org). It is for one goroutine.
type Progress struct {
	env          *Env
	label        string
	start, drawn time.Time
	first        int // what was done when the clock began
}

// progressPause is the least time between two drawings.
const progressPause = 100 * time.Millisecond

// NewProgress starts a progress line. It returns nil, whose methods do nothing,
// where there is no terminal to draw it on.
func (e *Env) NewProgress(label string) *Progress {
	if !e.ErrTTY || e.Getenv("TERM") == "dumb" {
		return nil
	}
	return &Progress{env: e, label: label}
}

// Set says that done of total things are done.
func (p *Progress) Set(done, total int) {
	if p == nil || total <= 0 {
		return
	}
	now := p.env.Now()
	if p.start.IsZero() {
		p.start, p.first = now, done
	}
	if !p.drawn.IsZero() && now.Sub(p.drawn) < progressPause {
		return
	}
	p.drawn = now
	fmt.Fprintf(p.env.Err, "\r%s\x1b[K", p.line(done, total, now.Sub(p.start)))
}

// Clear takes the line away, so that what is printed next begins on an empty one.
func (p *Progress) Clear() {
	if p != nil && !p.drawn.IsZero() {
		fmt.Fprint(p.env.Err, "\r\x1b[K")
	}
}

// line is what is drawn, no longer than the terminal is wide.
func (p *Progress) line(done, total int, elapsed time.Duration) string {
	tail := fmt.Sprintf(" %3d%%  %d/%d", done*100/total, done, total)
	if made := done - p.first; made > 0 && elapsed > 0 {
		rate := float64(made) / elapsed.Seconds()
		left := time.Duration(float64(total-done) / rate * float64(time.Second))
		tail += fmt.Sprintf("  %s/s  %s left", shortRate(rate), left.Round(time.Second))
	}
	width := p.width() - 1 // the last column makes some terminals wrap
	room := min(width-len(p.label)-len(tail)-3, 40)
	if room < 5 {
		line := p.label + tail
		return line[:max(0, min(len(line), width))]
	}
	filled := min(room, done*room/total)
	bar := strings.Repeat("=", filled)
	if filled < room {
		bar += ">" + strings.Repeat(" ", room-filled-1)
	}
	if p.env.Getenv("NO_COLOR") == "" {
		bar = "\x1b[32m" + bar + "\x1b[0m"
	}
	return p.label + " [" + bar + "]" + tail
}

func shortRate(rate float64) string {
	if rate < 10 {
		return fmt.Sprintf("%.1f", rate)
	}
	return fmt.Sprintf("%.0f", rate)
}

// width is the number of columns of the terminal, 80 if it does not say.
func (p *Progress) width() int {
	if f, ok := p.env.Err.(interface{ Fd() uintptr }); ok {
		if columns, _, err := term.GetSize(int(f.Fd())); err == nil && columns > 0 {
			return columns
		}
	}
	return 80
}
