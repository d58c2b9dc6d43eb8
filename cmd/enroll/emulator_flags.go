package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/dps/emulator"
)

// Names of the flags that only the emulator has.
const (
	flagWebhookCAFile    = "webhook-ca-file"
	flagWebhookTimeout   = "webhook-timeout"
	flagRemoteWebhooks   = "allow-remote-webhooks"
	flagMaxConnections   = "max-connections"
	flagMaxRegistrations = "max-registrations"
)

// Categories of the flags.
const (
	categoryAllocation = "Allocation"
	categoryLoad       = "Load"
	categoryFaults     = "Faults"
)

// allocationFlags say which hub a device gets, and who else has a say in it.
func allocationFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringSliceFlag{Name: flagLinkedHub, Category: categoryAllocation,
			Usage: "assign devices to the IoT hub `HOST[,weight=N][,latency=DURATION]`; repeatable (default: one); weight is 1 to 1000, 0 takes the hub out; latency is for geoLatency"},
		&cli.StringFlag{Name: flagAllocationPolicy, Category: categoryAllocation, Value: "hashed",
			Usage: "`POLICY` of enrollments that have none: hashed, geoLatency, static"},
		&cli.StringFlag{Name: flagWebhookCAFile, Category: categoryAllocation,
			Usage: "trust the TLS root certificates in `FILE`, too, when the webhook of a custom allocation is called"},
		&cli.DurationFlag{Name: flagWebhookTimeout, Category: categoryAllocation, Value: emulator.DefaultWebhookTimeout,
			Usage: "give a webhook `DURATION` to answer"},
		&cli.BoolFlag{Name: flagRemoteWebhooks, Category: categoryAllocation,
			Usage: "call webhooks that are not on loopback, too: whoever may write enrollments can then make this machine send requests anywhere"},
	}
}

// loadFlags bound what happens at the same time.
func loadFlags() []cli.Flag {
	return []cli.Flag{
		&cli.IntFlag{Name: flagMaxConnections, Category: categoryLoad, Value: emulator.DefaultMaxConnections,
			Usage: "serve `N` HTTPS connections at the same time; others wait"},
		&cli.IntFlag{Name: flagMaxRegistrations, Category: categoryLoad, Value: emulator.DefaultMaxRegistrations,
			Usage: "judge `N` registrations at the same time; others are told to come back (429)"},
	}
}

func faultFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringSliceFlag{Name: flagFault, Category: categoryFaults, Usage: "do wrong on purpose as `RULE` says; repeatable, the first rule that strikes decides"},
		&cli.Uint64Flag{Name: flagFaultSeed, Category: categoryFaults, Usage: "`NUMBER` that decides which requests a rule with percent= strikes"},
	}
}

// parseHubs reads the values of --linked-hub.
func parseHubs(texts []string) (names []string, settings map[string]emulator.HubSettings, err error) {
	settings = map[string]emulator.HubSettings{}
	for _, text := range texts {
		name, rest, more := strings.Cut(text, ",")
		var hub emulator.HubSettings
		for more {
			var setting string
			setting, rest, more = strings.Cut(rest, ",")
			if err := setHub(&hub, setting); err != nil {
				return nil, nil, cliapp.Usagef("--%s %q: %v", flagLinkedHub, text, err)
			}
		}
		names = append(names, name)
		if hub != (emulator.HubSettings{}) {
			settings[name] = hub
		}
	}
	return names, settings, nil
}

func setHub(hub *emulator.HubSettings, setting string) error {
	name, value, _ := strings.Cut(setting, "=")
	switch {
	case name == "weight" && hub.Weight == nil:
		n, err := strconv.Atoi(value)
		if err != nil || n < 0 || n > emulator.MaxHubWeight {
			return fmt.Errorf("weight %q: want 0 to %d", value, emulator.MaxHubWeight)
		}
		hub.Weight = &n
	case name == "latency" && hub.Latency == 0:
		d, err := time.ParseDuration(value)
		if err != nil || d <= 0 {
			return fmt.Errorf("latency %q: want a duration such as 20ms", value)
		}
		hub.Latency = d
	case name == "weight", name == "latency":
		return fmt.Errorf("%s is given twice", name)
	default:
		return fmt.Errorf("unknown setting %q: want weight=N or latency=DURATION", name)
	}
	return nil
}

// flagOfOption names the flag that sets an option of the emulator.
var flagOfOption = map[string]string{
	"Name": flagName, "IDScope": flagIDScope, "Key": flagKeyFile, "HostNames": flagHostname,
	"HTTPSAddrs": flagHTTPSAddr, "MQTTAddrs": flagMQTTAddr, "AdminAddr": flagAdminAddr,
	"Hubs": flagLinkedHub, "HubSettings": flagLinkedHub, "AllocationPolicy": flagAllocationPolicy,
	"WebhookTimeout": flagWebhookTimeout, "MaxConnections": flagMaxConnections, "MaxRegistrations": flagMaxRegistrations,
}

// startError makes what emulator.Start says into what a user of the command
// line can do about it.
func startError(err error) error {
	var option *emulator.OptionError
	if errors.As(err, &option) {
		flag := "--" + flagOfOption[option.Option]
		if option.Value != "" {
			flag += fmt.Sprintf(" %q", option.Value)
		}
		return cliapp.Usagef("%s: %w", flag, option.Err)
	}
	const another = "or give another folder in --" + flagData + ", or --" + flagMemory
	switch {
	case errors.Is(err, emulator.ErrDataInUse):
		return cliapp.WithHint(err, "stop that emulator, "+another)
	case errors.Is(err, emulator.ErrDataDamaged):
		return cliapp.WithHint(err, "move the folder aside and start with a new one, restore it from a copy, "+another+"; nothing in it was changed")
	case errors.Is(err, emulator.ErrDataForeign):
		return cliapp.WithHint(err, "give a new or empty folder in --"+flagData+"; nothing in this one was changed")
	case errors.Is(err, emulator.ErrDataNewer):
		return cliapp.WithHint(err, "use the version that made it, "+another+"; nothing in it was changed")
	}
	return err
}
