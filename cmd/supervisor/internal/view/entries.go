package view

import (
	"fmt"
	"io"
	"strings"
	"time"

	"pluginsupervisor/plugin"
)

// Formats of a time of today, and of another day.
const (
	timeFormat = "15:04:05"
	dateFormat = "Jan _2 15:04:05"
)

// WriteEvent writes an entry of the journal on one line: time, plugin, event, cause,
// decision and next step.
func WriteEvent(w io.Writer, e plugin.Entry, p Paint) error {
	who := CleanLine(strings.TrimSpace(e.Plugin + " " + e.Version))
	if who == "" {
		who = "-"
	}
	line := fmt.Sprintf("%s  %-20s  %s", e.At.Local().Format("2006-01-02 15:04:05"), who, describeEntry(e, p))
	if next := describeNext(e, e.At); next != "" {
		line += " → " + next
	}
	_, err := fmt.Fprintln(w, line)
	return err
}

// WhyOptions holds how the history of a plugin is shown.
type WhyOptions struct {
	Paint  Paint
	Now    time.Time
	Output int // largest number of lines of the plugin's output, the last ones
}

// WriteWhy writes the history of a plugin, newest first, with the decision and the
// last lines of the plugin's output below each entry. v is the current state of the
// plugin, nil if it is unknown.
func WriteWhy(w io.Writer, v *plugin.View, entries []plugin.Entry, o WhyOptions) error {
	var b strings.Builder
	if v != nil {
		about := fmt.Sprintf("for %s, %s", formatSince(o.Now, v.Since), formatCount(v.Restarts, "restart", "restarts"))
		if v.Failures > 0 {
			about += fmt.Sprintf(", %s since it was healthy", formatCount(v.Failures, "failure", "failures"))
		}
		fmt.Fprintf(&b, "%s %s  %s %s\n", o.Paint.Bold(CleanLine(v.Name)), CleanLine(v.Version), o.Paint.colourText(viewColour(*v), v.State.String()), about)
		if now := describeReason(o.Now, *v, 0); now != "" {
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
		if next := describeNext(e, o.Now); next != "" {
			fmt.Fprintf(&b, "%s→ %s\n", indent, next)
		}
		for _, line := range lastLines(e, o.Output) {
			fmt.Fprintf(&b, "%s%s %s\n", indent, o.Paint.Faint("|"), line)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// formatTime returns a time, with the date if that is another day than now.
func formatTime(now, t time.Time) string {
	now, t = now.Local(), t.Local()
	if now.YearDay() != t.YearDay() || now.Year() != t.Year() {
		return t.Format(dateFormat)
	}
	return t.Format(timeFormat)
}

// describeEntry returns the event and its cause.
func describeEntry(e plugin.Entry, p Paint) string {
	var what string
	switch e.Kind {
	case plugin.EntryState:
		what = fmt.Sprintf("%s → %s", e.From, p.colourText(stateColour(e.To), e.To.String()))
	case plugin.EntryExit:
		switch {
		case e.Exit != nil && e.Exit.Late:
			what = p.Bad(fmt.Sprintf("exit cause of pid %d (late)", e.Exit.PID))
		case e.Exit != nil && e.Exit.Partial:
			what = p.Bad("partly exited")
		default:
			what = p.Bad("exited")
		}
	default:
		what = CleanLine(string(e.Kind))
	}
	var why []string
	if e.Exit != nil {
		why = append(why, describeExit(*e.Exit))
	}
	if cause := CleanLine(e.Cause); cause != "" && (e.Exit == nil || !e.Exit.Late && e.Cause != e.Exit.Cause()) {
		why = append(why, cause)
	}
	if len(why) == 0 {
		return what
	}
	return what + ": " + strings.Join(why, "; ")
}

// describeExit returns the exit code or signal of a process, and its pid.
func describeExit(e plugin.Exit) string {
	how := e.Cause()
	if e.Partial { // the cause has the pid
		return how
	}
	if !e.CauseKnown && !e.OOM {
		how = "cause unknown"
	}
	if e.PID > 0 && !e.Late {
		how += fmt.Sprintf(" (pid %d)", e.PID)
	}
	return how
}

// describeNext returns the decision and the next step.
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

// lastLines returns the last n lines of the plugin's output, without empty ones.
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
