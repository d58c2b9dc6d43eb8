package dps

import "slices"

// rules are tried in order; the narrow ones stand before the wide ones.
var rules = slices.Concat(registrationRules, certificateRules, enrollmentRules, requestRules, armRules, statusRules)

// registrationRules explain how a registration ended.
var registrationRules = []rule{
	{registration: "disabled", text: Explanation{
		What: "the enrollment that matches this device is disabled",
		Why:  "the first entry that matches decides: the individual enrollment, then the groups from the device upwards; a disabled one refuses the device even if another would take it",
		Fix:  "look for the entry with `enroll individual show` and `enroll group list`, and enable it with `enroll individual update` or `enroll group update`",
	}},
	{code: 400207, contains: "status code", text: Explanation{
		What: "the custom allocation webhook of the enrollment failed",
		Why:  "the service called the webhook and got the status that the message names",
		Fix:  "check the address and key of the webhook and its log, or choose another allocation policy with `enroll group update`",
	}},
	{code: 400207, contains: "not on a loopback address", text: Explanation{
		What: "the custom allocation webhook of the enrollment was not called",
		Why:  "an emulator calls webhooks of its own machine only, unless it is told otherwise",
		Fix:  "start the emulator with `--allow-remote-webhooks`, or give the enrollment a webhook on 127.0.0.1 with `enroll group update`",
	}},
	{code: 400207, text: Explanation{
		What: "the custom allocation of the enrollment failed",
		Why:  "the webhook could not be called, or its answer is of no use; the message says which",
		Fix:  "check the address of the webhook, its log and its answer, or choose another allocation policy with `enroll group update`",
	}},
	{code: 400208, text: Explanation{
		What: "no IoT hub is available for this device",
		Why:  "no hub is linked to the provisioning service, all have the weight 0, or the enrollment names hubs that are not linked",
		Fix: "see the linked hubs with `enroll service show`, link one with `az iot dps linked-hub create` (an emulator is started with " +
			"`--linked-hub`), or correct the hubs of the entry with `enroll group update`",
	}},
	{registration: "failed", code: 404201, text: enrollmentGone},
	{registration: "failed", code: 404204, text: enrollmentGone},
	{code: 400209, text: Explanation{
		What: "the linked IoT hub refused the provisioning service",
		Why:  "the shared access policy or key with which the hub was linked was changed or removed",
		Fix:  "link the hub again with a current policy: `az iot dps linked-hub delete`, then `az iot dps linked-hub create`",
	}},
	{code: 401001, text: linkedHubGone},
	{contains: "iot hub not found", text: linkedHubGone},
}

var enrollmentGone = Explanation{
	What: "the enrollment was deleted while the device registered",
	Why:  "it was there when the request came, and not any more when a hub was to be chosen",
	Fix:  "enroll the device again with `enroll group create` or `enroll individual create`, then register it again",
}

// unknownStatus explains a registration that ended in a way that no
// documentation names.
var unknownStatus = Explanation{
	What: "the registration ended with a status that this program does not know",
	Why:  "known are assigned, failed and disabled; the service is newer than this program, or it is another server",
	Fix:  "see what the service stored with `enroll registration show`, and check the host",
}

var linkedHubGone = Explanation{
	What: "the IoT hub linked to the provisioning service does not exist any more",
	Why:  "the hub was deleted or renamed after it was linked",
	Fix:  "see the linked hubs with `enroll service show`, remove the link with `az iot dps linked-hub delete` and link an existing hub with `az iot dps linked-hub create`",
}

// certificateRules explain the family of 401002, immediate or asynchronous.
var certificateRules = []rule{
	{code: 401002, contains: "ca certificate not found", text: Explanation{
		What: "the certificate chain of the device does not lead to a CA that the service knows and has verified",
		Why:  "usually the intermediate certificates were not sent; or the CA is not uploaded, not verified, or another one",
		Fix:  "register with the full chain (leaf, then every intermediate), check it with `certgen doctor`, and check that `enroll ca list` shows the CA as verified; `enroll ca prove` verifies it",
	}},
	{code: 401002, contains: "did not match chain", text: Explanation{
		What: "the chain that the device sent does not contain the signing certificate of the enrollment group",
		Why:  "the group holds another CA than the one that signed the device, or the intermediate of the group was not sent",
		Fix:  "compare the group's certificate (`enroll group show`) with the chain (`certgen inspect`); send the full chain, or put the right intermediate into the group with `enroll group update`",
	}},
	{code: 401002, contains: "invalid certificate", text: Explanation{
		What: "the service does not accept the certificate of the device",
		Why:  "the certificate is in no enrollment, expired or not yet valid, marked as a CA, its common name is not the registration id, or the root above it is not verified",
		Fix:  "run `certgen doctor` on the device's files, then check the enrollment with `enroll group show` or `enroll individual show`",
	}},
	{code: 401002, contains: "iothubunauthorizedaccess", text: hubRefused},
	{code: 401002, contains: "unauthorized access", text: hubRefused},
	{contains: "iothubunauthorizedaccess", text: hubRefused},
	{contains: "(connack 4)", text: deviceUnauthorizedMQTT},
	{contains: "(connack 5)", text: deviceUnauthorizedMQTT},
	{status: 401, device: true, text: deviceUnauthorized},
	{code: 401002, text: deviceUnauthorized},
	{code: 401000, text: unauthorized},
}

