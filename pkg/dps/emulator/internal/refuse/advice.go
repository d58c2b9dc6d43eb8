package refuse

import "cmp"

// advice is what a rule expects and what to do about it, where the refusal
// itself does not say it better: every record explains itself.
var advice = map[Rule]struct{ expected, fix string }{
	"route":      {"a path of the service, device or resource manager plane", "check the path, and the id scope in it"},
	"path":       {"a path without empty, dot or hidden-slash segments", "escape each identifier once"},
	"method":     {"a method that the path has", "use one of those in the Allow header"},
	"media-type": {"JSON in UTF-8", "correct the Content-Type header, or leave it out"},
	"body-size":  {"a smaller body", "send less: the service has such a limit, too"},
	"body-json":  {"one JSON value in UTF-8, in the form that the API describes", "correct what the answer names"},

	"body-content":        {"a body as the API describes it", "correct what the answer names"},
	"api-version":         {"one of the api-versions that the plane serves, once", "correct the parameter api-version"},
	"identifier":          {"an identifier that the service takes, the same in path and body", "use another identifier"},
	"registration-id":     {"a registration id that the service takes", "use another registration id"},
	"not-found":           {"an object that exists", "create it first, or check its identifier"},
	"already-exists":      {"an identifier that is free, or If-Match to change what is there", "choose another identifier, or read, change and write"},
	"query":               {"SELECT * with or without FROM, a page size, and a continuation token of the same query", "correct what the answer names"},
	"etag":                {"an etag as it was read", "read the object again and send its etag unchanged"},
	"group-quota":         {"no more groups than the service allows", "delete one that is not needed"},
	"certificate-content": {"an X.509 certificate", "send the certificate, in a form that the API describes"},
	"ca-reference":        {"the name of a verified CA certificate of this service", "upload the CA certificate and prove possession of its key"},

	"certificate-not-found": {"a certificate that was uploaded", "upload it first, or look for its name in the list"},
	"certificate-name":      {"1 to 64 letters, digits, '-', '.' and '_'", "use another name"},
	"certificate-quota":     {"no more certificates than the service allows", "delete one that is not needed"},
	"subscription":          {"the subscription of this emulator", "use the one of the ready document"},
	"resource-group":        {"the resource group of this emulator", "use the one of the ready document"},
	"service-name":          {"the name of this emulator", "use the one of the ready document"},
	"hub-name":              {"a linked hub of this emulator", "list the hubs, or link it when the emulator starts"},
	"key-name":              {"the one shared access policy, provisioningserviceowner", "use its name"},

	"operation-not-found":    {"an operation of this device", "register again and poll with the operationId of the answer"},
	"registration-not-found": {"a device that has registered", "register first"},
	"concurrent-change":      {"an enrollment that does not change all the time", "register again"},

	"mqtt-protocol":     {"MQTT 3.1.1 on the topics of the service", "correct what the answer names; nothing but the connection was closed"},
	"mqtt-client-id":    {"the registration id", "set the client identifier to the registration id"},
	"mqtt-operation-id": {"an operationId", "poll with the operationId of the answer to the registration"},

	"store":    {"a store that can be written", "see the log of the emulator, and restart it"},
	"internal": {"no mistake of the emulator", "report the record \"request failed\" of this request"},
}

// explanation returns what was expected and what to do.
func (r *Refusal) explanation() (expected, fix string) {
	general := advice[r.Rule]
	return cmp.Or(r.Expected, general.expected), cmp.Or(r.Fix, general.fix)
}
