package view

import (
	"fmt"
	"strings"
	"time"
	"unicode"
)

// FormatSpan returns a duration in at most two units: 4s, 12m, 3h12m, 3d4h.
func FormatSpan(d time.Duration) string {
	d = max(d, 0)
	s := int64(d / time.Second)
	m, h, days := s/60, s/3600, s/86400
	switch {
	case s < 60:
		return fmt.Sprintf("%ds", s)
	case m < 10 && s%60 != 0:
		return fmt.Sprintf("%dm%ds", m, s%60)
	case m < 60:
		return fmt.Sprintf("%dm", m)
	case h < 24 && m%60 != 0:
		return fmt.Sprintf("%dh%dm", h, m%60)
	case h < 24:
		return fmt.Sprintf("%dh", h)
	case h%24 != 0:
		return fmt.Sprintf("%dd%dh", days, h%24)
	default:
		return fmt.Sprintf("%dd", days)
	}
}

// formatSince returns the span from t to now, a dash for the zero time.
func formatSince(now, t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return FormatSpan(now.Sub(t))
}

// maxLine bounds the text of other programs in a line, in characters.
const maxLine = 160

// CleanLine returns s as one line for a terminal: without control characters and line
// breaks, with single blanks, cut to maxLine characters.
func CleanLine(s string) string {
	return cutLine(strings.Join(strings.Fields(CleanText(s)), " "))
}

// CleanText returns s for a terminal: without control characters, tabs as blanks. It
// does not cut.
func CleanText(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsPrint(r): // also marks of the writing direction
			return '·'
		default:
			return r
		}
	}, strings.ReplaceAll(strings.ToValidUTF8(s, "·"), "\t", "    "))
}

func cutLine(s string) string {
	if r := []rune(s); len(r) > maxLine {
		return string(r[:maxLine-1]) + "…"
	}
	return s
}

func formatCount(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
