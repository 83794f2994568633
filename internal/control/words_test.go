package control

import (
	"testing"

	"pluginsupervisor/plugin"
)

func TestWords(t *testing.T) {
	for word, status := range map[string]plugin.Status{
		"PERSIST_RUNNING": plugin.StatusRunning,
		"PERSIST_FAIL":    plugin.StatusFailed,
		"PERSIST_UNKNOWN": plugin.StatusUnknown,
		"ONCE_INSTALLED":  plugin.StatusInstalled,
		"REMOVED":         plugin.StatusRemoved,
	} {
		if got := Word(status); got != word {
			t.Errorf("%v is %q, want %q", status, got, word)
		}
		if got, ok := ParseWord(word); got != status || !ok {
			t.Errorf("%q is %v, %v, want %v", word, got, ok, status)
		}
	}
	for _, word := range []string{"", "running", "persist_running", "PERSIST_RUNNING "} {
		if got, ok := ParseWord(word); got != plugin.StatusUnknown || ok {
			t.Errorf("%q is %v, %v", word, got, ok)
		}
	}
	if got := Word(plugin.Status(99)); got != "PERSIST_UNKNOWN" {
		t.Errorf("a status that is none is %q", got)
	}
}

func TestArchAndOS(t *testing.T) {
	for machine, want := range map[string]string{
		"x86_64": "x64", "amd64": "x64", "AMD64": "x64", "i386": "x86", "i686": "x86",
		"aarch64": "arm", "arm64": "arm", "armv7l": "arm", "riscv64": "unknown", "s390x": "unknown", "": "unknown",
	} {
		if got := Arch(machine); got != want {
			t.Errorf("machine %q is %q, want %q", machine, got, want)
		}
	}
	for goos, want := range map[string]string{
		"linux": "linux", "windows": "windows", "freebsd": "freebsd", "darwin": "unknown", "": "unknown",
	} {
		if got := OS(goos); got != want {
			t.Errorf("system %q is %q, want %q", goos, got, want)
		}
	}
	if got := LocalOS(); got != "linux" {
		t.Errorf("here it is %q", got)
	}
	if got := LocalArch(); got != "x64" && got != "arm" {
		t.Errorf("here it is %q", got)
	}
}
