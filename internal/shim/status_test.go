package shim

import (
	"strings"
	"testing"
	"time"
)

// AP-04: the hooks are the other verbs, and no hook is exit status 0.
func TestHooks(t *testing.T) {
	p := newPackage(t, `command: [PROGRAM, idle]
environment: {GREETING: hello}
hooks:
  install: [/bin/sh, -c, 'echo "$GREETING from $PWD"; sleep 100 & exit 0']
  uninstall: [/bin/sh, -c, 'echo no >&2; exit 42']
`)
	began := time.Now()
	p.want(0, "--install", "hello from "+p.dir)
	if time.Since(began) > 20*time.Second {
		t.Error("it waited for what the hook left")
	}
	p.want(42, "--uninstall", "no\n")
	p.want(0, "--upgrade")
	if left := p.processes(); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	p = newPackage(t, "command: [PROGRAM, idle]\nhooks: {install: [not-there], upgrade: [/bin/sh, -c, 'kill -9 $$']}")
	p.want(1, "--install", "not-there: "+p.dir+"/not-there does not exist")
	p.want(1, "--upgrade", "/bin/sh: killed by SIGKILL")
}

// AP-02: health may fail less often than failures says, and all tries are inside
// the deadline.
func TestStatusTries(t *testing.T) {
	p := newPackage(t, quick+"health: {command: [/bin/sh, -c, 'echo x >> tries; test $(wc -l < tries) -ge 3'], interval: 100ms, failures: 3}\n")
	p.want(0, "--start")
	p.want(0, "--status")
	p.write("service.yaml", strings.ReplaceAll(quick, "PROGRAM", programName)+"health: {command: [/bin/sleep, 100], timeout: 50s, failures: 9}\n", 0o644)
	p.write("config.json", `{"name": "p", "version": "1.0", "runPath": "plugin-shim", "timeout": "3"}`, 0o644)
	began := time.Now()
	p.want(1, "--status", "no answer in")
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("took %v of 3 s", took)
	}
}

func TestUsage(t *testing.T) {
	p := newPackage(t, quick)
	p.want(2, "--dance", "usage: plugin-shim --start")
	p.want(0, "--help", "usage: plugin-shim --start")
	p.env = []string{"PLUGIN_DIR=relative"}
	p.want(1, "--status", `PLUGIN_DIR is "relative", it must be an absolute path`)
}
