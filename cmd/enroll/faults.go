package main

import (
	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/dps/emulator/fault"
)

// faultHelp is the short form of what package fault documents.
const faultHelp = "A --fault RULE is settings with commas between them. Which requests it hits:\n" +
	"plane=service|device|arm, op=GLOB (put-enrollment, get-group, query-*, register, poll,\n" +
	"generate-code, ...; connect is CONNECT over MQTT, which * does not mean), id=GLOB, nth=N,\n" +
	"after=N, times=N, percent=P, per-id (count for each id). What becomes of them:\n" +
	"status=N[,code=N][,committed], reset, close, drop-ack (do it, lose the answer),\n" +
	"close-after=BYTES, truncate, assigning=N|forever, throttle=N/PERIOD; or only\n" +
	"retry-after=SECONDS|date:SECONDS|Nms|absent|garbage, delay=TIME, slow=TIME. The word\n" +
	"real-throttle stands for the limits of the service. Answers carry x-emulator-fault; the\n" +
	"same --fault-seed gives the same decisions.\n\n" +
	"   enroll emulator --fault op=put-*,percent=30,drop-ack --fault-seed 7\n" +
	"   enroll emulator --fault op=connect,nth=1,per-id,status=503\n" +
	"   enroll emulator --fault real-throttle --fault op=register,nth=1,per-id,status=503,retry-after=2"

// parseFaults reads the rules of --fault.
func parseFaults(texts []string) ([]fault.Rule, error) {
	var all []fault.Rule
	for _, text := range texts {
		rules, err := fault.Parse(text)
		if err != nil {
			return nil, cliapp.WithHint(cliapp.Usagef("--%s: %v", flagFault, err),
				"'enroll emulator --help' tells what a rule can say")
		}
		all = append(all, rules...)
	}
	return all, nil
}
