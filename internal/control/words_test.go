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
		if got := StatusWord(status); got != word {
			t.Errorf("word for %v is %q, want %q", status, got, word)
		}
		if got, ok := ParseStatus(word); got != status || !ok {
			t.Errorf("status of word %q is %v, %v, want %v, true", word, got, ok, status)
		}
	}
	for _, word := range []string{"", "running", "persist_running", "PERSIST_RUNNING "} {
		if got, ok := ParseStatus(word); got != plugin.StatusUnknown || ok {
			t.Errorf("status of word %q is %v, %v, want unknown, false", word, got, ok)
		}
	}
	if got := StatusWord(plugin.Status(99)); got != "PERSIST_UNKNOWN" {
		t.Errorf("word for an invalid status is %q, want PERSIST_UNKNOWN", got)
	}
}
