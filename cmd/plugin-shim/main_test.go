package main

import (
	"debug/elf"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// buildProgram builds the program as `make build` does.
func buildProgram(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "plugin-shim")
	cmd := exec.Command("go", "build", "-buildvcs=false", "-trimpath", "-ldflags", "-s -w", "-o", path, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return path
}

// AP-14: the shim is small and static, and uses little CPU time.
func TestSizeAndCPU(t *testing.T) {
	shim := buildProgram(t)
	info, err := os.Stat(shim)
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() > 4_000_000 {
		t.Errorf("%d bytes, want at most 4000000", info.Size())
	}
	f, err := elf.Open(shim)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if libraries, err := f.ImportedLibraries(); len(libraries) > 0 || slices.ContainsFunc(f.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP }) {
		t.Errorf("not static: libraries %v, error %v", libraries, err)
	}

	dir := filepath.Dir(shim)
	text := "command: [/bin/sleep, 1000]\nready: {after: 10ms}\n"
	if err := os.WriteFile(filepath.Join(dir, "service.yaml"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	runVerb := func(verb string) (cpu time.Duration, err error) {
		cmd := exec.Command(shim, verb) // without PLUGIN_DIR, its folder is that of the executable
		if out, err := cmd.CombinedOutput(); err != nil {
			return 0, fmt.Errorf("%s: %w: %s", verb, err, out)
		}
		return cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), nil
	}
	if _, err := runVerb("--start"); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if _, err := runVerb("--stop"); err != nil {
			t.Error(err)
		}
	}()
	// CPU time, because the time that passes depends on what else the machine does.
	const runs, limit = 51, 10 * time.Millisecond
	var used []time.Duration
	for range runs {
		cpu, err := runVerb("--status")
		if err != nil {
			t.Fatal(err)
		}
		used = append(used, cpu)
	}
	slices.Sort(used)
	if median := used[runs/2]; median > limit {
		t.Errorf("CPU time of --status: median %v, want at most %v", median, limit)
	} else {
		t.Logf("%d bytes, CPU time of --status: median %v", info.Size(), median)
	}
}
