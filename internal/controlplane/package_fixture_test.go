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

func zipEntries(t testing.TB, entries ...entry) []byte {
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

func packageConfig(name, version, os, arch string) string {
	return fmt.Sprintf(`{"name":%q,"version":%q,"osType":%q,"arch":%q,"runPath":"run","timeout":30,"publisher":"acme","pluginType":"Persist","heartbeatInterval":"20","addSysTag":true}`,
		name, version, os, arch)
}

// packPlugin returns a package that hosts accept; text makes its bytes unique.
func packPlugin(t testing.TB, name, version, os, arch, text string) []byte {
	t.Helper()
	return zipEntries(t, entry{"config.json", packageConfig(name, version, os, arch), 0o644}, entry{"run", "#!/bin/sh\n# " + text, 0o755})
}

// multipartBody returns a form of these fields.
func multipartBody(t testing.TB, pairs ...string) (contentType, body string) {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for i := 0; i < len(pairs); i += 2 {
		f, err := w.CreateFormFile(pairs[i], "file") // the server treats a file like a field
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

// uploadPackage sends a form to the API.
func (f fleet) uploadPackage(pairs ...string) (int, string) {
	f.t.Helper()
	kind, body := multipartBody(f.t, pairs...)
	return sendRequest(f.t, http.MethodPost, f.url+"/api/packages", body, setHeader("Content-Type", kind))
}

// addPackage uploads a package, which must succeed.
func (f fleet) addPackage(pairs ...string) Package {
	f.t.Helper()
	code, text := f.uploadPackage(pairs...)
	var p Package
	if err := json.Unmarshal([]byte(text), &p); err != nil || code != http.StatusCreated {
		f.t.Fatalf("answered %d %s: %v, want 201", code, text, err)
	}
	return p
}

// listFiles lists the folder of the packages without its lock.
func (f fleet) listFiles() []string {
	f.t.Helper()
	return listPackageFiles(f.t, f.database)
}

func listPackageFiles(t *testing.T, database string) []string {
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

// checkFiles returns an error unless rows and files are exactly those of these packages.
func (f fleet) checkFiles(want ...Package) error {
	all, err := f.store.ListPackages(context.Background(), "")
	if err != nil {
		return err
	}
	files := strings.Join(f.listFiles(), " ")
	if len(all) != len(want) || len(f.listFiles()) != len(want) {
		return fmt.Errorf("packages %+v, files %s; want %d", all, files, len(want))
	}
	for _, p := range want {
		if !strings.Contains(files, p.SHA256) {
			return fmt.Errorf("file %s of %s %s is missing", p.SHA256, p.Name, p.Version)
		}
	}
	return nil
}
