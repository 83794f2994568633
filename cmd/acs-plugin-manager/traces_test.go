package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pluginsupervisor/internal/control"
	"pluginsupervisor/internal/platform"
	"pluginsupervisor/internal/registry"
)

var update = flag.Bool("update", false, "write the tables of the documents")

// trace is one recorded run of the existing program. BASE, RUN and FILES stand for
// folders.
type trace struct {
	Trace, Cmd, Stdout string
	RC                 int
	HTTP               []tracedRequest
}

// tracedRequest is one recorded request. The body of an event has no time and no data
// of the machine.
type tracedRequest struct {
	Method, Path string
	Body         any
}

// traceDifferences holds the traces that this program does not repeat exactly, and why.
// The others are the same except for messages, which the existing program prints to
// standard output, too.
var traceDifferences = map[string]string{
	"13-exec-local-hung-start-rc7": "a --status that hangs is reported as failed; the existing program does not report it (CL-03)",
	"35-verify-http":               "the package runs in staging, not in the plugin folder (CL-14)",
}

// machineOutput returns the machine-readable part of a recorded standard output.
func machineOutput(stdout string) string {
	if i := strings.Index(stdout, "ExecutePluginFromFile UNMARSHAL_ERR"); i >= 0 {
		stdout = stdout[:i] // the rest is the file
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
	*fakeControlPlane
	root     string
	packages map[string]fields // listed, by plugin and requested version
}

const (
	traceScript  = "#!/bin/sh\necho \"%s args=[$*] PLUGIN_DIR=$PLUGIN_DIR PRE_PLUGIN_DIR=$PRE_PLUGIN_DIR%s\"\n"
	recordedArch = "x64" // the machine of the traces
)

func newTraceHost(t *testing.T) *traceHost {
	s := &traceHost{root: t.TempDir(), packages: map[string]fields{}}
	s.fakeControlPlane = startControlPlane(t, s.listPackages)
	s.installPlugin("once_ok", "1.0", "Once", fields{"publisher": "aliyun", "osType": "LINUX", "arch": strings.ToUpper(recordedArch)}, fmt.Sprintf(traceScript, "once_ok", " cwd=$(pwd)"))
	s.installPlugin("p_healthy", "1.1", "Persist", fields{"osType": "linux", "arch": "all"}, "#!/bin/sh\n[ \"$1\" = --uninstall ] && exit 9\nexit 0\n")
	s.installPlugin("p_dead", "2.0", "Persist", fields{"osType": "", "arch": ""},
		"#!/bin/sh\ncase $1 in --start) echo started; : >\"$PLUGIN_DIR/up\";; --status) [ -e \"$PLUGIN_DIR/up\" ];; esac\n")
	s.installPlugin("p_hung", "3.0", "Persist", fields{"timeout": "1"}, "#!/bin/sh\n[ \"$1\" = --start ] && exit 7\nsleep 600\n")
	s.installPlugin("p_garbage", "4.0", "Persist", nil, "#!/bin/sh\nhead -c 100 /dev/urandom\n")
	s.installPlugin("p_removed", "5.0", "Persist", nil, "#!/bin/sh\n")
	if err := registry.New(registry.Options{Root: s.root}).MarkRemoved(t.Context(), "p_removed"); err != nil {
		t.Fatal(err)
	}
	s.installPlugin("p_weird", "6.0", "Weird", nil, "#!/bin/sh\n")
	s.installPlugin("p_nofile", "7.0", "Persist", nil, "")
	s.listPackage("p_up", "", "1.0", fields{"osType": "LINUX", "arch": "ALL"})
	s.listPackage("p_up", "2.0", "2.0", fields{"addSysTag": true})
	s.listPackage("p_up", "3.0", "3.0", fields{"md5": "deadbeef"})
	s.listPackage("o_once", "", "1.0", fields{"pluginType": "Once"})
	if err := os.WriteFile(filepath.Join(s.files, "bad.zip"), []byte("no zip"), 0o600); err != nil {
		t.Fatal(err)
	}
	writeZip(t, filepath.Join(s.files, "n.zip"), newZipEntries(map[string]string{"x": "y"})...)
	writeZip(t, filepath.Join(s.files, "n2.zip"), newZipEntries(map[string]string{"config.json": "{bad\n"})...)
	return s
}

// installPlugin installs a plugin with the default config.json and more.
func (s *traceHost) installPlugin(name, version, kind string, more fields, script string) {
	s.t.Helper()
	config := fields{"name": name, "version": version, "publisher": "acme", "runPath": "main.sh", "pluginType": kind, "timeout": "20", "osType": "linux", "arch": recordedArch}
	maps.Copy(config, more)
	installPlugin(s.t, s.root, config, script)
}

// listPackage makes the control plane list a package when that version is requested.
func (s *traceHost) listPackage(name, requested, version string, more fields) {
	s.t.Helper()
	kind, script := "Persist", fmt.Sprintf(traceScript, name+" v"+version, "")
	if more["pluginType"] == "Once" {
		kind, script = "Once", "#!/bin/sh\necho \"o_once args=[$*] n=$#\"; exit 42\n"
	}
	config, err := json.Marshal(fields{"name": name, "version": version, "publisher": "acme", "runPath": "main.sh", "pluginType": kind})
	if err != nil {
		s.t.Fatal(err)
	}
	file := name + "_" + version + ".zip"
	if version == "3.0" {
		file = name + "_2.0.zip"
	} else {
		writeZip(s.t, filepath.Join(s.files, file), newZipEntries(map[string]string{"config.json": string(config), "main.sh": script})...)
	}
	listing := fields{"name": name, "version": version, "publisher": "acme", "osType": "linux", "arch": "all", "pluginType": kind}
	s.addListing(listing, file)
	maps.Copy(listing, more)
	s.packages[name+"@"+requested] = listing
}

// listPackages returns the packages that match a query.
func (s *traceHost) listPackages(q control.PackageQuery) []fields {
	found := []fields{}
	for _, key := range []string{q.PluginName + "@" + q.Version, "newp@arm", "newp@x86"} {
		if p, ok := s.packages[key]; ok && p["name"] == q.PluginName || ok && key == "p_up@" {
			found = append(found, p)
		}
	}
	if q.PluginName == "" {
		found = append(found, s.packages["p_up@"])
	}
	return found
}

// parseRequest returns a request as traces record it.
func parseRequest(t *testing.T, r request) tracedRequest {
	t.Helper()
	parsed := tracedRequest{Method: r.method, Path: r.path}
	if r.body == "" {
		return parsed
	}
	if err := json.Unmarshal([]byte(r.body), &parsed.Body); err != nil {
		t.Fatalf("%s: %v", r.path, err)
	}
	if e, ok := parsed.Body.(fields); ok && r.path == control.PathEvent {
		var keywords any
		if err := json.Unmarshal([]byte(e["keywords"].(string)), &keywords); err != nil {
			t.Fatalf("keywords: %v", err)
		}
		parsed.Body = fields{"eventId": e["eventId"], "keywords": keywords}
	}
	return parsed
}

// prepareHost applies the changes that were made on the host before that trace.
func (s *traceHost) prepareHost(trace string) {
	switch trace[:2] {
	case "27":
		for _, arch := range []string{"arm", "x86"} {
			s.packages["newp@"+arch] = fields{"name": "newp", "version": "1.0", "osType": "linux", "arch": arch}
		}
	case "28":
		delete(s.packages, "newp@arm")
		delete(s.packages, "newp@x86")
	case "48":
		s.installPlugin("sig", "1.0", "Persist", nil, "#!/bin/sh\n[ \"$1\" = --status ] && exit 1\nkill -KILL $$\n")
		s.installPlugin("noexec", "1.0", "Persist", nil, "neither a script nor a program")
	}
}

// splitCommand returns the arguments of a recorded command line.
func (s *traceHost) splitCommand(cmd string) []string {
	cmd = strings.ReplaceAll(strings.ReplaceAll(cmd, "FILES/", s.files+"/"), "http://127.0.0.1:18080", s.URL)
	var args, last []string
	if before, value, found := strings.Cut(cmd, " --paramsV2 "); found { // recorded as one argument
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

// TestTraces repeats the recorded runs of the existing program in their order on one host
// (CL-01 … CL-14), and checks the table in the documents.
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
			s.takeRequests()
			rc, stdout, stderr := s.runProgram(s.URL, s.splitCommand(tr.Cmd)...)
			if rc != tr.RC {
				t.Errorf("exit %d, recorded %d; stderr %s", rc, tr.RC, stderr)
			}
			out := strings.NewReplacer(s.root, "BASE", "cwd="+here, "cwd=RUN").Replace(stdout)
			requests := []tracedRequest{}
			for _, r := range s.takeRequests() {
				requests = append(requests, parseRequest(t, r))
			}
			outputDiff := cmp.Diff(machineOutput(tr.Stdout), out)
			requestDiff := cmp.Diff(tr.HTTP, requests)
			why, known := traceDifferences[tr.Trace]
			if same := outputDiff == "" && requestDiff == ""; same == known {
				t.Errorf("standard output recorded (-), ours (+):\n%s\nrequests:\n%s\nstderr %s", outputDiff, requestDiff, stderr)
			}
			if why == "" && machineOutput(tr.Stdout) != tr.Stdout {
				why = "messages are on standard error"
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
		t.Errorf("traceDifferences has unknown traces: %q", unknown)
	}
	compareTable(t, "traces", "| | arguments | exit | what differs |\n|---|---|---|---|\n"+table.String())
}

// compareTable compares the table of that name with the one in the documents, or
// writes it with -update.
func compareTable(t *testing.T, name, table string) {
	t.Helper()
	path, begin, end := "../../docs/drop-in.md", "<!-- "+name+" -->\n", "<!-- end of "+name+" -->\n"
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, found := strings.Cut(string(b), begin)
	old, tail, closed := strings.Cut(rest, end)
	if !found || !closed {
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
