package main

import (
	"archive/zip"
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"pluginsupervisor/internal/control"
	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/record"
	"pluginsupervisor/internal/registry"
)

// fields is a JSON object.
type fields = map[string]any

// zipEntry is one file of a package.
type zipEntry struct {
	zip.FileHeader
	content string
}

func newZipEntry(name string, mode fs.FileMode, content string) zipEntry {
	e := zipEntry{zip.FileHeader{Name: name, Method: zip.Deflate}, content}
	e.SetMode(mode)
	return e
}

// writeZip writes a package to a file.
func writeZip(t testing.TB, path string, entries ...zipEntry) {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, e := range entries {
		f, err := w.CreateHeader(&e.FileHeader)
		if err == nil {
			_, err = io.WriteString(f, e.content)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}

// newZipEntries returns executable files.
func newZipEntries(files map[string]string) (entries []zipEntry) {
	for name, content := range files {
		entries = append(entries, newZipEntry(name, 0o755, content))
	}
	return entries
}

// writeTempZip writes a package of executable files and returns its path.
func writeTempZip(t *testing.T, files map[string]string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "p.zip")
	writeZip(t, path, newZipEntries(files)...)
	return path
}

// installPlugin records a plugin with that config.json and writes its main.sh, unless
// the script is "".
func installPlugin(t testing.TB, root string, config fields, script string) {
	t.Helper()
	b, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	c, err := record.DecodePackageConfig(b)
	if err != nil {
		t.Fatal(err)
	}
	dir := layout.Version(root, c.Name, c.Version)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if script != "" {
		if err := os.WriteFile(filepath.Join(dir, "main.sh"), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := registry.New(registry.Options{Root: root}).Put(t.Context(), c.Record()); err != nil {
		t.Fatal(err)
	}
}

// installScript installs version 1.0 of a plugin whose executable is the script.
func installScript(t testing.TB, root, name, kind, timeout, script string) {
	t.Helper()
	installPlugin(t, root, fields{
		"name": name, "version": "1.0", "publisher": "acme", "runPath": "main.sh", "timeout": timeout, "pluginType": kind,
	}, script)
}

// findRecord returns the record of a plugin, and whether it is installed.
func findRecord(t testing.TB, root, name string) (record.Record, bool) {
	t.Helper()
	r, installed, err := registry.New(registry.Options{Root: root}).Find(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return r, installed
}

// readRecord returns the record of a plugin, the zero value for none.
func readRecord(t testing.TB, root, name string) record.Record {
	t.Helper()
	r, _ := findRecord(t, root, name)
	return r
}

// request is one request that a control plane received.
type request struct{ method, path, body string }

// fakeControlPlane is a control plane. It serves package files, lists packages,
// accepts every report and event, and records all requests.
type fakeControlPlane struct {
	*httptest.Server
	t     *testing.T
	files string // folder of the package files
	list  func(control.PackageQuery) []fields

	mu       sync.Mutex
	requests []request
}

func startControlPlane(t *testing.T, list func(control.PackageQuery) []fields) *fakeControlPlane {
	p := &fakeControlPlane{t: t, files: t.TempDir(), list: list}
	p.Server = httptest.NewServer(p)
	t.Cleanup(p.Close)
	return p
}

func (p *fakeControlPlane) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		p.t.Error(err)
	}
	p.mu.Lock()
	p.requests = append(p.requests, request{r.Method, r.URL.Path, string(body)})
	p.mu.Unlock()
	switch {
	case strings.HasPrefix(r.URL.Path, "/files/"):
		http.ServeFile(w, r, filepath.Join(p.files, filepath.Base(r.URL.Path)))
	case r.URL.Path == control.PathList:
		var q control.PackageQuery
		if err := json.Unmarshal(body, &q); err != nil {
			p.t.Error(err)
		}
		_ = json.NewEncoder(w).Encode(fields{"code": 200, "pluginList": p.list(q)})
	default:
		_, _ = io.WriteString(w, `{"code":200}`)
	}
}

// takeRequests returns the requests since the last call.
func (p *fakeControlPlane) takeRequests() []request {
	p.mu.Lock()
	defer p.mu.Unlock()
	taken := p.requests
	p.requests = nil
	return taken
}

// findRequests returns the path and body of each request that contains all the parts.
func (p *fakeControlPlane) findRequests(parts ...string) (found []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.requests {
		text := r.path + " " + r.body
		if !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(text, part) }) {
			found = append(found, text)
		}
	}
	return found
}

// addListing adds the URL and digest of a package file to what is listed of it.
func (p *fakeControlPlane) addListing(listing fields, file string) {
	p.t.Helper()
	b, err := os.ReadFile(filepath.Join(p.files, file))
	if err != nil {
		p.t.Error(err)
	}
	sum := md5.Sum(b)
	listing["url"], listing["md5"] = p.URL+"/files/"+file, hex.EncodeToString(sum[:])
}

// newEnviron returns the environment of the program with that root and control plane.
func newEnviron(root, url string, more ...string) []string {
	return append(more, "SUPERVISOR_ROOT="+root, "SUPERVISOR_CONTROL_PLANE_URL="+url)
}

// invoke runs the program with the invocation. It adds files as standard streams if
// there are none, and makes no pause between the tries of a report.
func invoke(t *testing.T, i invocation) (code int, stdout, stderr string) {
	t.Helper()
	out, messages := createOutput(t, "stdout"), createOutput(t, "stderr")
	if i.in == nil {
		null, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		defer null.Close()
		i.in = null
	}
	i.out, i.err = out, messages
	if i.stdout == nil {
		i.stdout = out
	}
	if i.stderr == nil {
		i.stderr = messages
	}
	if i.executable == "" {
		i.executable = "/usr/bin/acs-plugin-manager"
	}
	code = run(t.Context(), i)
	return code, readOutput(t, out), readOutput(t, messages)
}

// runOnRoot runs the program on a root.
func runOnRoot(t *testing.T, root string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	return invoke(t, invocation{args: args, environ: []string{"SUPERVISOR_ROOT=" + root}})
}

// createOutput creates an empty file for appending.
func createOutput(t *testing.T, name string) *os.File {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(t.TempDir(), name), os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func readOutput(t *testing.T, f *os.File) string {
	t.Helper()
	b, err := os.ReadFile(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
