package main

import (
	"archive/zip"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"pluginsupervisor/internal/control"
	"pluginsupervisor/internal/record"
	"pluginsupervisor/internal/registry"
)

// sample is a package that recorded command lines name.
type sample struct {
	config any // of config.json: a map, or a string as it is; nil: there is none
	script string
	mode   uint32            // of main.sh, 0: 0755
	more   map[string]string // other files
}

const (
	// argumentsScript is the sample "argy": its output is recorded.
	argumentsScript = "#!/bin/bash\necho \"args=$#\"; for a in \"$@\"; do echo \"<$a>\"; done\n"
	// verbScript is the sample "sh", which does what its first argument says.
	verbScript = `#!/bin/bash
case "$1" in
both) echo out1; echo err1 >&2; echo out2;;
big) head -c 6000000 /dev/zero | tr '\0' x; echo; echo last;;
stdin) echo "in=[$(cat)]";;
sig) kill -9 $$;;
segv) kill -SEGV $$;;
sleep) sleep $2; echo slept;;
rc) exit $2;;
daemon) setsid sleep 3 >/dev/null 2>&1 & echo daemonized;;
--status) exit 0;;
--start) echo started-out; echo started-err >&2;;
*) echo "main $*";;
esac
`
	sleepScript = "#!/bin/bash\nsleep ${1:-1}\n"
)

// sampleConfig returns a config.json as the samples have it.
func sampleConfig(name, version string, more map[string]any) map[string]any {
	config := map[string]any{
		"name": name, "version": version, "arch": "all", "osType": "linux", "runPath": "main.sh", "timeout": "20",
		"publisher": "lab", "pluginType": "Once", "heartbeatInterval": 10,
	}
	maps.Copy(config, more)
	for k, v := range config {
		if v == nil {
			delete(config, k)
		}
	}
	return config
}

type fields = map[string]any

