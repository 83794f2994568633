package main

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pluginsupervisor/internal/control"
	"pluginsupervisor/internal/platform"
	"pluginsupervisor/internal/record"
	"pluginsupervisor/internal/registry"
)

var update = flag.Bool("update", false, "write the table of the documents anew")

// trace is one run of the existing program that was recorded. BASE, RUN and
// FILES stand for folders.
type trace struct {
	Trace, Cmd, Stdout string
	RC                 int
	HTTP               []request
}

// request is one that was heard: of an event what the program says, without
// when and on which machine it does.
type request struct {
	Method, Path string
	Body         any
}

// traceDifferences are the traces that we do not repeat exactly, and why. The rest
// is the same but for diagnostics, which the existing program prints to standard
// output, too.
var traceDifferences = map[string]string{
	"13-exec-local-hung-start-rc7": "the status that hangs is reported as failed, not at all (CL-03)",
	"35-verify-http":               "the package is tried in staging, not among the plugins (CL-14)",
}

// machineOutput is what of a recorded standard output is for machines.
func machineOutput(stdout string) string {
	if i := strings.Index(stdout, "ExecutePluginFromFile UNMARSHAL_ERR"); i >= 0 {
		stdout = stdout[:i] // it shows the file
	}
	var kept strings.Builder
	for line := range strings.Lines(stdout) {
		diagnostic := false
		for _, prefix := range []string{"ExecutePlugin", "RemovePlugin", "Plugin[", "\x1b["} {
			diagnostic = diagnostic || strings.HasPrefix(line, prefix)
		}
		if !diagnostic {
			kept.WriteString(line)
		}
	}
	if strings.TrimSpace(kept.String()) == "" {
		return ""
	}
	return kept.String()
}

// traceHost is a host as it was when the traces were recorded, with its control plane.
type traceHost struct {
	t           *testing.T
	root, files string
	server      *httptest.Server
	packages    map[string]map[string]any // listed, by plugin and asked version

	mu       sync.Mutex
	received []request
}

const (
	traceScript  = "#!/bin/sh\necho \"%s args=[$*] PLUGIN_DIR=$PLUGIN_DIR PRE_PLUGIN_DIR=$PRE_PLUGIN_DIR%s\"\n"
	recordedArch = "x64" // of the machine the traces are from
)

