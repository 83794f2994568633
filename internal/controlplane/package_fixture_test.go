package controlplane

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"mime/multipart"
	"net/http"
	"os"
	"strings"
	"testing"
)

// entry is one file of a package.
type entry struct {
	name, text string
	mode       fs.FileMode
}

func zipped(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, e := range entries {
		h := &zip.FileHeader{Name: e.name, Method: zip.Deflate}
		h.SetMode(e.mode)
		f, err := w.CreateHeader(h)
		if err == nil {
			_, err = f.Write([]byte(e.text))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func config(name, version, os, arch string) string {
	return fmt.Sprintf(`{"name":%q,"version":%q,"osType":%q,"arch":%q,"runPath":"run","timeout":30,"publisher":"acme","pluginType":"Persist","heartbeatInterval":"20","addSysTag":true}`,
		name, version, os, arch)
}

// pack is a package that hosts would take; text makes its bytes differ.
func pack(t testing.TB, name, version, os, arch, text string) []byte {
	t.Helper()
	return zipped(t, entry{"config.json", config(name, version, os, arch), 0o644}, entry{"run", "#!/bin/sh\n# " + text, 0o755})
}

// multi is a form of these fields.
func multi(t testing.TB, pairs ...string) (contentType, body string) {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for i := 0; i < len(pairs); i += 2 {
		f, err := w.CreateFormFile(pairs[i], "file") // to the server no other than a field
		if err == nil {
			_, err = f.Write([]byte(pairs[i+1]))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return w.FormDataContentType(), b.String()
}

// upload sends a form to the API.
func (f fleet) upload(pairs ...string) (int, string) {
	f.t.Helper()
	kind, body := multi(f.t, pairs...)
	return ask(f.t, http.MethodPost, f.url+"/api/packages", body, header("Content-Type", kind))
}

// add uploads a package, which must succeed.
func (f fleet) add(pairs ...string) Package {
	f.t.Helper()
	code, text := f.upload(pairs...)
	var p Package
	if err := json.Unmarshal([]byte(text), &p); err != nil || code != http.StatusCreated {
		f.t.Fatalf("answered %d %s: %v", code, text, err)
	}
	return p
}

// files lists the folder of the packages without its lock.
func (f fleet) files() []string {
	f.t.Helper()
	return filesBeside(f.t, f.database)
}

func filesBeside(t *testing.T, database string) []string {
	t.Helper()
	entries, err := os.ReadDir(database + "-packages")
	if err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for _, e := range entries {
		if e.Name() != "lock" {
			names = append(names, e.Name())
		}
	}
	return names
}

// holds tells whether rows and files are those of these packages and no others.
func (f fleet) holds(want ...Package) error {
	all, err := f.store.Packages(context.Background(), "")
	if err != nil {
		return err
	}
	files := strings.Join(f.files(), " ")
	if len(all) != len(want) || len(f.files()) != len(want) {
		return fmt.Errorf("packages %+v, files %s; want %d", all, files, len(want))
	}
	for _, p := range want {
		if !strings.Contains(files, p.SHA256) {
			return fmt.Errorf("file %s of %s %s is missing", p.SHA256, p.Name, p.Version)
		}
	}
	return nil
}
