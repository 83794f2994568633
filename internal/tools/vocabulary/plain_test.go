package vocabulary_test

import (
	"flag"
	"os"
	"slices"
	"testing"

	"pluginsupervisor/internal/tools/source"
	"pluginsupervisor/internal/tools/vocabulary"
)

var update = flag.Bool("update", false, "remove what applies no longer from allowed.txt")

const allowedFile = "allowed.txt"

// TestPlain keeps private words out of what users read and of exported names,
// holds doc comments to their form, and identifiers to few meanings.
func TestPlain(t *testing.T) {
	root := os.DirFS("../../..")
	files, err := source.Load(root)
	if err != nil {
		t.Fatal(err)
	}
	texts, err := vocabulary.CheckTexts(root, files)
	if err != nil {
		t.Fatal(err)
	}
	list, err := os.ReadFile(allowedFile)
	if err != nil {
		t.Fatal(err)
	}
	allowed, err := vocabulary.ParseAllowed(string(list))
	if err != nil {
		t.Fatalf("%s: %v", allowedFile, err)
	}
	faults := slices.Concat(texts, vocabulary.CheckNames(files), vocabulary.CheckDocs(files), vocabulary.CheckThings(files))
	found, stale, shrunk := vocabulary.Compare(faults, allowed)
	for _, f := range found {
		t.Error(f)
	}
	if *update {
		if err := os.WriteFile(allowedFile, []byte(shrunk.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	for _, s := range stale {
		t.Errorf("%s: %s: -update removes it", allowedFile, s)
	}
}
