package wire

import "encoding/json"

// CertificateUpload is the body of an upload in either shape: flat up to
// api-version 2021-10-15, nested from 2022-02-05 on.
type CertificateUpload struct {
	Certificate string                  `json:"certificate"`
	IsVerified  *bool                   `json:"isVerified"`
	Properties  *CertificateUploadProps `json:"properties"`
}

// CertificateUploadProps is the nested part of a CertificateUpload.
type CertificateUploadProps struct {
	Certificate string `json:"certificate"`
	IsVerified  *bool  `json:"isVerified"`
}

// VerificationRequest is VerificationCodeRequest, flat in every api-version.
type VerificationRequest struct {
	Certificate string `json:"certificate"`
}

// CertificateResource is CertificateResponse and VerificationCodeResponse.
type CertificateResource struct {
	Properties CertificateProperties `json:"properties"`
	ID         string                `json:"id"`
	Name       string                `json:"name"`
	Type       string                `json:"type"`
	ETag       string                `json:"etag"`
}

// CertificateProperties describes an uploaded CA certificate. Certificate is
// raw because its presence depends on the api-version: nil leaves the member
// out, `null` sends it empty.
type CertificateProperties struct {
	VerificationCode string          `json:"verificationCode,omitempty"`
	Subject          string          `json:"subject"`
	Expiry           HTTPDate        `json:"expiry"`
	Thumbprint       string          `json:"thumbprint"`
	IsVerified       bool            `json:"isVerified"`
	Created          HTTPDate        `json:"created"`
	Updated          HTTPDate        `json:"updated"`
	Certificate      json.RawMessage `json:"certificate,omitempty"`
}

// List is the envelope of every list of the plane.
type List[T any] struct {
	Value []T `json:"value"`
}

// ServiceResource is ProvisioningServiceDescription.
type ServiceResource struct {
	ETag           string            `json:"etag"`
	Name           string            `json:"name"`
	Location       string            `json:"location"`
	Properties     ServiceProperties `json:"properties"`
	ResourceGroup  string            `json:"resourcegroup"`
	Type           string            `json:"type"`
	ID             string            `json:"id"`
	SubscriptionID string            `json:"subscriptionid"`
	Tags           map[string]string `json:"tags"`
	SKU            SKU               `json:"sku"`
}

// ServiceProperties is IotDpsPropertiesDescription.
type ServiceProperties struct {
	State                      string      `json:"state"`
	ProvisioningState          string      `json:"provisioningState"`
	IotHubs                    []LinkedHub `json:"iotHubs"`
	AllocationPolicy           string      `json:"allocationPolicy"`
	ServiceOperationsHostName  string      `json:"serviceOperationsHostName"`
	DeviceProvisioningHostName string      `json:"deviceProvisioningHostName"`
	IDScope                    string      `json:"idScope"`
}

// LinkedHub is IotHubDefinitionDescription. The key is always masked.
type LinkedHub struct {
	Name                  string `json:"name"`
	ConnectionString      string `json:"connectionString"`
	Location              string `json:"location"`
	ApplyAllocationPolicy *bool  `json:"applyAllocationPolicy,omitempty"`
	AllocationWeight      int    `json:"allocationWeight,omitempty"`
}

// HubResource is IotHubDescription, as far as certificates need it.
type HubResource struct {
	ID             string            `json:"id"`
	Name           string            `json:"name"`
	Type           string            `json:"type"`
	Location       string            `json:"location"`
	Tags           map[string]string `json:"tags"`
	SubscriptionID string            `json:"subscriptionid"`
	ResourceGroup  string            `json:"resourcegroup"`
	ETag           string            `json:"etag"`
	Properties     HubProperties     `json:"properties"`
	SKU            SKU               `json:"sku"`
}

// HubProperties is IotHubProperties.
type HubProperties struct {
	State             string `json:"state"`
	ProvisioningState string `json:"provisioningState"`
	HostName          string `json:"hostName"`
}

// SKU is IotDpsSkuInfo, and IotHubSkuInfo.
type SKU struct {
	Name     string `json:"name"`
	Tier     string `json:"tier"`
	Capacity int    `json:"capacity"`
}

// AccessKey is SharedAccessSignatureAuthorizationRule.
type AccessKey struct {
	KeyName      string `json:"keyName"`
	PrimaryKey   string `json:"primaryKey"`
	SecondaryKey string `json:"secondaryKey"`
	Rights       string `json:"rights"`
}
