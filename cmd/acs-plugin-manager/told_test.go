package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// TestTold: what the control plane hears, in order (CL-02, CL-03, CL-10).
func TestTold(t *testing.T) {
	var mu sync.Mutex
	var heard []string
	plane := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		heard = append(heard, r.URL.Path+" "+string(body))
		_, _ = io.WriteString(w, `{"code":200}`)
	}))
	defer plane.Close()
	root := t.TempDir()
	putPlugin(t, root, "once", "Once", "20", "#!/bin/sh\nexit 42\n")
	putPlugin(t, root, "daemon", "Persist", "20", "#!/bin/sh\nexit 0\n")
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
			mu.Lock()
			heard = nil
			mu.Unlock()
			_, _, stderr := invoke(t, invocation{args: c.args, environ: []string{"SUPERVISOR_ROOT=" + root, "SUPERVISOR_CONTROL_PLANE_URL=" + plane.URL}})
			mu.Lock()
			defer mu.Unlock()
			if len(heard) != len(c.want) {
				t.Fatalf("heard %q; stderr %s", heard, stderr)
			}
			for i, parts := range c.want {
				for _, part := range parts {
					if !strings.Contains(heard[i], part) {
						t.Errorf("request %d lacks %s: %s", i, part, heard[i])
					}
				}
			}
		})
	}
}
