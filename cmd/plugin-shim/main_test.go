package main

import (
	"debug/elf"
	"errors"
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

// AP-14: the shim is small, static and fast.
func TestSizeAndSpeed(t *testing.T) {
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
	verb := func(verb string) error {
		if out, err := exec.Command(shim, verb).CombinedOutput(); err != nil { // without PLUGIN_DIR its folder is that of the executable
			return fmt.Errorf("%s: %w: %s", verb, err, out)
		}
		return nil
	}
	if err := verb("--start"); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := verb("--stop"); err != nil {
			t.Error(err)
		}
	}()
	var took, bare []time.Duration
	for range 51 {
		began := time.Now()
		err := verb("--status")
		took = append(took, time.Since(began))
		began = time.Now()
		if err := errors.Join(err, exec.Command("/bin/true").Run()); err != nil {
			t.Fatal(err)
		}
		bare = append(bare, time.Since(began))
	}
	slices.Sort(took)
	slices.Sort(bare)
	// The median, minus that of an empty program: the machine may be busy.
	if t.Logf("%d bytes, --status %v, /bin/true %v", info.Size(), took[25], bare[25]); took[25]-bare[25] > 5*time.Millisecond {
		t.Errorf("--status takes %v, /bin/true %v", took[25], bare[25])
	}
}
