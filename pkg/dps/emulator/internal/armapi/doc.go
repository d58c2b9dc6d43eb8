// Package armapi is the emulator's Azure Resource Manager plane: the CA
// certificates of a provisioning service with their proof of possession, the
// service resource itself and its keys.
//
// Certificates follow the rules of the real plane that clients trip over: the
// etag is in the body only, each success gives a new one, and the next call
// must send that one; the shape of the upload, and whether the certificate is
// returned, depends on the api-version; errors of the provider are flat with a
// number, errors of the front end are enveloped with a text.
package armapi
