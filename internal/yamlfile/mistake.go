package yamlfile

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Mistake is one thing that is wrong in one place; its Error is one line.
type Mistake struct {
	Where string // file:line, variable or flag
	Key   string // "" when Where names it
	Text  string // what is wrong, and what is allowed
}

func (m *Mistake) Error() string { return Line(m.Where, m.Key, m.Text) }

// Line joins the parts of one line, without the empty ones.
func Line(parts ...string) string {
	parts = slices.DeleteFunc(parts, func(s string) bool { return s == "" })
	return strings.Join(parts, ": ")
}

// BadValue says that a value is not what the key allows.
func BadValue(value string, why error, k Kind) string {
	return fmt.Sprintf("%q %v; allowed: %s", Shorten(value), why, k.Allowed())
}

// Shorten keeps a line readable, whatever was written into the file.
func Shorten(s string) string {
	const most = 200
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}

// Suggest returns the name that was probably meant, "" if none is near.
func Suggest(name string, names []string) string {
	best, nearest := "", min(2, len(name)/2)+1
	for _, n := range names {
		if d := distance(strings.ToLower(name), n); d < nearest {
			best, nearest = n, d
		}
	}
	return best
}

// distance is how many letters have to be inserted, deleted, changed or
// swapped with their neighbour to make b of a.
func distance(a, b string) int {
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

// Join is errors.Join of mistakes; nil without any.
func Join(mistakes []*Mistake) error {
	errs := make([]error, len(mistakes))
	for i, m := range mistakes {
		errs[i] = m
	}
	return errors.Join(errs...)
}
