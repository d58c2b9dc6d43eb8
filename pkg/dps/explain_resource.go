package dps

// armRules explain refusals of Azure Resource Manager and its devices provider.
var armRules = []rule{
	{code: 400053, text: Explanation{
		What: "proof of possession failed: the service does not accept the verification certificate",
		Why:  "its common name is not the latest code, it has expired, or it was signed with another CA: often the root instead of the intermediate or the other way round, or a CA of the same name made anew",
		Fix:  "ask for a new code and sign it with the key of exactly the uploaded certificate (`certgen verification`), or let `enroll ca prove` do all steps",
	}},
	{contains: "proof-of-possession failed", text: Explanation{
		What: "proof of possession failed: the service does not accept the verification certificate",
		Why:  "its common name is not the latest code, it has expired, or another key than the CA's signed it",
		Fix:  "ask for a new code and sign that, or let `enroll ca prove` do all steps",
	}},
	{code: 400099, text: Explanation{
		What: "the service found no certificate in the request",
		Why:  "the API version expects another form of the request",
		Fix:  "leave the API version at its default",
	}},
	{code: 400305, text: Explanation{
		What: "the name of the provisioning service is not valid",
		Why:  "allowed are 3 to 50 letters, digits and hyphens; 'global' is reserved",
		Fix:  "check the name; `enroll service list` shows the services of a subscription",
	}},
	{code: 400309, text: Explanation{
		What: "data residency is not offered in this region",
		Why:  "only some regions can keep the data of a provisioning service inside",
		Fix:  "choose another region or leave data residency off",
	}},
	{code: 404001, text: keyNameNotFound},
	{errorCode: "keynamenotfound", text: keyNameNotFound},
	{code: 500019, text: Explanation{
		What: "the service failed on this upload and will fail on it again",
		Why:  "reported for certificate files in an encoding that it does not understand",
		Fix:  "check the file with `certgen inspect`, save it as a single PEM certificate, and upload that",
	}},
	{errorCode: "resourcenotfound", contains: "/iothubs/", text: Explanation{
		What: "there is no IoT hub of this name in the resource group",
		Why:  "the name, the resource group or the subscription is another one; the resource group is that of the hub, not of the provisioning service",
		Fix:  "check the three names; without a resource group the hub is looked for in the whole subscription",
	}},
	{errorCode: "resourcenotfound", text: Explanation{
		What: "there is no provisioning service of this name in the resource group",
		Why:  "the name, the resource group or the subscription is another one; an IoT hub is not a provisioning service",
		Fix:  "check the three names; `enroll service list` shows the services of a subscription",
	}},
	{errorCode: "resourcegroupnotfound", text: Explanation{
		What: "there is no resource group of this name in the subscription",
		Why:  "the name is misspelt or the group is in another subscription",
		Fix:  "check both; `enroll service list` shows the services of a subscription with their groups",
	}},
	{errorCode: "subscriptionnotfound", text: Explanation{
		What: "the subscription does not exist or is not visible to this identity",
		Why:  "the id is misspelt, or the identity belongs to another tenant",
		Fix:  "check the id with `az account list`, and sign in to its tenant with `az login`",
	}},
	{errorCode: "authorizationfailed", text: Explanation{
		What: "this identity may not do that on the provisioning service",
		Why:  "it lacks a role on the resource; a role granted just now takes some minutes",
		Fix:  "grant Contributor on the provisioning service, sign in again, and repeat",
	}},
	{errorCode: "invalidauthenticationtokenaudience", text: Explanation{
		What: "the access token was issued for another service",
		Why:  "the cloud of the token and the endpoint differ, such as a public token for a national cloud",
		Fix:  "sign in to the cloud that the endpoint belongs to: `az cloud set`, then `az login`",
	}},
	{errorCode: "invalidauthenticationtoken", text: signIn},
	{errorCode: "authenticationfailed", text: signIn},
	{errorCode: "expiredauthenticationtoken", text: signIn},
	{errorCode: "missingsubscriptionregistration", text: Explanation{
		What: "the subscription has never used IoT devices services",
		Why:  "the resource provider Microsoft.Devices is not registered in it",
		Fix:  "register it once: `az provider register --namespace Microsoft.Devices`",
	}},
	{errorCode: "scopelocked", text: Explanation{
		What: "a lock on the resource, its group or the subscription forbids the change",
		Why:  "someone protected it against changes or deletion",
		Fix:  "remove the lock, or ask its owner",
	}},
	{errorCode: "subscriptionrequeststhrottled", text: throttled},
	{errorCode: "gatewaytimeout", text: Explanation{
		What: "Azure Resource Manager got no answer from the devices service in time",
		Why:  "the devices service is slow or down in this region; the change may have happened",
		Fix:  "look at the current state with `enroll ca list`, then repeat",
	}},
	{errorCode: "resourceoperationfailure", text: Explanation{
		What: "Azure Resource Manager started the operation and it failed",
		Why:  "the message repeats what the devices service said",
		Fix:  "correct what the message names, then repeat",
	}},
}

