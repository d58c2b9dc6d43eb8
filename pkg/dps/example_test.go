package dps_test

import (
	"errors"
	"fmt"
	"time"

	"github.com/dpskit/dpskit/pkg/dps"
)

func ExampleParseConnectionString() {
	cs, err := dps.ParseConnectionString(
		"HostName=contoso.azure-devices-provisioning.net;SharedAccessKeyName=provisioningserviceowner;SharedAccessKey=c2VjcmV0LXNlY3JldA==")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(cs.HostName)
	fmt.Println(cs)
	// Output:
	// contoso.azure-devices-provisioning.net
	// HostName=contoso.azure-devices-provisioning.net;SharedAccessKeyName=provisioningserviceowner;SharedAccessKey=REDACTED
}

func ExampleParseConnectionString_ioTHub() {
	_, err := dps.ParseConnectionString(
		"HostName=contoso.azure-devices.net;SharedAccessKeyName=iothubowner;SharedAccessKey=c2VjcmV0LXNlY3JldA==")
	fmt.Println(errors.Is(err, dps.ErrIoTHubConnectionString))
	fmt.Println(err)
	// Output:
	// true
	// invalid connection string: part HostName: this names an IoT hub, not a provisioning service
}

func ExampleSASToken() {
	token, err := dps.SASToken("contoso.azure-devices-provisioning.net", "provisioningserviceowner",
		"c2VjcmV0LXNlY3JldA==", time.Unix(1767323045, 0))
	fmt.Println(token, err)
	// Output:
	// SharedAccessSignature sr=contoso.azure-devices-provisioning.net&sig=ByzcO5lwcDKvf9zikeg9flhGmaRdvS8XC57YQEYkpkM%3D&se=1767323045&skn=provisioningserviceowner <nil>
}

func ExampleDeriveDeviceKey() {
	key, err := dps.DeriveDeviceKey(
		"8isrFI1sGsIlvvFSSFRiMfCNzv21fjbE/+ah/lSh3lF8e2YG1Te7w1KpZhJFFXJrqYKi9yegxkqIChbqOS9Egw==",
		"sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6")
	fmt.Println(key, key.Reveal(), err)
	// Output:
	// REDACTED Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc= <nil>
}

func ExampleError() {
	var err error = &dps.Error{Op: `create enrollment group "line-1"`, StatusCode: 409, Code: 409202,
		Message: "EnrollmentGroup already exists."}
	fmt.Println(err)
	fmt.Println(errors.Is(err, dps.ErrConflict))
	// Output:
	// create enrollment group "line-1": 409 Conflict (code 409202): EnrollmentGroup already exists.
	// true
}

func ExampleExplain() {
	err := &dps.Error{Op: `get enrollment group "line-1"`, StatusCode: 404, Code: 404204}
	if x, ok := dps.Explain(err); ok {
		fmt.Println(x.What)
		fmt.Println(x.Fix)
	}
	// Output:
	// there is no enrollment group with this id
	// see what exists with `enroll group list`, or make the group with `enroll group create`
}

func ExampleParseErrorBody() {
	e := dps.ParseErrorBody(412, []byte(`{"code":412001,"httpStatusCode":"PreconditionFailed","message":"Invalid ETag supplied."}`))
	fmt.Println(e.Code, e.Message, errors.Is(e, dps.ErrPrecondition))
	// Output:
	// 412001 Invalid ETag supplied. true
}
