package cliapp

import (
	"log/slog"
	"strings"

	"github.com/urfave/cli/v2"
)

// Names of the logging flags.
const (
	FlagLogLevel  = "log-level"
	FlagLogFormat = "log-format"
)

// LogFlags returns --log-level and --log-format. Nothing is logged unless a
// level is given; logs go to standard error.
func LogFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{
			Name: FlagLogLevel, Category: "Logging", Usage: "log to standard error from `LEVEL` on: debug, info, warn, error",
			Action: func(_ *cli.Context, v string) error {
				_, err := parseLevel(v)
				return err
			},
		},
		&cli.StringFlag{
			Name: FlagLogFormat, Category: "Logging", Usage: "log as `FORMAT`: text, json", Value: "text",
			Action: func(_ *cli.Context, v string) error {
				if v != "text" && v != "json" {
					return Usagef("invalid --%s %q: want text or json", FlagLogFormat, v)
				}
				return nil
			},
		},
	}
}

// Logger returns the logger that the command line asks for; fallback is the
// level when --log-level is not given, nil for silence.
func (e *Env) Logger(c *cli.Context, fallback *slog.Level) *slog.Logger {
	level := fallback
	if v := c.String(FlagLogLevel); v != "" {
		if l, err := parseLevel(v); err == nil {
			level = &l
		}
	}
	if level == nil {
		return slog.New(slog.DiscardHandler)
	}
	opts := &slog.HandlerOptions{Level: *level}
	if c.String(FlagLogFormat) == "json" {
		return slog.New(slog.NewJSONHandler(e.Err, opts))
	}
	return slog.New(slog.NewTextHandler(e.Err, opts))
}

func parseLevel(v string) (slog.Level, error) {
	switch strings.ToLower(v) {
	case "debug":
		return slog.LevelDebug, nil
	case "info":
		return slog.LevelInfo, nil
	case "warn", "warning":
		return slog.LevelWarn, nil
	case "error":
		return slog.LevelError, nil
	}
	return 0, Usagef("invalid --%s %q: want debug, info, warn or error", FlagLogLevel, v)
}
