// Package manifest describes a package in a text form that is signed and verified
// with Ed25519.
//
// A signed manifest is text, beside the package as PACKAGE.sig:
//
//	pluginsupervisor package manifest v1
//	name=log-agent
//	version=2.4.1
//	os=linux
//	arch=x64
//	size=1048576
//	sha256=6dcd4ce2…
//	not_after=1893456000
//	sequence=17
//	signature=3f9a1c5b7d2e8a40 <base64>
//
// All above the signatures is the canonical form: exactly the bytes that are
// signed. Its first line makes a signature useless for any other purpose. The
// keys come in this order, each once, and values contain no line breaks, so that
// two manifests never have the same bytes. A text that differs from the result of
// Encode is rejected. not_after is in Unix seconds, 0 means no expiry. Several
// signatures may follow, each after the first 16 hex digits of the SHA-256 of its
// public key; one of a trusted key suffices.
package manifest

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"pluginsupervisor/plugin"
)

// MaxSize is the maximum length of a signed manifest, in bytes.
const MaxSize = 16 << 10

const header = "pluginsupervisor package manifest v1\n"

// Manifest is the signed description of a package.
type Manifest struct {
	Name, Version string
	OS, Arch      string // as in config.json; "" where it names none
	Size          int64  // of the package, in bytes
	SHA256        string // of the package, 64 lower-case hex digits
	NotAfter      int64  // Unix seconds; 0: no expiry
	Sequence      uint64 // grows with each release of the plugin; one below the last accepted is a replay
}

// Encode returns the canonical form. The error names the invalid field.
func (m Manifest) Encode() ([]byte, error) {
	if err := m.checkFields(); err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	var b strings.Builder
	b.WriteString(header)
	for _, f := range m.orderedFields() {
		fmt.Fprintf(&b, "%s=%s\n", f[0], f[1])
	}
	return []byte(b.String()), nil
}

// Expired reports whether now is after NotAfter.
func (m Manifest) Expired(now time.Time) bool {
	return m.NotAfter != 0 && now.Unix() > m.NotAfter
}

// orderedFields returns the fields in canonical order, as key and value.
func (m Manifest) orderedFields() [8][2]string {
	return [...][2]string{
		{"name", m.Name},
		{"version", m.Version},
		{"os", m.OS},
		{"arch", m.Arch},
		{"size", strconv.FormatInt(m.Size, 10)},
		{"sha256", m.SHA256},
		{"not_after", strconv.FormatInt(m.NotAfter, 10)},
		{"sequence", strconv.FormatUint(m.Sequence, 10)},
	}
}

func (m Manifest) checkFields() error {
	if err := plugin.CheckName(m.Name); err != nil {
		return fmt.Errorf("name: %w", err)
	}
	if err := plugin.CheckName(m.Version); err != nil {
		return fmt.Errorf("version: %w", err)
	}
	for _, word := range []string{m.OS, m.Arch} {
		if word == "" {
			continue
		}
		if err := plugin.CheckName(word); err != nil {
			return fmt.Errorf("os or arch: %w", err)
		}
	}
	if sum, err := hex.DecodeString(m.SHA256); err != nil || len(sum) != 32 || strings.ToLower(m.SHA256) != m.SHA256 {
		return fmt.Errorf("sha256 %q is not 64 lower-case hex digits", m.SHA256)
	}
	if m.Size < 0 || m.NotAfter < 0 {
		return fmt.Errorf("size %d or not_after %d is negative", m.Size, m.NotAfter)
	}
	return nil
}

// parseFields parses the lines below the header.
func parseFields(lines []string) (Manifest, error) {
	var m Manifest
	order := m.orderedFields()
	if len(lines) != len(order) {
		return m, fmt.Errorf("%d fields, want %d", len(lines), len(order))
	}
	var v [len(order)]string
	for i, line := range lines {
		key, value, ok := strings.Cut(line, "=")
		if !ok || key != order[i][0] {
			return m, fmt.Errorf("line %q, want %s=", plugin.TruncateText(line, 80), order[i][0])
		}
		v[i] = value
	}
	m = Manifest{Name: v[0], Version: v[1], OS: v[2], Arch: v[3], SHA256: v[5]}
	var err error
	if m.Size, err = strconv.ParseInt(v[4], 10, 64); err != nil {
		return m, fmt.Errorf("size: %w", err)
	}
	if m.NotAfter, err = strconv.ParseInt(v[6], 10, 64); err != nil {
		return m, fmt.Errorf("not_after: %w", err)
	}
	if m.Sequence, err = strconv.ParseUint(v[7], 10, 64); err != nil {
		return m, fmt.Errorf("sequence: %w", err)
	}
	return m, nil
}
