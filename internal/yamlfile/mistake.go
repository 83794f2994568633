package yamlfile

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Mistake is one fault in one place; its Error is one line.
type Mistake struct {
	Where string // file:line, variable or flag
	Key   string // "" when Where has it
	Text  string // the fault and the allowed values
}

func (m *Mistake) Error() string { return Line(m.Where, m.Key, m.Text) }

// Line joins the parts of a line that are not empty.
func Line(parts ...string) string {
	parts = slices.DeleteFunc(parts, func(s string) bool { return s == "" })
	return strings.Join(parts, ": ")
}

// BadValue returns the text of a mistake for a value that the key does not allow.
func BadValue(value string, why error, k Kind) string {
	return fmt.Sprintf("%q %v; allowed: %s", Shorten(value), why, k.Allowed())
}

// Shorten limits a text of the file to 200 bytes.
func Shorten(s string) string {
	const most = 200
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}

// Suggest returns the most similar name, "" if none is similar.
func Suggest(name string, names []string) string {
	best, nearest := "", min(2, len(name)/2)+1
	for _, n := range names {
		if d := editDistance(strings.ToLower(name), n); d < nearest {
			best, nearest = n, d
		}
	}
	return best
}

// editDistance returns the number of letters to insert, delete, change or swap with
// their neighbor to turn a into b.
func editDistance(a, b string) int {
	const far = 1 << 20
	if len(a) > 64 {
		return far
	}
	var before []int
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		next := make([]int, len(b)+1)
		next[0] = i + 1
		for j := range len(b) {
			change := 1
			if a[i] == b[j] {
				change = 0
			}
			next[j+1] = min(row[j]+change, row[j+1]+1, next[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				next[j+1] = min(next[j+1], before[j-1]+1)
			}
		}
		before, row = row, next
	}
	return row[len(b)]
}

// Join returns errors.Join of the mistakes, nil for none.
func Join(mistakes []*Mistake) error {
	errs := make([]error, len(mistakes))
	for i, m := range mistakes {
		errs[i] = m
	}
	return errors.Join(errs...)
}
