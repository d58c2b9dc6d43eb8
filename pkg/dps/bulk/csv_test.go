package bulk_test

import (
	"errors"
	"io"
	"io/fs"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dpskit/dpskit/pkg/dps/bulk"
	"github.com/dpskit/dpskit/pkg/dps/enrollment"
	"github.com/dpskit/dpskit/pkg/dps/service"
	"github.com/dpskit/dpskit/pkg/pki"
	"github.com/dpskit/dpskit/pkg/pki/pkitest"
)

// files is a folder with a few certificates.
func files(t testing.TB) func(string) ([]byte, error) {
	t.Helper()
	dev := pkitest.Device(t, "dev-1")
	content := map[string][]byte{"dev.pem": dev.FullChainPEM(), "ca.pem": pki.EncodeCertificatesPEM(pkitest.Intermediate(t).Certificate()),
		"next.pem": pkitest.Device(t, "dev-1").CertificatePEM(), "text": []byte("hello")}
	return func(name string) ([]byte, error) {
		if data, ok := content[name]; ok {
			return data, nil
		}
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
}

// read returns the rows and all faults.
func read(source bulk.Source) (rows []bulk.Row, faults bulk.Faults, err error) {
	for row, rowErr := range source.Rows() {
		var f bulk.Faults
		switch {
		case rowErr == nil:
			rows = append(rows, row)
		case errors.As(rowErr, &f):
			faults = append(faults, f...)
		default:
			err = rowErr
		}
	}
	return rows, faults, err
}

func TestCSVWithEveryColumn(t *testing.T) {
	const text = "registrationId,attestation,certificate,secondaryCertificate,deviceId,provisioningStatus,edge,allocationPolicy,iotHubs," +
		"webhookUrl,webhookApiVersion,reprovisionPolicy,initialTwinTags,initialTwinProperties,deviceInformation\n" +
		`dev-1,X509,dev.pem,next.pem,d,Disabled,TRUE,custom,a.net b.net,https://f.example,2019-03-31,reset,"{""a"":1}","{""p"":` + "\n" + `{}}","{""s"":""1""}"` + "\n"
	source := csvOf(text)
	source.Files = files(t)
	rows, faults, err := read(source)
	if err != nil || len(faults) > 0 || len(rows) != 1 {
		t.Fatal(rows, faults, err)
	}
	e := rows[0].Enrollment
	if e.Attestation.Type != service.AttestationX509 || e.Attestation.X509.ClientCertificates.Secondary == nil ||
		strings.Count(e.Attestation.X509.ClientCertificates.Primary.Certificate, "BEGIN") != 1 {
		t.Errorf("attestation is %+v", e.Attestation)
	}
	e.Attestation = service.Attestation{}
	want := service.IndividualEnrollment{
		RegistrationID: "dev-1", DeviceID: "d", ProvisioningStatus: service.ProvisioningDisabled,
		Capabilities: &service.DeviceCapabilities{IoTEdge: true}, AllocationPolicy: service.AllocationCustom, IoTHubs: []string{"a.net", "b.net"},
		CustomAllocationDefinition: &service.CustomAllocationDefinition{WebhookURL: "https://f.example", APIVersion: "2019-03-31"},
		ReprovisionPolicy:          &service.ReprovisionPolicy{UpdateHubAssignment: true},
		InitialTwin:                &service.InitialTwin{Tags: []byte(`{"a":1}`), Properties: &service.InitialTwinProperties{Desired: []byte(`{"p":{}}`)}},
		OptionalDeviceInformation:  []byte(`{"s":"1"}`),
	}
	if diff := cmp.Diff(want, e); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestCSVForms(t *testing.T) {
	tests := []struct{ name, in string }{
		{"commas", "registrationId,primaryKey\na,\nb,a2tra2tra2tra2tra2tra2tr\n"},
		{"semicolons", "registrationId;primaryKey;iotHubs\r\na;;\r\nb;a2tra2tra2tra2tra2tra2tr;\r\n"},
		{"tabs", "registrationId\tprimaryKey\na\t\nb\ta2tra2tra2tra2tra2tra2tr"},
		{"byte order mark and CRLF", "\ufeffregistrationId,primaryKey\r\na,\r\nb,a2tra2tra2tra2tra2tra2tr\r\n"},
		{"names of another spelling", "Registration ID , primary_key\na,\nb,a2tra2tra2tra2tra2tra2tr\n"},
		{"an alias and other order", "primary-key,id\n,a\na2tra2tra2tra2tra2tra2tr,b\n"},
		{"empty lines and spaces", "registrationId,primaryKey\n\n a ,\n\n\nb, a2tra2tra2tra2tra2tra2tr \n\n"},
		{"quoted cells", "\"registrationId\",\"primaryKey\"\n\"a\",\"\"\n\"b\",\"a2tra2tra2tra2tra2tra2tr\"\n"},
		{"a quoted separator of another kind", "\"registrationId\";\"primaryKey\";\"tags\"\n\"a\";\"\";\"{\"\"x,y,z\"\":1}\"\n\"b\";a2tra2tra2tra2tra2tra2tr;\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			source := csvOf(tt.in)
			source.Defaults.Attestation = service.SymmetricKeys("", "")
			rows, faults, err := read(source)
			if err != nil || len(faults) > 0 || len(rows) != 2 {
				t.Fatal(rows, faults, err)
			}
			if rows[0].Enrollment.RegistrationID != "a" || rows[1].Enrollment.RegistrationID != "b" ||
				rows[0].Enrollment.Attestation.SymmetricKey != nil || rows[1].Enrollment.Attestation.SymmetricKey == nil {
				t.Errorf("got %+v", rows)
			}
		})
	}
}

func TestCSVFaults(t *testing.T) {
	tests := []struct {
		name, in string
		want     []string // prefixes
		fix      string
	}{
		{name: "nothing", in: "", want: []string{"1:1: the file is empty"}},
		{name: "only a byte order mark", in: "\ufeff", want: []string{"1:1: the file is empty"}},
		{name: "UTF-16", in: "\xff\xfer\x00e\x00", want: []string{"1:1: the file is UTF-16"}, fix: "save it as UTF-8"},
		{name: "no registrationId", in: "deviceId\nx\n", want: []string{"1:1: the header has no column registrationId"}},
		{name: "an unknown column", in: "registrationId,hubz\nx,y\n", want: []string{`1:16: there is no column "hubz"`}, fix: "the columns are registrationId, attestation,"},
		{name: "a column twice", in: "registrationId,id\nx,y\n", want: []string{"1:16: column registrationId is there already, as number 1"}},
		{name: "several in the header", in: "a,b\n", want: []string{`1:1: there is no column "a"`, `1:3: there is no column "b"`, "1:1: the header has no"}},
		{name: "a cell too few", in: "registrationId,attestation\nx\ny,symmetricKey\n", want: []string{"2:1: the row has 1 cells, the header 2"}},
		{name: "a cell too many", in: "registrationId,deviceId\nx,y,z\n", want: []string{"2:5: the row has 3 cells"}},
		{name: "a bare quote", in: "registrationId,deviceId\nx,y\"z\n", want: []string{"2:4: bare quote"}},
		{name: "a quote that stays open", in: "registrationId,deviceId\nx,\"y\n\n", want: []string{"2:1: in this row a quote is not closed"}},
		{name: "a row without end", in: "registrationId,deviceId\nx,\"" + strings.Repeat("yyyyyyyyyyyyyyyy\n", 200_000), want: []string{"2:1: a row is longer than 1048576 bytes"}},
		{name: "a line without end", in: strings.Repeat("x", 3<<20), want: []string{"1:1: a row is longer than"}},
		{name: "not UTF-8", in: "registrationId,deviceId\na,caf\xe9\n", want: []string{"2:3: deviceId: not UTF-8"}},
		{name: "a NUL", in: "registrationId,attestation\na\x00b,symmetricKey\n", want: []string{`2:1: registrationId: "a\x00b": invalid identifier`}},
		{name: "an empty id", in: "registrationId,attestation\n,symmetricKey\n", want: []string{"2:1: registrationId: \"\": invalid"}},
		{name: "forbidden signs in the id", in: "registrationId,attestation\na b,symmetricKey\nc/d,symmetricKey\nä,symmetricKey\n", want: []string{"2:1: registrationId", "3:1: registrationId", "4:1: registrationId"}},
		{name: "no attestation", in: "registrationId,certificate\nx,\n", want: []string{"2:3: attestation: it is missing"}},
		{name: "two kinds", in: "registrationId,certificate,primaryKey\nx,dev.pem,a2tra2tra2tra2tra2tra2tr\n", want: []string{"2:1: attestation: the cells are about x509 and symmetricKey"}},
		{name: "a kind that the cells contradict", in: "registrationId,attestation,primaryKey\nx,tpm,a2tra2tra2tra2tra2tra2tr\n", want: []string{"2:1: attestation: it is tpm, the cells are about symmetricKey"}},
		{name: "an unknown kind", in: "registrationId,attestation\nx,password\n", want: []string{`2:3: attestation: "password": want x509`}},
		{name: "a CA certificate", in: "registrationId,certificate\nx,ca.pem\n", want: []string{"2:3: certificate: it is a CA certificate"}, fix: "give the device's own certificate"},
		{name: "no such file", in: "registrationId,certificate\nx,nowhere.pem\n", want: []string{"2:3: certificate: open nowhere.pem: file does not exist"}},
		{name: "no certificate in the file", in: "registrationId,certificate\nx,text\n", want: []string{"2:3: certificate: "}},
		{name: "a short key", in: "registrationId,primaryKey\nx,c2hvcnQ=\n", want: []string{"2:3: primaryKey: a key has 16 to 64 bytes, this one 5"}},
		{name: "not a truth", in: "registrationId,attestation,edge\nx,symmetricKey,maybe\n", want: []string{`2:16: edge: "maybe": want true or false`}},
		{name: "not a policy", in: "registrationId,attestation,reprovisionPolicy,allocationPolicy\nx,symmetricKey,often,\ny,symmetricKey,,dice\n",
			want: []string{`2:16: reprovisionPolicy: "often"`, `3:17: allocationPolicy: "dice"`}},
		{name: "hubs", in: "registrationId,attestation,allocationPolicy,iotHubs\nx,symmetricKey,static,a.net b.net\ny,symmetricKey,,a.net\n",
			want: []string{"2:23: iotHubs: the policy static needs exactly one hub, here are 2", "3:16: allocationPolicy: it must be given together"}},
		{name: "JSON with a duplicate", in: "registrationId,attestation,tags\nx,symmetricKey,\"{\"\"a\"\":1,\"\"a\"\":2}\"\n", want: []string{`2:16: initialTwinTags: 1:8: member "a" appears twice`}},
		{name: "JSON that is a list", in: "registrationId,attestation,properties\nx,symmetricKey,[]\n", want: []string{"2:16: initialTwinProperties: 1:1: want an object"}},
		{name: "several in one row", in: "registrationId,attestation,edge,tags\nx,symmetricKey,maybe,7\n", want: []string{"2:16: edge", "2:22: initialTwinTags"}},
		{name: "a problem of no column", in: "registrationId\nx\n", want: []string{"2:1: attestation: it is missing"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			source := csvOf(tt.in)
			source.Files = files(t)
			_, faults, err := read(source)
			if err != nil {
				t.Fatal(err)
			}
			if len(faults) != len(tt.want) {
				t.Fatalf("got %q, want %q", faults, tt.want)
			}
			for i, want := range tt.want {
				if !strings.HasPrefix(faults[i].Error(), want) {
					t.Errorf("got  %q\nwant %q", faults[i].Error(), want)
				}
			}
			if !strings.HasPrefix(faults[0].Fix, tt.fix) {
				t.Errorf("fix is %q, want %q", faults[0].Fix, tt.fix)
			}
		})
	}
}

func TestDefaultsGiveWayToTheRow(t *testing.T) {
	source := csvOf("registrationId,primaryKey,iotHubs,tags,endorsementKey\na,,,,\nb,a2tra2tra2tra2tra2tra2tr,b.net,\"{\"\"row\"\":1}\",\nc,,,,AQID\n")
	source.Defaults = service.IndividualEnrollment{
		Attestation: service.SymmetricKeys("", ""), AllocationPolicy: service.AllocationStatic, IoTHubs: []string{"default.net"},
		InitialTwin: &service.InitialTwin{Tags: []byte(`{"default":1}`)}, ProvisioningStatus: service.ProvisioningDisabled,
	}
	rows, faults, err := read(source)
	if err != nil || len(faults) > 0 || len(rows) != 3 {
		t.Fatal(rows, faults, err)
	}
	for i, want := range []string{
		`{"registrationId":"a","attestation":{"type":"symmetricKey"},"initialTwin":{"tags":{"default":1}},"provisioningStatus":"disabled","allocationPolicy":"static","iotHubs":["default.net"]}`,
		`{"registrationId":"b","attestation":{"type":"symmetricKey","symmetricKey":{"primaryKey":"REDACTED"}},"initialTwin":{"tags":{"row":1}},"provisioningStatus":"disabled","allocationPolicy":"static","iotHubs":["b.net"]}`,
		`{"registrationId":"c","attestation":{"type":"tpm","tpm":{"endorsementKey":"AQID"}},"initialTwin":{"tags":{"default":1}},"provisioningStatus":"disabled","allocationPolicy":"static","iotHubs":["default.net"]}`,
	} {
		got, err := rows[i].Enrollment.MarshalJSON()
		if err != nil || string(got) != want {
			t.Errorf("row %d\ngot  %s\nwant %s", i, got, want)
		}
	}
	if len(source.Defaults.IoTHubs) != 1 || string(source.Defaults.InitialTwin.Tags) != `{"default":1}` {
		t.Error("the defaults were changed")
	}
}

func TestJSONLines(t *testing.T) {
	source := jsonOf("\ufeff{\"registrationId\":\"a\",\"attestation\":{\"x509\":{\"clientCertificates\":{\"primary\":{\"certificateFile\":\"dev.pem\"}}}}}\r\n" +
		"\n{\"registrationId\":\"b\"}\n{\"registrationId\":\"c\",\"iotHubs\":[\"c.net\"]}")
	source.Files = files(t)
	source.Defaults = service.IndividualEnrollment{Attestation: service.SymmetricKeys("", ""), AllocationPolicy: service.AllocationHashed}
	rows, faults, err := read(source)
	if err != nil || len(faults) > 0 || len(rows) != 3 {
		t.Fatal(rows, faults, err)
	}
	if rows[2].Line != 4 || rows[0].Enrollment.Attestation.Type != service.AttestationX509 || rows[1].Enrollment.Attestation.Type != service.AttestationSymmetricKey ||
		rows[2].Enrollment.AllocationPolicy != service.AllocationHashed {
		t.Errorf("got %+v", rows)
	}
}

func TestJSONLinesFaults(t *testing.T) {
	ok := `"attestation":{"symmetricKey":{}}`
	tests := []struct {
		name, in string
		want     []string
		fix      string
	}{
		{name: "one list", in: "[\n{}]", want: []string{"1:1: the file is one list"}, fix: "write one enrollment a line"},
		{name: "UTF-16", in: "\xfe\xff\x00{", want: []string{"1:1: the file is UTF-16"}},
		{name: "an object over several lines", in: "{\n\"registrationId\":\"a\"\n}", want: []string{"1:2: ", "2:17: ", "3:1: "}},
		{name: "a duplicate member", in: `{"registrationId":"a","registrationId":"b",` + ok + `}`, want: []string{`1:23: member "registrationId" appears twice`}},
		{name: "an unknown member in line 3", in: "\n\n" + `{"registrationId":"a","hubs":[],` + ok + `}`, want: []string{"3:23: hubs: there is no such member"}},
		{name: "a wrong type", in: `{"registrationId":1,` + ok + `}`, want: []string{"1:19: registrationId: want text"}, fix: "put it in double quotes"},
		{name: "trailing data", in: `{"registrationId":"a",` + ok + `} x`, want: []string{"1:58: text after the end"}},
		{name: "deep nesting", in: `{"registrationId":"a","initialTwin":{"tags":` + strings.Repeat(`{"a":`, 100) + `1` + strings.Repeat("}", 100) + "}}", want: []string{"1:"}},
		{name: "a line without end", in: `{"registrationId":"` + strings.Repeat("a", 2<<20), want: []string{"1:1: a line is longer than 1048576 bytes"}},
		{name: "a CA", in: `{"registrationId":"a","attestation":{"x509":{"clientCertificates":{"primary":{"certificateFile":"ca.pem"}}}}}`, want: []string{"1:97: attestation.x509.clientCertificates.primary: it is a CA"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			source := jsonOf(tt.in)
			source.Files = files(t)
			_, faults, err := read(source)
			if err != nil || len(faults) != len(tt.want) {
				t.Fatalf("got %q and %v, want %q", faults, err, tt.want)
			}
			for i, want := range tt.want {
				if !strings.HasPrefix(faults[i].Error(), want) {
					t.Errorf("got  %q\nwant %q", faults[i].Error(), want)
				}
			}
			if !strings.HasPrefix(faults[0].Fix, tt.fix) {
				t.Errorf("fix is %q", faults[0].Fix)
			}
		})
	}
}

func TestValidate(t *testing.T) {
	c, err := bulk.Validate(t.Context(), csvOf("registrationId,attestation\na,symmetricKey\nb,x\nA,symmetricKey\nc,symmetricKey\na,symmetricKey\n"))
	if err != nil || c.Rows != 5 || c.Faulty != 3 || len(c.Faults) != 3 {
		t.Fatalf("got %+v, %v", c, err)
	}
	if got, want := c.Faults[1].Error(), `4:1: registrationId: "A" is in line 2 already`; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	many := "registrationId\n" + strings.Repeat("!\n", 2000)
	if c, err := bulk.Validate(t.Context(), csvOf(many)); err != nil || c.Faulty != 2000 || len(c.Faults) != 1000 {
		t.Errorf("%d faulty rows, %d faults, %v", c.Faulty, len(c.Faults), err)
	}
	broken := bulk.Source{Format: bulk.CSV, Open: func() (io.ReadCloser, error) { return nil, fs.ErrPermission }}
	if _, err := bulk.Validate(t.Context(), broken); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("got %v", err)
	}
	if _, err := bulk.Validate(t.Context(), bulk.Source{Open: broken.Open, Format: "xml"}); err == nil {
		t.Error("an unknown format was accepted")
	}
	if len(bulk.Columns()) < 15 || len(bulk.AllFormats()) != 2 {
		t.Error("columns or formats are missing")
	}
}

// FuzzCSV wants rows that can be sent or faults with a place, and never a panic.
func FuzzCSV(f *testing.F) {
	for _, seed := range []string{
		"registrationId,attestation\na,symmetricKey\n", "\ufeffid;tags\r\na;\"{\"\"a\"\":1}\"\r\n", "id\n\"", "id\tcert\nx\t-----BEGIN CERTIFICATE-----\n", "id,id\n", "\"\n\"\n",
		"registrationId,primaryKey\nx,c2VjcmV0\n", "id,webhookUrl,allocationPolicy,attestation\nx,https://a?b,custom,tpm\n",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		rows, faults, err := read(csvOf(text))
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range rows {
			if p := enrollment.Check(row.Enrollment); p != nil || row.Line < 2 {
				t.Errorf("line %d was accepted, and yet %v", row.Line, p)
			}
		}
		for _, fault := range faults {
			if fault.Line < 1 || fault.Column < 1 || fault.Text == "" {
				t.Errorf("a fault without a place: %+v", fault)
			}
		}
		if len(rows)+len(faults) == 0 && !strings.Contains(strings.ToLower(text), "id") {
			t.Error("no rows and no fault, and the header cannot be right")
		}
	})
}
