// Package pkgchecktest makes packages for tests: good ones, and one for each way
// to break a rule of package pkgcheck. Host and control plane run the same
// cases and must use the same words.
package pkgchecktest

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"fmt"
	"io"
	"strings"
	"testing"
)

// Entry is one entry of a zip.
type Entry struct {
	Name  string
	Mode  uint32 // as Unix has it; 0: the archive has none
	Body  string
	Store bool // whether Body is not compressed

	// Header, if not nil, changes the header, which is then written as it is, and
	// Body as if it were compressed already.
	Header func(*zip.FileHeader)
}

// Zip returns a zip of these entries.
func Zip(t testing.TB, entries ...Entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, e := range entries {
		if err := e.write(w); err != nil {
			t.Fatalf("make zip: %v", err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatalf("make zip: %v", err)
	}
	return b.Bytes()
}

func (e Entry) write(w *zip.Writer) error {
	h := &zip.FileHeader{Name: e.Name, Method: zip.Deflate, CreatorVersion: 3 << 8, ExternalAttrs: e.Mode << 16}
	create := w.CreateHeader
	switch {
	case e.Header != nil:
		h.CompressedSize64 = uint64(len(e.Body))
		e.Header(h)
		create = w.CreateRaw
	case e.Store, e.Body == "":
		h.Method = zip.Store
	}
	f, err := create(h)
	if err != nil {
		return err
	}
	_, err = io.WriteString(f, e.Body)
	return err
}

// deflated returns the body, repeated, as zip.Deflate stores it.
func deflated(t testing.TB, body string, times int) string {
	t.Helper()
	var b strings.Builder
	w, err := flate.NewWriter(&b, flate.BestSpeed)
	if err == nil {
		_, err = io.WriteString(w, body)
	}
	if err == nil {
		err = w.Flush()
	}
	if err != nil {
		t.Fatalf("deflate: %v", err)
	}
	const last = "\x01\x00\x00\xff\xff" // the empty block at the end
	return strings.Repeat(b.String(), times) + last
}

// Config returns a config.json with the executable bin/run.
func Config(name, version, osType, arch string) string {
	return fmt.Sprintf(`{"name":%q,"version":%q,"osType":%q,"arch":%q,"runPath":"bin/run"}`, name, version, osType, arch)
}

// Package returns the entries of a package with this config.json, and more.
func Package(config string, more ...Entry) []Entry {
	return append([]Entry{{Name: "config.json", Mode: 0o100644, Body: config}, {Name: "bin/run", Mode: 0o100755, Body: "#!/bin/sh\n"}}, more...)
}

// Agent returns the entries of the good package agent 1.0 for linux and x64, and more.
func Agent(more ...Entry) []Entry { return Package(agentConfig(), more...) }

func agentConfig() string { return Config("agent", "1.0", "linux", "x64") }

// below returns the entries moved into a folder.
func below(folder string, entries []Entry) []Entry {
	for i := range entries {
		entries[i].Name = folder + "/" + entries[i].Name
	}
	return entries
}
