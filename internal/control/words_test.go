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
