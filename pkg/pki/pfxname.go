package pki

import (
	"bytes"
	"encoding/asn1"
	"fmt"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// maxFriendlyName is pkcs-9-ub-friendlyName of RFC 2985, in characters.
const maxFriendlyName = 255

var (
	oidFriendlyName = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 20}
	oidLocalKeyID   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 21}
)

// pfxAttribute is PKCS12Attribute of RFC 7292 section 4.2: a name, and a SET with its value.
type pfxAttribute struct {
	ID     asn1.ObjectIdentifier
	Values asn1.RawValue `asn1:"set"`
}

// checkFriendlyName refuses what a BMPString cannot hold, and what would fool who reads it in a list.
func checkFriendlyName(name string) error {
	switch n := utf8.RuneCountInString(name); {
	case !utf8.ValidString(name):
		return fmt.Errorf("check friendly name %q: %w: it is not valid UTF-8", clip(name), ErrInvalidID)
	case n > maxFriendlyName:
		return fmt.Errorf("check friendly name %q: %w: it has %d characters, PKCS#12 allows %d", clip(name), ErrInvalidID, n,
			maxFriendlyName)
	}
	for _, r := range name {
		switch {
		case r > 0xffff:
			return fmt.Errorf("check friendly name %q: %w: PKCS#12 cannot hold character %+q", clip(name), ErrInvalidID, r)
		case !unicode.IsPrint(r) && !unicode.Is(unicode.Zs, r):
			return fmt.Errorf("check friendly name %q: %w: character %+q is not printable", clip(name), ErrInvalidID, r)
		}
	}
	return nil
}

// friendlyName is what the entry of the bundle is called: what opts say, or the common name of the certificate. A
// certificate from elsewhere may have one that does not fit; then the entry has no name.
func (b *Bundle) friendlyName(opts PFXOptions) string {
	if opts.FriendlyName != "" {
		return opts.FriendlyName
	}
	if cn := b.Certificate.Subject.CommonName; checkFriendlyName(cn) == nil {
		return cn
	}
	return ""
}

// namePFX adds a friendly name to the key and to its certificate in a file that go-pkcs12 made, which writes none
// beside a key (https://github.com/SSLMate/go-pkcs12/issues/34). Java takes the alias of the entry from the key, and
// Windows shows the name of the certificate.
//
// The certificates are encrypted anew with the key and vector that are there already. That is safe because the first
// text is overwritten before anybody sees it, and it saves half of the work.
func namePFX(data []byte, name, password string) ([]byte, error) {
	var file pfxFile
	var safe []byte
	var parts []pfxContent
	if err := unmarshalAll(data, &file); err != nil {
		return nil, err
	}
	if err := unmarshalAll(file.AuthSafe.Content.Bytes, &safe); err != nil {
		return nil, err
	}
	if err := unmarshalAll(safe, &parts); err != nil {
		return nil, err
	}
	attribute, err := friendlyNameAttribute(name)
	if err != nil {
		return nil, err
	}
	for i := range parts {
		if err := parts[i].addAttribute(attribute, password); err != nil {
			return nil, err
		}
	}
	if safe, err = asn1.Marshal(parts); err != nil {
		return nil, err
	}
	if file.AuthSafe, err = dataContent(safe); err != nil {
		return nil, err
	}
	if file.MAC.Digest.Value, err = file.MAC.sum(safe, password); err != nil {
		return nil, err
	}
	return asn1.Marshal(file)
}

