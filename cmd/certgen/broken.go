package main

import (
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/pki"
	"github.com/dpskit/dpskit/pkg/pki/workspace"
)

// brokenFlag asks for a certificate that is wrong on purpose.
func brokenFlag() cli.Flag {
	return &cli.StringFlag{
		Name: flagBroken,
		Usage: "for tests of your own services only: make it wrong in one `WAY`: " + strings.Join(faultNames(), ", ") +
			"; certgen list, inspect and doctor tell it",
	}
}

func faultNames() []string {
	var names []string
	for _, f := range pki.AllFaults() {
		names = append(names, string(f))
	}
	return names
}

// readBroken reads --broken and finds out what does not go with it.
func (opts *deviceOptions) readBroken(c *cli.Context) error {
	if !c.IsSet(flagBroken) {
		return nil
	}
	fault, err := pki.ParseFault(c.String(flagBroken))
	if err != nil {
		return cliapp.Usagef("invalid --%s %q: want %s", flagBroken, c.String(flagBroken), strings.Join(faultNames(), ", "))
	}
	opts.Fault = fault
	dated := c.IsSet(flagNotBefore) || c.IsSet(flagNotAfter)
	switch {
	case c.NArg() == 0: // a fleet has no names on the command line
		return cliapp.Usagef("--%s is for devices that are named one by one", flagBroken)
	case fault.InChain() && opts.SelfSigned:
		return cliapp.Usagef("--%s %s is a fault of the chain, and a self-signed certificate has none", flagBroken, fault)
	case (fault == pki.FaultExpired || fault == pki.FaultNotYetValid) && dated:
		return cliapp.Usagef("--%s %s sets the dates itself; --%s is its lifetime", flagBroken, fault, flagDays)
	}
	if fault == pki.FaultWeakKey && !c.IsSet(flagKeyType) {
		opts.KeyType = "" // the weak key that TLS libraries can still present
	}
	return nil
}

// checkFault refuses a fault of the chain below a root alone, where the chain has
// no link to miss or misplace.
func (opts deviceOptions) checkFault(ws *workspace.Workspace, ca string) error {
	if opts.Fault != pki.FaultReordered && opts.Fault != pki.FaultNoIntermediate || ca == "" {
		return nil
	}
	e, err := ws.Lookup(ca)
	if err != nil || e.Profile != pki.ProfileRoot {
		return err
	}
	return cliapp.WithHint(cliapp.Usagef("--%s %s needs an intermediate CA, and the CA %q is a root", flagBroken, opts.Fault, ca),
		"choose an intermediate by --%s, or make one: 'certgen intermediate'", flagCA)
}

// noteBroken says loudly what was made.
func noteBroken(env *cliapp.Env, opts commonOptions, fault pki.Fault) {
	notef(env, opts, "broken on purpose (%s): use it for nothing but tests of your own services", fault)
}

// noteWeakKey says that a weak key is of no type that --key-type has.
func (opts deviceOptions) noteWeakKey(env *cliapp.Env) {
	if opts.Fault == pki.FaultWeakKey && opts.KeyType != "" {
		notef(env, opts.commonOptions, "a weak key is rsa-1024 or ec-p224: --%s %s chooses between the two", flagKeyType, opts.KeyType)
	}
}
