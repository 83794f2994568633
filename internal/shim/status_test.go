package shim

import (
	"strings"
	"testing"
	"time"
)

// AP-04: the other verbs run the hooks; without a hook they exit 0.
func TestHooks(t *testing.T) {
	p := newPackage(t, `command: [PROGRAM, idle]
environment: {GREETING: hello}
hooks:
  install: [/bin/sh, -c, 'echo "$GREETING from $PWD"; sleep 100 & exit 0']
  uninstall: [/bin/sh, -c, 'echo no >&2; exit 42']
`)
	began := time.Now()
	p.runVerb(0, "--install", "hello from "+p.dir)
	if time.Since(began) > 20*time.Second {
		t.Error("--install waited for a process that the hook left")
	}
	p.runVerb(42, "--uninstall", "no\n")
	p.runVerb(0, "--upgrade")
	if left := p.findProcesses(); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	p = newPackage(t, "command: [PROGRAM, idle]\nhooks: {install: [not-there], upgrade: [/bin/sh, -c, 'kill -9 $$']}")
	p.runVerb(1, "--install", "not-there: "+p.dir+"/not-there does not exist")
	p.runVerb(1, "--upgrade", "/bin/sh: killed by SIGKILL")
}

// AP-02: --status tolerates fewer failed checks than health.failures, and returns before
// its deadline.
func TestStatusTries(t *testing.T) {
	p := newPackage(t, quickService+"health: {command: [/bin/sh, -c, 'echo x >> tries; test $(wc -l < tries) -ge 3'], interval: 100ms, failures: 3}\n")
	p.runVerb(0, "--start")
	p.runVerb(0, "--status")
	p.writeFile("service.yaml", strings.ReplaceAll(quickService, "PROGRAM", programName)+"health: {command: [/bin/sleep, 100], timeout: 50s, failures: 9}\n", 0o644)
	p.writeFile("config.json", `{"name": "p", "version": "1.0", "runPath": "plugin-shim", "timeout": "3"}`, 0o644)
	began := time.Now()
	p.runVerb(1, "--status", "no answer in")
	if took := time.Since(began); took > 20*time.Second { // the machine may be busy; the check alone has 50 s
		t.Errorf("took %v of 3 s", took)
	}
}

func TestUsage(t *testing.T) {
	p := newPackage(t, quickService)
	p.runVerb(2, "--dance", "usage: plugin-shim --start")
	p.runVerb(0, "--help", "usage: plugin-shim --start")
	p.env = []string{"PLUGIN_DIR=relative"}
	p.runVerb(1, "--status", `PLUGIN_DIR is "relative", but must be an absolute path`)
}
