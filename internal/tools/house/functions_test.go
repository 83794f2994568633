package main

import (
	"testing"
)

func TestCountWords(t *testing.T) {
	for name, want := range map[string]int{
		"settle": 1, "grantSlot": 2, "String": 1, "URL": 1, "parseURL": 2, "URLPath": 2, "onHTTPError": 3, "sha256": 1, "Test_name": 2, "x": 1, "newV2Leaf": 3,
	} {
		if got := countWords(name); got != want {
			t.Errorf("%s has %d words, want %d", name, got, want)
		}
	}
}