// samplePackages returns the packages of the recorded command lines by their file names.
func samplePackages() map[string]sample {
	plain := func(name string, more fields) sample {
		return sample{config: sampleConfig(name, "1.0", more), script: verbScript}
	}
	inFolder, _ := json.Marshal(sampleConfig("top", "1.0", nil))
	atBOM, _ := json.Marshal(sampleConfig("bom", "1.0", nil))
	return map[string]sample{
		"argy_1.0.zip":     {config: sampleConfig("argy", "1.0", nil), script: argumentsScript},
		"argy_2.0.zip":     {config: sampleConfig("argy", "2.0", nil), script: argumentsScript},
		"argy_0.5.zip":     {config: sampleConfig("argy", "0.5", nil), script: argumentsScript},
		"sh_1.0.zip":       plain("sh", nil),
		"psh_1.0.zip":      plain("psh", fields{"pluginType": "Persist"}),
		"shorty_1.0.zip":   plain("shorty", fields{"timeout": "2"}),
		"notime_1.0.zip":   plain("notime", fields{"timeout": ""}),
		"badtime_1.0.zip":  plain("badtime", fields{"timeout": "abc"}),
		"bothos_1.0.zip":   plain("bothos", fields{"osType": "both"}),
		"winos_1.0.zip":    plain("winos", fields{"osType": "windows"}),
		"noexec_1.0.zip":   {config: sampleConfig("noexec", "1.0", nil), script: "echo hi\n", mode: 0o644},
		"modeless_1.0.zip": {config: sampleConfig("modeless", "1.0", nil), script: argumentsScript, mode: 0o644},
		"norun_1.0.zip":    {config: sampleConfig("norun", "1.0", fields{"runPath": "nope.sh"}), script: verbScript},
		"nocfg_1.0.zip":    {script: verbScript},
		"badcfg_1.0.zip":   {config: "{nope", script: verbScript},
		"uni_1.0.zip":      plain("插件", nil),
		"sub_1.0.zip":      {config: sampleConfig("sub", "1.0", fields{"runPath": "bin/run.sh"}), more: map[string]string{"bin/run.sh": verbScript}},
		"top_1.0.zip":      {more: map[string]string{"top/config.json": string(inFolder), "top/main.sh": verbScript}},
		"dotrun_1.0.zip":   plain("dotrun", fields{"runPath": "./main.sh"}),
		"longver.zip":      {config: sampleConfig("lv", "1.0.0.20230101120000-build.77777777777777", nil), script: verbScript},
		"to2h.zip":         {config: sampleConfig("to2h", "1.0", fields{"timeout": "7200"}), script: sleepScript},
		"to0.zip":          {config: sampleConfig("to0", "1.0", fields{"timeout": "0"}), script: sleepScript},
		"toneg.zip":        {config: sampleConfig("toneg", "1.0", fields{"timeout": "-5"}), script: sleepScript},
		"tofl.zip":         {config: sampleConfig("tofl", "1.0", fields{"timeout": "3.5"}), script: sleepScript},
		"strm.zip":         {config: sampleConfig("strm", "1.0", nil), script: "#!/bin/bash\nfor i in 1 2 3; do echo tick $i; sleep 0.1; done\n"},
		"slowst.zip":       {config: sampleConfig("slowst", "1.0", fields{"pluginType": "Persist"}), script: "#!/bin/bash\ncase $1 in --status) sleep 1;; *) echo did $1;; esac\n"},
		"ps1.zip":          {config: sampleConfig("ps1", "1.0", fields{"runPath": "main.ps1"}), more: map[string]string{"main.ps1": "x"}},
		"winzip.zip":       {config: sampleConfig("winzip", "1.0", nil), script: verbScript, mode: withoutMode},
		"dupent.zip":       {config: sampleConfig("dupent", "1.0", nil), script: verbScript, more: map[string]string{"README": "a", "readme": "b"}},
		"nover.zip":        plain("nover", fields{"version": nil}),
		"noname.zip":       plain("noname", fields{"name": nil}),
		"nametilde.zip":    plain("acs@plug", nil),
		"bom.zip":          {config: "\ufeff" + string(atBOM), script: verbScript},
		"arr.zip":          {config: "[]", script: verbScript},
		"blank.zip":        plain("my plugin", fields{"version": "1.0 beta"}),
		"tagged.zip":       plain("tagged", fields{"pluginType": "Persist", "addSysTag": true}),
		"tool_1.0.zip":     plain("tool", nil),
		"alpha_1.0.zip":    plain("alpha", fields{"pluginType": "Persist"}),
		"alpha_2.0.zip":    {config: sampleConfig("alpha", "2.0", fields{"pluginType": "Persist"}), script: verbScript},
		"numver.zip":       {config: sampleConfig("numver", "", fields{"version": 1.1, "timeout": 30}), script: verbScript},
	}
}

// withoutMode is the mode of a file in an archive that has none.
const withoutMode = 0xffff

