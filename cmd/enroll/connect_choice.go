package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/dps"
)

// chooseHost decides which DPS is meant. Two flags that name one each exclude
// each other; a flag wins over the environment, and says so where they differ.
func (ep *endpoint) chooseHost(env *cliapp.Env) error {
	text, ambient, err := ep.opts.connectionString(env)
	if err != nil {
		return err
	}
	switch {
	case ep.opts.Host != "":
		if err := dps.CheckServiceHost(ep.opts.Host); err != nil {
			return cliapp.WithCode(fmt.Errorf("invalid --%s %q: %w", flagHost, ep.opts.Host, err), cliapp.ExitUsage)
		}
		ep.host = ep.opts.Host
		ep.emulator = dps.IsLoopbackHost(ep.host)
		noteOtherHost(env, "--"+flagHost, ep.host, ambient)
	case text != "":
		cs, err := dps.ParseConnectionString(text)
		if err != nil {
			return connectionStringError(err)
		}
		if strings.EqualFold(cs.SharedAccessKeyName, "iothubowner") {
			env.Notef("warning: iothubowner is a policy of IoT hubs; that of a provisioning service is provisioningserviceowner, with a key of its own")
		}
		ep.connection, ep.host = &cs, cs.HostName
		ep.emulator = cs.DevelopmentEmulator || dps.IsLoopbackHost(cs.HostName)
		if text != ambient {
			noteOtherHost(env, "the connection string", ep.host, ambient)
		}
	case !ep.opts.armGiven() && !ep.opts.SubscriptionOnly:
		return cliapp.WithHint(cliapp.Usagef("no DPS given: set %s, or give --%s or --%s", envConnectionString, flagConnectionStringFile, flagHost),
			"without an Azure account, run 'enroll emulator' in another terminal and use the connection string that it prints")
	}
	return nil
}

// connectionStringError says what to do with something that was taken for a
// connection string.
func connectionStringError(err error) error {
	err = cliapp.WithCode(err, cliapp.ExitUsage)
	if errors.Is(err, dps.ErrIDScope) {
		return cliapp.WithHint(err, "devices take it, as 'enroll device register --%s'; here it is the connection string from \"Shared access policies\" of the Device Provisioning Service", flagIDScope)
	}
	return err
}

// connectionString returns the connection string that counts, and that of the
// environment. The flag's value is the environment's where it was not given.
func (o connectOptions) connectionString(env *cliapp.Env) (text, ambient string, err error) {
	text, ambient = o.ConnectionString.Reveal(), env.Getenv(envConnectionString)
	given := []string{}
	if text != "" && text != ambient {
		given = append(given, "--"+flagConnectionString)
	}
	if o.ConnectionStringFile != "" {
		given = append(given, "--"+flagConnectionStringFile)
	}
	if o.Host != "" {
		given = append(given, "--"+flagHost)
	}
	if len(given) > 1 {
		return "", "", cliapp.Usagef("%s exclude each other: give one", strings.Join(given, " and "))
	}
	if o.ConnectionStringFile == "" {
		return text, ambient, nil
	}
	secret, err := env.Secret(cliapp.SecretSource{File: o.ConnectionStringFile})
	if err != nil {
		return "", "", fmt.Errorf("read connection string: %w", err)
	}
	return string(secret), ambient, nil
}

// noteOtherHost says that a flag goes elsewhere than the environment would.
func noteOtherHost(env *cliapp.Env, what, host, ambient string) {
	cs, err := dps.ParseConnectionString(ambient)
	if err == nil && !strings.EqualFold(cs.HostName, host) {
		env.Notef("note: %s counts, %s; %s names %s", what, host, envConnectionString, cs.HostName)
	}
}

// sameService refuses to work on two services in one run: one by its name in
// Azure Resource Manager, the other by its host.
func (ep *endpoint) sameService() error {
	name := nameInHost(ep.host)
	if name == "" || ep.opts.Name == "" || strings.EqualFold(name, ep.opts.Name) {
		return nil
	}
	return cliapp.Usagef("two services given: --%s %q and the host %s", flagName, ep.opts.Name, ep.host)
}
