package main

import (
	"bytes"
	"os"
	"os/exec"
	"testing"
	"time"

	"pluginsupervisor/internal/testenv"
)

// RS-11, EV-21, EV-22: a supervisor beside the existing program and our own on the
// same plugins, whose `--start` starts a second copy if it is run twice. The long
// run is soak -beside 10m.
func TestSoakOtherPrograms(t *testing.T) {
	bin, out := t.TempDir(), &bytes.Buffer{}
	build := exec.Command("go", "build", "-o", bin, "pluginsupervisor/cmd/supervisor", "pluginsupervisor/cmd/controlplane", "pluginsupervisor/cmd/acs-plugin-manager")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, output)
	}
	o := options{bin: bin, plugins: 8, seed: uint64(time.Now().UnixNano()), beside: 10 * time.Second}
	if os.Getenv(testenv.Require) != "" {
		o.beside = 30 * time.Second
	}
	found, err := soakOtherPrograms(t.Context(), o, out)
	if err != nil {
		t.Fatalf("seed %d: %v\n%s", o.seed, err, out)
	}
	if err := found.print(out); err != nil {
		t.Fatal(err)
	}
	if found.hasViolations() {
		t.Errorf("seed %d: %s", o.seed, out)
	}
	if found.countOf("upgraded by the supervisor")+found.countOf("daemons killed") == 0 {
		t.Errorf("no operation was carried out: %s", out)
	}
}