var hubRefused = Explanation{
	What: "access was refused: by the service for this id scope, or by the IoT hub behind it",
	Why:  "the id scope belongs to another service, the device is not enrolled, or the key with which the hub was linked is out of date",
	Fix:  "check the id scope, then the enrollment with `enroll individual show` or `enroll group list`, then the link to the hub",
}

var deviceUnauthorized = Explanation{
	What: "the service does not accept the credentials of the device",
	Why:  "wrong key, a group key used as a device key, a certificate that is not enrolled, no enrollment for this id, or another id scope",
	Fix: "derive the device key with `enroll group keys`, or check the device's certificate with `certgen doctor`; check the enrollment " +
		"with `enroll individual show` or `enroll group list`",
}

var deviceUnauthorizedMQTT = Explanation{
	What: "the service does not accept the credentials of the device, and MQTT has no room to say why",
	Why:  deviceUnauthorized.Why,
	Fix: deviceUnauthorized.Fix + "; the same registration over `--transport https` is told the reason, and the log of an emulator " +
		"has it",
}

var unauthorized = Explanation{
	What: "the service does not accept the credentials",
	Why:  "the key or policy name of the connection string is wrong or was regenerated, the token has expired, or the device is not enrolled",
	Fix:  "copy the connection string of the policy again; for a device check the id scope and the enrollment with `enroll individual show` or `enroll group list`",
}

// enrollmentRules explain refusals of the service API.
var enrollmentRules = []rule{
	{code: 404201, text: Explanation{
		What: "there is no enrollment or registration with this id",
		Why:  "the id is misspelt, the entry was deleted, or it lives in another provisioning service; devices of a group have no individual enrollment",
		Fix:  "see what exists with `enroll individual list` and `enroll group list`",
	}},
	{code: 404202, text: Explanation{
		What: "there is no registration record for this device",
		Why:  "the device has not registered yet, or its record was deleted",
		Fix:  "register it with `enroll device register`, or see the records with `enroll registration list`",
	}},
	{code: 404204, text: Explanation{
		What: "there is no enrollment group with this id",
		Why:  "the id is misspelt, the group was deleted, or it lives in another provisioning service",
		Fix:  "see what exists with `enroll group list`, or make the group with `enroll group create`",
	}},
	{code: 409201, text: Explanation{
		What: "an enrollment with this registration id exists already",
		Why:  "creating does not replace; ids are compared without regard to case",
		Fix:  "look at it with `enroll individual show`; change it with `enroll individual update`, or delete it first",
	}},
	{code: 409202, text: Explanation{
		What: "an enrollment group with this id exists already",
		Why:  "creating does not replace; ids are compared without regard to case",
		Fix:  "look at it with `enroll group show`; change it with `enroll group update`, or delete it first",
	}},
	{code: 409203, text: Explanation{
		What: "the same device registers twice at the same time",
		Why:  "two requests for one registration id overlap, often from a retry that came too early",
		Fix:  "wait a few seconds and register once more with `enroll device register`",
	}},
	{code: 400004, contains: "registrationid", text: badID},
	{contains: "base64 string value", text: Explanation{
		What: "the service cannot read the certificate in the request",
		Why:  "the file holds a whole chain, a key, or text around the certificate",
		Fix:  "give one certificate alone; `certgen inspect` shows what a file holds",
	}},
	{contains: "allocationpolicy must be specified", text: Explanation{
		What: "the enrollment lists IoT hubs but no allocation policy",
		Why:  "the service takes a list of hubs only together with a policy",
		Fix:  "set the policy too with `enroll group update` or `enroll individual update`; one hub goes with static",
	}},
	{contains: "etag is invalid", text: Explanation{
		What: "the service does not accept the ETag",
		Why:  "it carries extra quotes or was shortened; an ETag is opaque and goes back as it came",
		Fix:  "read the entry again with `enroll group show` or `enroll individual show` and use its etag unchanged",
	}},
	{contains: "used by another enrollment", text: Explanation{
		What: "the certificate is already in another enrollment",
		Why:  "a certificate may be in one enrollment only, so that it is clear which one a device belongs to",
		Fix:  "find the other entry with `enroll group list` or `enroll individual list`, and use that or delete it",
	}},
	{code: 412001, text: staleETag},
}

var staleETag = Explanation{
	What: "the object was changed after it was read, so nothing was written",
	Why:  "another program or the portal wrote meanwhile; for CA certificates each step, also asking for a code, gives a new ETag",
	Fix:  "read it again (`enroll group show`, `enroll individual show`, `enroll ca show`) and repeat the change; `enroll ca prove` handles ETags itself",
}

var badID = Explanation{
	What: "the id cannot be used as a registration id or group id",
	Why:  "allowed are 1 to 128 letters, digits, '-', '.', '_' and ':', the last one a letter, a digit or '-'; with X.509 it is the common name and has at most 64",
	Fix:  "choose another id, and issue the certificate for it with `certgen device`",
}

// requestRules explain requests that do not fit the service.
var requestRules = []rule{
	{contains: "unknown api version", text: apiVersion},
	{errorCode: "noregisteredproviderfound", text: apiVersion},
	{status: 429, text: throttled},
}

var apiVersion = Explanation{
	What: "the service does not know the API version of the request",
	Why:  "the version was withdrawn, is misspelt, or is not offered in this region",
	Fix:  "leave the API version at its default, or name a current one",
}

var throttled = Explanation{
	What: "the service is receiving too many requests and asked to slow down",
	Why:  "a service takes about 1000 operations and 1000 registrations a minute, from all clients together",
	Fix:  "wait a minute and repeat with fewer parallel requests",
}
