package main

import (
	"testing"
)

// SPEC 1: NAME@VERSION splits at the last @.
func TestRequestVersion(t *testing.T) {
	for arg, want := range map[string][2]string{
		"p@1.0": {"p", "1.0"}, "a@b@1.0": {"a@b", "1.0"}, "@a@1": {"@a", "1"}, "云 助手@1:0~rc": {"云 助手", "1:0~rc"},
	} {
		w, err := requestVersion(arg)
		if got := [2]string{w.change.Name, w.change.Version}; err != nil || got != want {
			t.Errorf("%s: got %q, %v, want %q", arg, got, err, want)
		}
	}
	for _, arg := range []string{"@", "p@", "@1.0", "p @1.0", "p@..", "a/b@1"} {
		_, err := requestVersion(arg)
		if code, _ := splitExitCode(err); code != exitUsage {
			t.Errorf("%s: got %v, want a usage error", arg, err)
		}
	}
}
