// Package rest is the HTTP behaviour that the service, ARM and device clients
// share, built on the azcore pipeline:
//
//   - every answer is read whole and bounded before anything looks at it;
//   - redirects are never followed, so credentials stay with their host;
//   - refusals become *dps.Error with the numeric codes that azcore cannot read;
//   - Retry-After is honoured in every form and capped (azcore alone gives up
//     without a word when it exceeds the longest delay);
//   - a request is sent again only if that is safe, see [Call];
//   - each attempt is logged at debug level without headers or bodies.
package rest
