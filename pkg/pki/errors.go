package pki

import (
	"errors"
	"fmt"
)

// Reasons that callers branch on. They are reached with [errors.Is]; the text of the error around them names the
// object and the fix.
var (
	// ErrPassphraseRequired means that a key is encrypted and no pass phrase was given.
	ErrPassphraseRequired = errors.New("the key is encrypted and needs a pass phrase")
	// ErrWrongPassphrase means that the pass phrase or PKCS#12 password does not open the key. The encryption of
	// PEM keys is not authenticated, so a damaged key gives the same error.
	ErrWrongPassphrase = errors.New("wrong pass phrase")
	// ErrKeyMismatch means that a private key does not belong to the certificate beside it.
	ErrKeyMismatch = errors.New("the private key does not belong to the certificate")
	// ErrNotCA means that a certificate may not sign other certificates: it is no CA, its key usage lacks
	// keyCertSign, or a path length above it forbids another level.
	ErrNotCA = errors.New("the certificate may not sign certificates")
	// ErrPathLen means that a path length leaves no room for one more CA. It is also an [ErrNotCA].
	ErrPathLen = fmt.Errorf("%w", ErrNotCA)
	// ErrPathLenTooLarge means that a new CA is to have a larger path length than those above it leave.
	ErrPathLenTooLarge = errors.New("the path length is too large")
	// ErrExpired means that a certificate ended before the time in question.
	ErrExpired = errors.New("the certificate has expired")
	// ErrNotYetValid means that a certificate begins after the time in question.
	ErrNotYetValid = errors.New("the certificate is not valid yet")
	// ErrInvalidID means that a registration ID, common name or verification code breaks the rules of the service
	// or of X.509.
	ErrInvalidID = errors.New("invalid name")
	// ErrUnsupportedKey means that a key has a type or size that the service or Go does not accept.
	ErrUnsupportedKey = errors.New("unsupported key")
	// ErrPKCS7 means that the input is PKCS#7 (.p7b), as Windows and some CAs hand out chains, which is not read.
	ErrPKCS7 = errors.New("the input is PKCS#7 (.p7b), which is not read")
	// ErrRounds means that opening a file would take an absurd amount of work, or none.
	ErrRounds = errors.New("the key derivation has no sensible number of rounds")
	// ErrIncompleteChain means that the issuer of a certificate is missing.
	ErrIncompleteChain = errors.New("the chain is incomplete")
	// ErrBadSignature means that a certificate names an issuer that did not sign it.
	ErrBadSignature = errors.New("the signature does not match the issuer")
)
