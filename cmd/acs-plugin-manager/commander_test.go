package main

import (
	"path/filepath"
	"strings"
	"testing"
)

// CL-21: the record of a Commander has the data by which the existing agent starts it,
// for a file and a listed package, after the installation and each upgrade.
func TestCommander(t *testing.T) {
	t.Parallel()
	h := newSamplesHost(t)
	pack := func(file, version, info string) {
		s := sample{config: sampleConfig("tool", version, fields{"pluginType": "Commander"}), script: verbScript, more: map[string]string{}}
		if info != "" {
			s.more["axt-commander.json"] = info
		}
		h.all[file] = s
		s.writeTo(t, filepath.Join(h.files, file))
	}
	pack("tool_1.0.zip", "1.0", `{"pidFile":"one.pid","apiVersion":1}`) // which the control plane lists
	pack("two.zip", "2.0", `{"pidFile":"two.pid","new":[]}`)
	pack("bare.zip", "3.0", "")
	pack("bad.zip", "3.0", "{")
	root := h.newRoot(t)
	for _, step := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"-e", "-P", "tool", "-p", "rc,0"}, 0, `{"pidFile":"one.pid","endpointType":"","endpointFile":"","apiVersion":"1"}`},
		{[]string{"-e", "--file", filepath.Join(h.files, "bare.zip"), "-p", "rc,0"}, exitPackage, `{"pidFile":"one.pid","endpointType":"","endpointFile":"","apiVersion":"1"}`},
		{[]string{"-e", "--file", filepath.Join(h.files, "bad.zip"), "-p", "rc,0"}, exitConfig, `{"pidFile":"one.pid","endpointType":"","endpointFile":"","apiVersion":"1"}`},
		{[]string{"-e", "--file", filepath.Join(h.files, "two.zip"), "-p", "rc,0"}, 0, `{"pidFile":"two.pid","endpointType":"","endpointFile":"","apiVersion":"","new":[]}`},
	} {
		code, stdout, stderr := invoke(t, h.invocation(root, step.args...))
		if got := string(readRecord(t, root, "tool").CommanderInfo); code != step.code || got != step.want {
			t.Errorf("%q: exit %d, recorded %s, want %d and %s\n%s%s", step.args, code, got, step.code, step.want, stdout, stderr)
		}
	}
	if reports := h.findRequests("report_status"); len(reports) > 0 {
		t.Errorf("reported %q", reports)
	}
	_, listed, _ := invoke(t, h.invocation(root, "--list", "--local"))
	if _, status, _ := invoke(t, h.invocation(root, "--status")); !strings.Contains(listed, "tool") || strings.Contains(status, "tool") {
		t.Errorf("listed %s, status %s", listed, status)
	}
}