// nameTaken explains a conflict that a client of this module found itself.
var nameTaken = Explanation{
	What: "something else is stored under this name",
	Why:  "it was stored earlier or by someone else, and nothing is replaced without being asked",
	Fix:  "look at it with `enroll ca show`, then choose another name or delete it first",
}

var keyNameNotFound = Explanation{
	What: "there is no shared access policy of this name",
	Why:  "the name is misspelt or the policy was deleted",
	Fix:  "look up the policies with `az iot dps policy list`, the default one is provisioningserviceowner; `enroll service show` can print a connection string that works",
}

var signIn = Explanation{
	What: "Azure does not accept the access token",
	Why:  "nobody is signed in, the token has expired, or it belongs to another tenant",
	Fix:  "sign in again, for example with `az login`",
}

// statusRules explain what no other rule did, by HTTP status.
var statusRules = []rule{
	{status: 400, text: Explanation{
		What: "the service cannot use the request",
		Why:  "a value in it is missing or not allowed; the message says which",
		Fix:  "correct that value",
	}},
	{status: 401, text: unauthorized},
	{status: 403, text: Explanation{
		What: "the credentials are valid but not sufficient",
		Why:  "the policy or role does not allow this operation, or a network rule of the service forbids this address",
		Fix:  "use a policy with EnrollmentWrite or the role Device Provisioning Service Data Contributor, and check the service's network settings",
	}},
	{status: 404, text: Explanation{
		What: "the service does not have what was asked for",
		Why:  "the name is misspelt, it was deleted, or it lives in another provisioning service",
		Fix:  "list what exists with `enroll ca list`, `enroll group list`, `enroll individual list` or `enroll registration list`",
	}},
	{status: 405, text: wrongServer},
	{status: 409, text: Explanation{
		What: "the request conflicts with what is stored",
		Why:  "an object of that id exists, or a change of it is still running",
		Fix:  "look at what is stored, then update it or delete it first",
	}},
	{status: 412, text: staleETag},
	{status: 415, text: wrongServer},
	{status: 500, text: serverDown}, {status: 502, text: serverDown},
	{status: 503, text: serverDown}, {status: 504, text: serverDown},
	{registration: "failed", text: Explanation{
		What: "the service accepted the request and then could not assign the device",
		Why:  "no linked hub took it, or the enrollment's settings do not work; the message says more",
		Fix:  "check the hubs and the allocation policy of the enrollment with `enroll group show` or `enroll individual show`",
	}},
}

var serverDown = Explanation{
	What: "the service failed",
	Why:  "it is overloaded or down; a change may nevertheless have happened",
	Fix:  "wait a minute, look at the current state, then repeat; if it stays, give Microsoft the tracking id",
}

var wrongServer = Explanation{
	What: "the server does not offer this operation",
	Why:  "the host is probably not a provisioning service, or a proxy answers in its place",
	Fix:  "check the host name: NAME.azure-devices-provisioning.net, or the address that `enroll emulator` printed",
}