// writeZip writes the package to a file.
func (s sample) writeZip(t testing.TB, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := zip.NewWriter(f)
	add := func(name, content string, mode uint32) {
		h := &zip.FileHeader{Name: name, Method: zip.Deflate, ExternalAttrs: mode << 16}
		if mode == withoutMode {
			h.ExternalAttrs = 0x20
		}
		entry, err := w.CreateHeader(h)
		if err == nil {
			_, err = io.WriteString(entry, content)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if text := s.configText(t); text != "" {
		add("config.json", text, 0o644)
	}
	if s.script != "" {
		mode := uint32(0o755)
		if s.mode != 0 {
			mode = s.mode
		}
		add("main.sh", s.script, mode)
	}
	for name, content := range s.more {
		add(name, content, 0o600)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

func (s sample) configText(t testing.TB) string {
	t.Helper()
	switch c := s.config.(type) {
	case nil:
		return ""
	case string:
		return c
	default:
		b, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
}

// installOn puts the sample on a host, as it is after an installation.
func (s sample) installOn(t testing.TB, root string) {
	t.Helper()
	c, err := record.DecodePackageConfig([]byte(s.configText(t)))
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(root, "plugin", c.Name, c.Version)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "main.sh"), []byte(s.script), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := registry.New(registry.Options{Root: root}).Put(t.Context(), c.Record()); err != nil {
		t.Fatal(err)
	}
}

// samplesHost is where recorded command lines run: the packages as files, and a
// control plane that lists some of them.
type samplesHost struct {
	files string
	plane *httptest.Server
	all   map[string]sample

	mu       sync.Mutex
	requests []string // path and body of each that was not for a file
}

func newSamplesHost(t *testing.T) *samplesHost {
	h := &samplesHost{files: t.TempDir(), all: samplePackages()}
	for name, s := range h.all {
		s.writeZip(t, filepath.Join(h.files, name))
	}
	if err := os.WriteFile(filepath.Join(h.files, "notzip.zip"), []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	h.plane = httptest.NewServer(h.handler(t))
	t.Cleanup(h.plane.Close)
	return h
}

// handler is the control plane. It lists the packages in the order of their
// versions, the oldest first.
func (h *samplesHost) handler(t *testing.T) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/files/", http.StripPrefix("/files/", http.FileServer(http.Dir(h.files))))
	mux.HandleFunc(control.PathList, func(w http.ResponseWriter, r *http.Request) {
		var q control.PackageQuery
		if err := json.Unmarshal(h.note(t, r), &q); err != nil {
			t.Error(err)
		}
		found := []any{}
		for _, file := range []string{"tool_1.0.zip", "alpha_1.0.zip", "alpha_2.0.zip", "tagged.zip"} {
			c := h.all[file].config.(map[string]any)
			if (q.PluginName == "" || q.PluginName == c["name"]) && (q.Version == "" || q.Version == c["version"]) {
				found = append(found, h.listingOf(t, file))
			}
		}
		_ = json.NewEncoder(w).Encode(fields{"code": 200, "pluginList": found})
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		h.note(t, r)
		fmt.Fprint(w, `{"code":200}`)
	})
	return mux
}

// note keeps a request and returns its body.
func (h *samplesHost) note(t *testing.T, r *http.Request) []byte {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Error(err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.requests = append(h.requests, r.URL.Path+" "+string(b))
	return b
}

// findRequests returns the requests that contain all the parts.
func (h *samplesHost) findRequests(parts ...string) (found []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, r := range h.requests {
		if !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(r, part) }) {
			found = append(found, r)
		}
	}
	return found
}

// listingOf returns what the control plane says of a package.
func (h *samplesHost) listingOf(t *testing.T, file string) fields {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(h.files, file))
	if err != nil {
		t.Error(err)
	}
	sum := md5.Sum(b)
	listed := maps.Clone(h.all[file].config.(map[string]any))
	maps.Copy(listed, fields{
		"pluginId": "id-" + file, "isPreInstalled": "no", "publisher": "listed", "timeout": "33",
		"url": h.plane.URL + "/files/" + file, "md5": hex.EncodeToString(sum[:]),
	})
	return listed
}

// newRoot returns a new root on which the packages are installed.
func (h *samplesHost) newRoot(t *testing.T, installed ...string) string {
	t.Helper()
	root, err := os.MkdirTemp("", "root") // short: a socket has to fit below it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(root) })
	for _, file := range installed {
		h.all[file].installOn(t, root)
	}
	return root
}

// invocation returns how the program is called on a root.
func (h *samplesHost) invocation(root string, args ...string) invocation {
	return invocation{args: args, environ: []string{"SUPERVISOR_ROOT=" + root, "SUPERVISOR_CONTROL_PLANE_URL=" + h.plane.URL}}
}

// readRecord returns the record of a plugin.
func readRecord(t *testing.T, root, name string) record.Record {
	t.Helper()
	r, _, err := registry.New(registry.Options{Root: root}).Find(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return r
}
