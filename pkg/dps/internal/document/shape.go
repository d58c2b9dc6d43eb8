package document

import "github.com/dpskit/dpskit/pkg/dps/internal/tree"

// shape says what a value may be.
type shape struct {
	kind tree.Kind
	// free accepts any value of the kind as it is, members and all.
	free bool
	// ignored values are set by the service alone.
	ignored bool
	// members of an object, and the shape of the items of a list.
	members map[string]*shape
	item    *shape
	// file makes the value one that may stand in a file, see source.
	file source
}

// source is how the content of a file becomes the value of a member.
type source int

const (
	noFile      source = iota
	textFile           // the text without white space around it
	certificate        // the first certificate, as PEM
)

var (
	text      = &shape{kind: tree.String}
	textOrAt  = &shape{kind: tree.String, file: textFile}
	boolean   = &shape{kind: tree.Bool}
	object    = &shape{kind: tree.Object, free: true}
	setByThem = &shape{ignored: true}
)

func of(members map[string]*shape) *shape { return &shape{kind: tree.Object, members: members} }

var certificatePair = func() *shape {
	slot := of(map[string]*shape{"certificate": {kind: tree.String, file: certificate}, "info": object})
	return of(map[string]*shape{"primary": slot, "secondary": slot})
}()

var attestationShape = of(map[string]*shape{
	"type": text,
	"tpm":  of(map[string]*shape{"endorsementKey": textOrAt, "storageRootKey": textOrAt}),
	"x509": of(map[string]*shape{
		"clientCertificates": certificatePair, "signingCertificates": certificatePair,
		"caReferences": of(map[string]*shape{"primary": text, "secondary": text}),
	}),
	"symmetricKey": of(map[string]*shape{"primaryKey": textOrAt, "secondaryKey": textOrAt}),
})

// settings are the members that both kinds have.
func settings(own map[string]*shape) *shape {
	members := map[string]*shape{
		"attestation":       attestationShape,
		"capabilities":      of(map[string]*shape{"iotEdge": boolean}),
		"iotHubHostName":    text,
		"initialTwin":       of(map[string]*shape{"tags": object, "properties": of(map[string]*shape{"desired": object})}),
		"reprovisionPolicy": of(map[string]*shape{"updateHubAssignment": boolean, "migrateDeviceData": boolean}),
		"allocationPolicy":  text, "provisioningStatus": text,
		"iotHubs":                    {kind: tree.List, item: text},
		"customAllocationDefinition": of(map[string]*shape{"webhookUrl": textOrAt, "apiVersion": text}),
		"credentialPolicyName":       text, // API versions from 2025-07-01-preview on
		"etag":                       setByThem, "createdDateTimeUtc": setByThem, "lastUpdatedDateTimeUtc": setByThem,
	}
	for name, s := range own {
		members[name] = s
	}
	return of(members)
}

var (
	enrollmentShape = settings(map[string]*shape{
		"registrationId": text, "deviceId": text, "optionalDeviceInformation": object, "registrationState": setByThem,
	})
	groupShape = settings(map[string]*shape{"enrollmentGroupId": text})
)