func newTraceHost(t *testing.T) *traceHost {
	s := &traceHost{t: t, root: t.TempDir(), files: t.TempDir(), packages: map[string]map[string]any{}}
	s.server = httptest.NewServer(s)
	t.Cleanup(s.server.Close)
	s.installPlugin("once_ok", "1.0", "Once", map[string]any{"publisher": "aliyun", "osType": "LINUX", "arch": strings.ToUpper(recordedArch)}, fmt.Sprintf(traceScript, "once_ok", " cwd=$(pwd)"))
	s.installPlugin("p_healthy", "1.1", "Persist", map[string]any{"osType": "linux", "arch": "all"}, "#!/bin/sh\n[ \"$1\" = --uninstall ] && exit 9\nexit 0\n")
	s.installPlugin("p_dead", "2.0", "Persist", map[string]any{"osType": "", "arch": ""},
		"#!/bin/sh\ncase $1 in --start) echo started; : >\"$PLUGIN_DIR/up\";; --status) [ -e \"$PLUGIN_DIR/up\" ];; esac\n")
	s.installPlugin("p_hung", "3.0", "Persist", map[string]any{"timeout": "1"}, "#!/bin/sh\n[ \"$1\" = --start ] && exit 7\nsleep 600\n")
	s.installPlugin("p_garbage", "4.0", "Persist", nil, "#!/bin/sh\nhead -c 100 /dev/urandom\n")
	s.installPlugin("p_removed", "5.0", "Persist", nil, "#!/bin/sh\n")
	if err := registry.New(registry.Options{Root: s.root}).MarkRemoved(t.Context(), "p_removed"); err != nil {
		t.Fatal(err)
	}
	s.installPlugin("p_weird", "6.0", "Weird", nil, "#!/bin/sh\n")
	s.installPlugin("p_nofile", "7.0", "Persist", nil, "")
	s.listPackage("p_up", "", "1.0", map[string]any{"osType": "LINUX", "arch": "ALL"})
	s.listPackage("p_up", "2.0", "2.0", map[string]any{"addSysTag": true})
	s.listPackage("p_up", "3.0", "3.0", map[string]any{"md5": "deadbeef"})
	s.listPackage("o_once", "", "1.0", map[string]any{"pluginType": "Once"})
	for name, content := range map[string][]byte{"bad.zip": []byte("no zip")} {
		if err := os.WriteFile(filepath.Join(s.files, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s.pack("n.zip", map[string]string{"x": "y"})
	s.pack("n2.zip", map[string]string{"config.json": "{bad\n"})
	return s
}

// installPlugin puts a plugin on the host.
func (s *traceHost) installPlugin(name, version, kind string, more map[string]any, script string) {
	s.t.Helper()
	config := map[string]any{"name": name, "version": version, "publisher": "acme", "runPath": "main.sh", "pluginType": kind, "timeout": "20", "osType": "linux", "arch": recordedArch}
	for k, v := range more {
		config[k] = v
	}
	dir := filepath.Join(s.root, "plugin", name, version)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		s.t.Fatal(err)
	}
	if script != "" {
		if err := os.WriteFile(filepath.Join(dir, "main.sh"), []byte(script), 0o755); err != nil {
			s.t.Fatal(err)
		}
	}
	b, err := json.Marshal(config)
	if err != nil {
		s.t.Fatal(err)
	}
	c, err := record.DecodePackageConfig(b)
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := registry.New(registry.Options{Root: s.root}).Put(s.t.Context(), c.Record()); err != nil {
		s.t.Fatal(err)
	}
}

// listPackage has the control plane list a package when that version is asked for.
func (s *traceHost) listPackage(name, asked, version string, more map[string]any) {
	s.t.Helper()
	kind, script := "Persist", fmt.Sprintf(traceScript, name+" v"+version, "")
	if more["pluginType"] == "Once" {
		kind, script = "Once", "#!/bin/sh\necho \"o_once args=[$*] n=$#\"; exit 42\n"
	}
	config, err := json.Marshal(map[string]any{"name": name, "version": version, "publisher": "acme", "runPath": "main.sh", "pluginType": kind})
	if err != nil {
		s.t.Fatal(err)
	}
	of := version
	if version == "3.0" {
		of = "2.0"
	}
	file := name + "_" + of + ".zip"
	if of == version {
		s.pack(file, map[string]string{"config.json": string(config), "main.sh": script})
	}
	b, err := os.ReadFile(filepath.Join(s.files, file))
	if err != nil {
		s.t.Fatal(err)
	}
	sum := md5.Sum(b)
	record := map[string]any{
		"name": name, "version": version, "publisher": "acme", "osType": "linux", "arch": "all", "pluginType": kind,
		"url": s.server.URL + "/files/" + file, "md5": hex.EncodeToString(sum[:]),
	}
	for k, v := range more {
		record[k] = v
	}
	s.packages[name+"@"+asked] = record
}

func (s *traceHost) pack(name string, files map[string]string) {
	s.t.Helper()
	if err := os.Rename(writeTempZip(s.t, files), filepath.Join(s.files, name)); err != nil {
		s.t.Fatal(err)
	}
}

// ServeHTTP is the control plane.
func (s *traceHost) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	var body any
	if len(b) > 0 {
		if err := json.Unmarshal(b, &body); err != nil {
			s.t.Errorf("%s: %v", r.URL.Path, err)
		}
	}
	if e, ok := body.(map[string]any); ok && r.URL.Path == "/luban/api/metrics" {
		var keywords any
		if err := json.Unmarshal([]byte(e["keywords"].(string)), &keywords); err != nil {
			s.t.Error(err)
		}
		body = map[string]any{"eventId": e["eventId"], "keywords": keywords}
	}
	s.received = append(s.received, request{r.Method, r.URL.Path, body})
	switch {
	case strings.HasPrefix(r.URL.Path, "/files/"):
		http.ServeFile(w, r, filepath.Join(s.files, filepath.Base(r.URL.Path)))
	case r.URL.Path == control.PathList:
		var q control.PackageQuery
		_ = json.Unmarshal(b, &q)
		found := []any{}
		for _, key := range []string{q.PluginName + "@" + q.Version, "newp@arm", "newp@x86"} {
			if p, ok := s.packages[key]; ok && p["name"] == q.PluginName || ok && key == "p_up@" {
				found = append(found, p)
			}
		}
		if q.PluginName == "" {
			found = append(found, s.packages["p_up@"])
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"code": 200, "pluginList": found})
	default:
		_, _ = io.WriteString(w, `{"code":200}`)
	}
}

