package vocabulary

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Allowed holds how many faults of a folder are allowed, by "FOLDER RULE WHAT".
// It only shrinks: see Compare.
type Allowed map[string]int

func keyOf(f Fault) string { return f.Folder() + " " + f.Rule + " " + f.What }

// ParseAllowed reads a list: "COUNT FOLDER RULE WHAT" one a line, with comments
// and empty lines.
func ParseAllowed(text string) (Allowed, error) {
	allowed := Allowed{}
	for i, line := range strings.Split(text, "\n") {
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		count, key, _ := strings.Cut(line, " ")
		n, err := strconv.Atoi(count)
		if err != nil || n < 1 || len(strings.Fields(key)) < 3 || allowed[key] != 0 {
			return nil, fmt.Errorf("line %d: %q is not a new COUNT FOLDER RULE WHAT", i+1, line)
		}
		allowed[key] = n
	}
	return allowed, nil
}

// Compare returns the faults that the list does not allow, in the order of the
// files; what of the list applies no longer; and the list without that. Where
// there are more faults of a kind than are allowed, all are returned: which one
// is new is not known.
func Compare(faults []Fault, allowed Allowed) (found []Fault, stale []string, shrunk Allowed) {
	counts := map[string]int{}
	for _, f := range faults {
		counts[keyOf(f)]++
	}
	for _, f := range faults {
		if counts[keyOf(f)] > allowed[keyOf(f)] {
			found = append(found, f)
		}
	}
	slices.SortFunc(found, func(a, b Fault) int {
		return cmp.Or(strings.Compare(a.Path, b.Path), cmp.Compare(a.Line, b.Line), strings.Compare(a.What, b.What))
	})
	shrunk = Allowed{}
	for _, key := range slices.Sorted(maps.Keys(allowed)) {
		left := min(counts[key], allowed[key])
		if left > 0 {
			shrunk[key] = left
		}
		if left < allowed[key] {
			stale = append(stale, fmt.Sprintf("allows %d × %s, there are %d", allowed[key], key, left))
		}
	}
	return found, stale, shrunk
}

// String returns the list as ParseAllowed reads it, sorted by folder.
func (a Allowed) String() string {
	var b strings.Builder
	b.WriteString(allowedHead)
	for _, key := range slices.Sorted(maps.Keys(a)) {
		fmt.Fprintf(&b, "%d %s\n", a[key], key)
	}
	return b.String()
}

const allowedHead = `# Private words, comments and names that are still there: COUNT FOLDER RULE WHAT.
# The list only shrinks: an entry that allows more than there is fails the test.
#
#	go test ./internal/tools/vocabulary -run TestPlain -update
#
# removes what applies no longer; it adds nothing.

`