// addAttribute adds an attribute to the key and to its certificate, whichever of them is in the container.
func (c *pfxContent) addAttribute(attribute asn1.RawValue, password string) error {
	if c.Type.Equal(oidData) {
		var plain []byte
		if err := unmarshalAll(c.Content.Bytes, &plain); err != nil {
			return err
		}
		plain, err := addToBags(plain, attribute)
		if err != nil {
			return err
		}
		*c, err = dataContent(plain)
		return err
	}
	var enc pfxEncrypted
	if err := unmarshalAll(c.Content.Bytes, &enc); err != nil {
		return err
	}
	seal, err := newPFXSeal(enc.Info.Algorithm, password)
	if err != nil {
		return err
	}
	plain, err := seal.open(enc.Info.Data)
	if err != nil {
		return err
	}
	if plain, err = addToBags(plain, attribute); err != nil {
		return err
	}
	enc.Info.Data = seal.close(plain)
	der, err := asn1.Marshal(enc)
	c.Content = explicit(der)
	return err
}

// addToBags adds an attribute to every bag that has a local key identifier: those of the key and its certificate.
func addToBags(der []byte, attribute asn1.RawValue) ([]byte, error) {
	var bags []pfxBag
	if err := unmarshalAll(der, &bags); err != nil {
		return nil, err
	}
	for i := range bags {
		if _, ok := bags[i].attribute(oidLocalKeyID); ok {
			bags[i].Attributes = append(bags[i].Attributes, attribute)
		}
	}
	return asn1.Marshal(bags)
}

// attribute returns the value of an attribute in DER.
func (b *pfxBag) attribute(id asn1.ObjectIdentifier) ([]byte, bool) {
	for _, raw := range b.Attributes {
		var a pfxAttribute
		if unmarshalAll(raw.FullBytes, &a) == nil && a.ID.Equal(id) {
			return a.Values.Bytes, true
		}
	}
	return nil, false
}

func friendlyNameAttribute(name string) (asn1.RawValue, error) {
	value, err := asn1.Marshal(asn1.RawValue{Tag: asn1.TagBMPString, Bytes: bmpString(name)})
	if err != nil {
		return asn1.RawValue{}, err
	}
	der, err := asn1.Marshal(pfxAttribute{
		ID: oidFriendlyName, Values: asn1.RawValue{Tag: asn1.TagSet, IsCompound: true, Bytes: value},
	})
	return asn1.RawValue{FullBytes: der}, err
}

// bmpString is the text in UCS-2, as PKCS#12 wants names and passwords. The text has no other characters.
func bmpString(s string) []byte {
	out := make([]byte, 0, 2*len(s)+2)
	for _, unit := range utf16.Encode([]rune(s)) {
		out = append(out, byte(unit>>8), byte(unit))
	}
	return out
}

// PFXFriendlyName returns the friendly name of the key in a PKCS#12 file: the alias of its entry in Java, and what
// Windows lists. It needs no password, because keys lie in the plain part of a file; a name that is only on encrypted
// certificates is not found. Empty means that there is none. Until [DecodePFX] has accepted the file, it may be
// anybody's text; it may hold any character.
func PFXFriendlyName(data []byte) string {
	var file pfxFile
	var safe []byte
	var parts []pfxContent
	if len(data) > maxInput || unmarshalAll(data, &file) != nil ||
		unmarshalAll(file.AuthSafe.Content.Bytes, &safe) != nil || unmarshalAll(safe, &parts) != nil {
		return ""
	}
	for _, part := range parts {
		var plain []byte
		var bags []pfxBag
		if !part.Type.Equal(oidData) || unmarshalAll(part.Content.Bytes, &plain) != nil || unmarshalAll(plain, &bags) != nil {
			continue
		}
		for _, bag := range bags {
			if bag.ID.Equal(oidKeyBag) || bag.ID.Equal(oidShroudedBag) {
				return bag.friendlyName()
			}
		}
	}
	return ""
}

func (b *pfxBag) friendlyName() string {
	der, ok := b.attribute(oidFriendlyName)
	var value asn1.RawValue
	if !ok || unmarshalAll(der, &value) != nil || value.Class != asn1.ClassUniversal || value.Tag != asn1.TagBMPString ||
		len(value.Bytes) > 2*maxFriendlyName+2 {
		return ""
	}
	return string(decodeUTF16(bytes.TrimSuffix(value.Bytes, []byte{0, 0}), 1, 0))
}
