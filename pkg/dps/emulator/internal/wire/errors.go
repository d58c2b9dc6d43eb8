package wire

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/refuse"
)

// ServiceError is ProvisioningServiceErrorDetails, the error body of the
// service and device planes. Info is documented and optional; what the service
// puts there is not known.
type ServiceError struct {
	ErrorCode    int               `json:"errorCode"`
	TrackingID   string            `json:"trackingId"`
	Message      string            `json:"message"`
	Info         map[string]string `json:"info,omitempty"`
	TimestampUTC Time              `json:"timestampUtc"`
}

// NewServiceError renders r for the service and device planes.
func NewServiceError(r *refuse.Refusal, trackingID string, now time.Time) any {
	return ServiceError{ErrorCode: r.Code, TrackingID: trackingID, Message: r.Message, Info: r.Info(), TimestampUTC: At(now)}
}

// ProviderError is the error body of the devices resource provider.
// HTTPStatusCode is a name, or a number from the newest IoT Hub versions.
type ProviderError struct {
	Code           int    `json:"code"`
	HTTPStatusCode any    `json:"httpStatusCode"`
	Message        string `json:"message"`
}

// FrontEndError is the enveloped error body of Azure Resource Manager itself.
type FrontEndError struct {
	Error FrontEndErrorDetail `json:"error"`
}

// FrontEndErrorDetail is the inside of a FrontEndError.
type FrontEndErrorDetail struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// NewARMError renders r for the Azure Resource Manager plane: enveloped if the
// front end refuses (ErrorCode set), flat if the provider does.
func NewARMError(r *refuse.Refusal, trackingID string, now time.Time) any {
	if r.ErrorCode != "" {
		return FrontEndError{FrontEndErrorDetail{Code: r.ErrorCode, Message: r.Message}}
	}
	var status any = strings.ReplaceAll(http.StatusText(r.Status), " ", "")
	if r.NumericStatus {
		status = r.Status
	}
	return ProviderError{
		Code:           r.Code,
		HTTPStatusCode: status,
		Message: fmt.Sprintf("%s If you contact a support representative please include this correlation identifier: "+
			"%s, timestamp: %s, errorcode: IH%d.", r.Message, trackingID, now.UTC().Format("2006-01-02 15:04:05Z"), r.Code),
	}
}