// prepareHost brings about what was different on the host from that trace on.
func (s *traceHost) prepareHost(trace string) {
	switch trace[:2] {
	case "27":
		for _, arch := range []string{"arm", "x86"} {
			s.packages["newp@"+arch] = map[string]any{"name": "newp", "version": "1.0", "osType": "linux", "arch": arch}
		}
	case "28":
		delete(s.packages, "newp@arm")
		delete(s.packages, "newp@x86")
	case "48":
		s.installPlugin("sig", "1.0", "Persist", nil, "#!/bin/sh\n[ \"$1\" = --status ] && exit 1\nkill -KILL $$\n")
		s.installPlugin("noexec", "1.0", "Persist", nil, "neither a script nor a program")
	}
}

// splitCommand are those of a recorded command line.
func (s *traceHost) splitCommand(cmd string) []string {
	cmd = strings.ReplaceAll(strings.ReplaceAll(cmd, "FILES/", s.files+"/"), "http://127.0.0.1:18080", s.server.URL)
	var args, last []string
	if before, value, found := strings.Cut(cmd, " --paramsV2 "); found { // it was one argument
		cmd, last = before, []string{"--paramsV2", value}
	}
	for i, part := range strings.Split(cmd, `"`) {
		if i%2 == 1 {
			args = append(args, part)
			continue
		}
		args = append(args, strings.Fields(part)...)
	}
	for i, a := range args {
		if a == "bad.zip" || a == "n.zip" || a == "n2.zip" {
			args[i] = filepath.Join(s.files, a)
		}
	}
	return append(args[1:], last...)
}

// TestTraces repeats what was recorded of the existing program, one after the
// other on one host (CL-01 … CL-14), and keeps the table in the documents true.
func TestTraces(t *testing.T) {
	b, err := os.ReadFile("testdata/traces.json")
	if err != nil {
		t.Fatal(err)
	}
	var traces []trace
	if err := json.Unmarshal(bytes.ReplaceAll(b, []byte(recordedArch), []byte(platform.LocalArch())), &traces); err != nil {
		t.Fatal(err)
	}
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	s := newTraceHost(t)
	var table strings.Builder
	for _, tr := range traces {
		t.Run(tr.Trace, func(t *testing.T) {
			s.prepareHost(tr.Trace)
			s.mu.Lock()
			s.received = []request{}
			s.mu.Unlock()
			rc, stdout, stderr := s.runProgram(s.server.URL, s.splitCommand(tr.Cmd)...)
			if rc != tr.RC {
				t.Errorf("exit %d, recorded %d; stderr %s", rc, tr.RC, stderr)
			}
			out := strings.NewReplacer(s.root, "BASE", "cwd="+here, "cwd=RUN").Replace(stdout)
			s.mu.Lock()
			defer s.mu.Unlock()
			outSame := cmp.Diff(machineOutput(tr.Stdout), out)
			heardSame := cmp.Diff(tr.HTTP, s.received)
			why, known := traceDifferences[tr.Trace]
			if same := outSame == "" && heardSame == ""; same == known {
				t.Errorf("standard output recorded (-), ours (+):\n%s\nrequests:\n%s\nstderr %s", outSame, heardSame, stderr)
			}
			if why == "" && machineOutput(tr.Stdout) != tr.Stdout {
				why = "the diagnostics are on standard error"
			}
			fmt.Fprintf(&table, "| %s | `%s` | %d | %s |\n", tr.Trace[:2], strings.TrimPrefix(tr.Cmd, "acs-plugin-manager "), tr.RC, why)
		})
	}
	unknown := []string{}
	for name := range traceDifferences {
		if !slices.ContainsFunc(traces, func(tr trace) bool { return tr.Trace == name }) {
			unknown = append(unknown, name)
		}
	}
	if len(unknown) > 0 {
		t.Errorf("no such traces: %q", unknown)
	}
	compareTable(t, "traces", "| | arguments | exit | what differs |\n|---|---|---|---|\n"+table.String())
}

// compareTable compares the table of that name with the one in the documents.
func compareTable(t *testing.T, name, table string) {
	t.Helper()
	path, begin, end := "../../docs/drop-in.md", "<!-- "+name+" -->\n", "<!-- end of "+name+" -->\n"
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, found := strings.Cut(string(b), begin)
	old, tail, ended := strings.Cut(rest, end)
	if !found || !ended {
		t.Fatalf("%s has no place for the table of %s", path, name)
	}
	if *update {
		if err := os.WriteFile(path, []byte(head+begin+table+end+tail), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(old, table); diff != "" {
		t.Errorf("%s is stale; make generate writes it (-it, +now):\n%s", path, diff)
	}
}
