package plugincheck

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// textWidth is the width of the text report, in columns.
const textWidth = 80

// WriteResult writes the result of a rule: one line, or of a failed rule a few
// more that say what to do. No line is longer than 80 columns, but for a single
// word that is.
func WriteResult(w io.Writer, r Result) error {
	mark, text := "ok", r.Title
	switch r.Outcome {
	case Failed:
		mark = "FAIL"
	case Skipped:
		mark, text = "skip", r.Reason
	}
	b := wrap(fmt.Sprintf("%-5s %-15s ", mark, r.Rule), text)
	if r.Outcome == Failed {
		b += wrap("        expected  ", r.Expected) + wrap("        got       ", r.Got) + wrap("        to do     ", r.Remedy)
	}
	_, err := io.WriteString(w, b)
	return err
}

// WriteSummary writes the last line of the text report.
func WriteSummary(w io.Writer, r Report) error {
	name := r.Source
	if r.Name != "" {
		name = r.Name + " " + r.Version
	}
	text := fmt.Sprintf("%s: all %d rules passed", name, r.count(Passed))
	if n := r.Failed(); n > 0 {
		text = fmt.Sprintf("%s: %d of %d rules failed", name, n, len(r.Rules))
	}
	if n := r.count(Skipped); n > 0 {
		text += fmt.Sprintf(", %d skipped", n)
	}
	_, err := fmt.Fprintf(w, "%s, in %.1fs\n", text, r.Seconds)
	return err
}

// wrap returns text in lines behind a head, indented by its width. A control
// character, as in the output of a plugin, becomes a blank.
func wrap(head, text string) string {
	indent := strings.Repeat(" ", utf8.RuneCountInString(head))
	var b strings.Builder
	line := head
	words := strings.FieldsFunc(text, func(r rune) bool { return r <= ' ' || r == 0x7f })
	for i, word := range words {
		switch {
		case i == 0:
			line += word
		case utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > textWidth:
			b.WriteString(line + "\n")
			line = indent + word
		default:
			line += " " + word
		}
	}
	return b.String() + strings.TrimRight(line, " ") + "\n"
}
