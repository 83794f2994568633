package view

import (
	"fmt"
	"io"
	"strings"
	"time"

	"pluginsupervisor/plugin"
)

// stamp is a time of the day, and date one of another day.
const (
	timeFormat = "15:04:05"
	dateFormat = "Jan _2 15:04:05"
)

// WriteEvent is an entry of the journal on one line: when, who, what, why, what was
// decided and what comes next.
func WriteEvent(w io.Writer, e plugin.Entry, p Paint) error {
	who := CleanLine(strings.TrimSpace(e.Plugin + " " + e.Version))
	if who == "" {
		who = "-"
	}
	line := fmt.Sprintf("%s  %-20s  %s", e.At.Local().Format("2006-01-02 15:04:05"), who, describeEntry(e, p))
	if then := describeNext(e, e.At); then != "" {
		line += " → " + then
	}
	_, err := fmt.Fprintln(w, line)
	return err
}

// WhyOptions say how the history of a plugin is shown.
type WhyOptions struct {
	Paint  Paint
	Now    time.Time
	Output int // at most so many lines of what the plugin printed, the last ones
}

// WriteWhy writes what happened to a plugin, the newest first, and below each entry
// what was decided and what the plugin printed last. v is what it is now, nil
// where nobody knows.
func WriteWhy(w io.Writer, v *plugin.View, entries []plugin.Entry, o WhyOptions) error {
	var b strings.Builder
	if v != nil {
		about := fmt.Sprintf("for %s, %s", formatSince(o.Now, v.Since), formatCount(v.Restarts, "restart", "restarts"))
		if v.Failures > 0 {
			about += fmt.Sprintf(", %s since it was healthy", formatCount(v.Failures, "failure", "failures"))
		}
		fmt.Fprintf(&b, "%s %s  %s %s\n", o.Paint.Bold(CleanLine(v.Name)), CleanLine(v.Version), o.Paint.colourText(viewColour(*v), v.State.String()), about)
		if now := describeReason(o.Now, *v); now != "" {
			fmt.Fprintf(&b, "%s\n", now)
		}
		if len(entries) > 0 {
			fmt.Fprintln(&b)
		}
	}
	agoWide, clockWide := 0, 0
	for _, e := range entries {
		agoWide, clockWide = max(agoWide, len(formatSince(o.Now, e.At))), max(clockWide, len(formatTime(o.Now, e.At)))
	}
	indent := strings.Repeat(" ", agoWide+len(" ago  ")+clockWide+2)
	for _, e := range entries {
		fmt.Fprintf(&b, "%*s ago  %*s  %s\n", agoWide, formatSince(o.Now, e.At), clockWide, formatTime(o.Now, e.At), describeEntry(e, o.Paint))
		if then := describeNext(e, o.Now); then != "" {
			fmt.Fprintf(&b, "%s→ %s\n", indent, then)
		}
		for _, line := range lastLines(e, o.Output) {
			fmt.Fprintf(&b, "%s%s %s\n", indent, o.Paint.Faint("|"), line)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// formatTime is a time as a clock shows it, with the date if that is another day.
func formatTime(now, t time.Time) string {
	now, t = now.Local(), t.Local()
	if now.YearDay() != t.YearDay() || now.Year() != t.Year() {
		return t.Format(dateFormat)
	}
	return t.Format(timeFormat)
}

// describeEntry is what happened, and why.
func describeEntry(e plugin.Entry, p Paint) string {
	var what string
	switch e.Kind {
	case plugin.EntryState:
		what = fmt.Sprintf("%s → %s", e.From, p.colourText(stateColour(e.To), e.To.String()))
	case plugin.EntryExit:
		what = p.Bad("ended")
		if e.Exit != nil && e.Exit.Partial {
			what = p.Bad("partly ended")
		}
	default:
		what = CleanLine(string(e.Kind))
	}
	var why []string
	if e.Exit != nil {
		why = append(why, describeExit(*e.Exit))
	}
	if cause := CleanLine(e.Cause); cause != "" && (e.Exit == nil || e.Cause != e.Exit.Cause()) {
		why = append(why, cause)
	}
	if len(why) == 0 {
		return what
	}
	return what + ": " + strings.Join(why, "; ")
}

// describeExit is how a process ended: its code or signal, and which it was.
func describeExit(e plugin.Exit) string {
	how := e.Cause()
	if e.Partial { // it names the process
		return how
	}
	if !e.CauseKnown && !e.OOM {
		how = "cause unknown" // that it ended is said already
	}
	if e.PID > 0 {
		how += fmt.Sprintf(" (pid %d)", e.PID)
	}
	if e.Late {
		how += ", as was known later"
	}
	return how
}

// describeNext is what was decided, and what comes next.
func describeNext(e plugin.Entry, now time.Time) string {
	var parts []string
	if e.Decision != "" {
		parts = append(parts, CleanLine(e.Decision))
	}
	next := CleanLine(e.Next)
	if !e.NextAt.IsZero() {
		at := "at " + e.NextAt.Local().Format(timeFormat)
		if left := e.NextAt.Sub(now).Round(time.Second); left > 0 {
			at += " (in " + FormatSpan(left) + ")"
		}
		next = strings.TrimSpace(next + " " + at)
	}
	if next != "" {
		parts = append(parts, "next: "+next)
	}
	return strings.Join(parts, "; ")
}

// lastLines are the last n lines of what the plugin printed, without empty ones.
func lastLines(e plugin.Entry, n int) []string {
	output := e.Output
	if e.Exit != nil && e.Exit.Output != "" {
		output = e.Exit.Output
	}
	var lines []string
	for line := range strings.Lines(output) {
		if line := strings.TrimRight(cutLine(CleanText(line)), " "); line != "" {
			lines = append(lines, line)
		}
	}
	return lines[max(0, len(lines)-n):]
}
