package policy

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the picture in ARCHITECTURE.md anew")

// The picture stands between these lines.
const (
	pictureFile  = "../../ARCHITECTURE.md"
	pictureBegin = "<!-- the transition table, written by make generate -->\n"
	pictureEnd   = "<!-- end of the transition table -->\n"
)

// picture returns the transition table as a diagram: the facts that lead from a phase
// to another one, with their conditions.
func picture() string {
	var b strings.Builder
	b.WriteString("```mermaid\nstateDiagram-v2\n    [*] --> Installed : its record is read\n    [*] --> Changing : a version is installed\n")
	for from := range phaseCount {
		for to := range phaseCount {
			if labels := labels(from, to); len(labels) > 0 && from != to && from != Removed {
				fmt.Fprintf(&b, "    %s --> %s : %s\n", from, to, strings.Join(labels, ", "))
			}
		}
	}
	b.WriteString("    Removed --> [*]\n```\n")
	return b.String()
}

// labels returns the facts that lead from a phase to another, with their
// conditions, in the order of the table.
func labels(from, to PhaseKind) (all []string) {
	for _, r := range table[from] {
		label := r.on.String()
		if r.when.words != "" {
			label += " (" + r.when.words + ")"
		}
		if slices.Contains(r.to, to) && !slices.Contains(all, label) {
			all = append(all, label)
		}
	}
	return all
}

func TestPicture(t *testing.T) {
	document, err := os.ReadFile(pictureFile)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, begins := strings.Cut(string(document), pictureBegin)
	old, after, ends := strings.Cut(rest, pictureEnd)
	if !begins || !ends {
		t.Fatalf("%s lacks the lines %q and %q", pictureFile, pictureBegin, pictureEnd)
	}
	now := picture()
	if *update {
		if err := os.WriteFile(pictureFile, []byte(before+pictureBegin+now+pictureEnd+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if old != now {
		t.Errorf("the picture in ARCHITECTURE.md differs from the transition table: run make generate\n%s", now)
	}
}
