package plugin

import "strings"

// CompareVersions returns the order of two versions by SPEC 12: -1, 0 or +1. A
// version is split into runs of digits, single dots and other text. Numbers
// compare by value, text by bytes; if the kinds differ, text < end < dot or
// number, so that 1.2rc1 < 1.2 < 1.2.0.
func CompareVersions(a, b string) int {
	for a != "" || b != "" {
		var x, y string
		x, a = nextRun(a)
		y, b = nextRun(b)
		if c := compareRuns(x, y); c != 0 {
			return c
		}
	}
	return 0
}

func nextRun(s string) (run, rest string) {
	if s == "" {
		return "", ""
	}
	if s[0] == '.' {
		return s[:1], s[1:]
	}
	n := 1
	for n < len(s) && s[n] != '.' && isDigit(s[n]) == isDigit(s[0]) {
		n++
	}
	return s[:n], s[n:]
}

func compareRuns(x, y string) int {
	rx, ry := runRank(x), runRank(y)
	switch {
	case rx != ry:
		return sign(rx - ry)
	case rx == rankNumber:
		x, y = strings.TrimLeft(x, "0"), strings.TrimLeft(y, "0")
		if len(x) != len(y) {
			return sign(len(x) - len(y))
		}
	}
	return strings.Compare(x, y)
}

// The ranks of different kinds of runs. In a valid version a dot is never compared
// with a number; a dot ranks lower so that the order is total.
const (
	rankText = iota
	rankEnd
	rankDot
	rankNumber
)

func runRank(s string) int {
	switch {
	case s == "":
		return rankEnd
	case s == ".":
		return rankDot
	case isDigit(s[0]):
		return rankNumber
	default:
		return rankText
	}
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func sign(n int) int {
	switch {
	case n < 0:
		return -1
	case n > 0:
		return 1
	default:
		return 0
	}
}
