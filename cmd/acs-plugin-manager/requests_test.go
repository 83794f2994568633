package main

import (
	"strings"
	"testing"
)

// TestRequests checks the requests to the control plane and their order (CL-02, CL-03,
// CL-10).
func TestRequests(t *testing.T) {
	plane := startControlPlane(t, nil)
	root := t.TempDir()
	installScript(t, root, "once", "Once", "20", "#!/bin/sh\nexit 42\n")
	installScript(t, root, "daemon", "Persist", "20", "#!/bin/sh\nexit 0\n")
	for _, c := range []struct {
		name string
		args []string
		want [][]string // what each request contains
	}{
		{"CL-02", []string{"-e", "--local", "-P", "once"}, [][]string{{"/luban/api/metrics", "agent.plugin.execute", `exitCode\":\"42\"`, "LocalInstalled"}}},
		{"CL-03", []string{"-e", "--local", "-P", "daemon", "-p", "--start"}, [][]string{{"report_status", "PERSIST_RUNNING"}, {"agent.plugin.execute"}}},
		{"CL-04", []string{"-e", "--local", "-P", "nope"}, [][]string{{"agent.plugin.execute", "PACKAGE_NOT_FOUND"}}},
		{"CL-10", []string{"-r", "-P", "daemon"}, [][]string{{"report_status", `"REMOVED"`}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			plane.takeRequests()
			_, _, stderr := invoke(t, invocation{args: c.args, environ: newEnviron(root, plane.URL)})
			got := plane.findRequests()
			if len(got) != len(c.want) {
				t.Fatalf("%d requests, want %d: %q; stderr %s", len(got), len(c.want), got, stderr)
			}
			for i, parts := range c.want {
				for _, part := range parts {
					if !strings.Contains(got[i], part) {
						t.Errorf("request %d lacks %s: %s", i, part, got[i])
					}
				}
			}
		})
	}
}
