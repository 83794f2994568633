package manifest

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// Errors of Verify.
var (
	ErrMalformed = errors.New("not a signed manifest")               // the text is not in the form of Sign
	ErrUntrusted = errors.New("no valid signature of a trusted key") // signed by another key, or changed since
)

const (
	signaturePrefix = "signature="
	maxSignatures   = 16
)

// Sign returns the signed manifest, with one signature for each key.
func Sign(m Manifest, keys ...PrivateKey) ([]byte, error) {
	body, err := m.Encode()
	if err != nil {
		return nil, err
	}
	if len(keys) == 0 || len(keys) > maxSignatures {
		return nil, fmt.Errorf("sign manifest: %d keys, want 1 to %d", len(keys), maxSignatures)
	}
	text := bytes.Clone(body)
	for _, k := range keys {
		signature := ed25519.Sign(k.key, body)
		text = fmt.Appendf(text, "%s%s %s\n", signaturePrefix, k.Public().ID(), base64.StdEncoding.EncodeToString(signature))
	}
	return text, nil
}

// Verify parses a signed manifest and returns the trusted key that signed it. The
// error wraps ErrMalformed or ErrUntrusted. The caller checks expiry and
// sequence.
func Verify(text []byte, trusted []PublicKey) (Manifest, PublicKey, error) {
	m, body, signatures, err := splitSigned(text)
	if err != nil {
		return Manifest{}, PublicKey{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	for _, s := range signatures {
		for _, k := range trusted {
			if k.ID() == s.key && ed25519.Verify(k.key, body, s.bytes) {
				return m, k, nil
			}
		}
	}
	return Manifest{}, PublicKey{}, ErrUntrusted
}

type signature struct {
	key   string // the id of the public key
	bytes []byte
}

// splitSigned splits a signed manifest into its parts. It verifies nothing.
func splitSigned(text []byte) (Manifest, []byte, []signature, error) {
	var none Manifest
	if len(text) > MaxSize {
		return none, nil, nil, fmt.Errorf("more than %d bytes", MaxSize)
	}
	rest, ok := strings.CutPrefix(string(text), header)
	if !ok || !strings.HasSuffix(rest, "\n") {
		return none, nil, nil, errors.New("first line or last line break missing")
	}
	lines := strings.Split(strings.TrimSuffix(rest, "\n"), "\n")
	n := 0
	for n < len(lines) && !strings.HasPrefix(lines[n], signaturePrefix) {
		n++
	}
	m, err := parseFields(lines[:n])
	if err != nil {
		return none, nil, nil, err
	}
	body, err := m.Encode()
	if err != nil {
		return none, nil, nil, err
	}
	if !bytes.HasPrefix(text, body) { // ParseInt also accepts "+1" and "01"
		return none, nil, nil, errors.New("not in canonical form")
	}
	if len(lines)-n > maxSignatures {
		return none, nil, nil, fmt.Errorf("more than %d signatures", maxSignatures)
	}
	var signatures []signature
	for _, line := range lines[n:] {
		id, encoded, _ := strings.Cut(strings.TrimPrefix(line, signaturePrefix), " ")
		b, err := base64.StdEncoding.Strict().DecodeString(encoded)
		if err != nil || len(b) != ed25519.SignatureSize {
			return none, nil, nil, fmt.Errorf("signature of key %q is not base64 of %d bytes", id, ed25519.SignatureSize)
		}
		signatures = append(signatures, signature{id, b})
	}
	return m, body, signatures, nil
}
