package view

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"pluginsupervisor/plugin"
)

// StatusOptions holds how a snapshot is shown.
type StatusOptions struct {
	Paint   Paint
	Verbose bool // also the supervisor and its timers
}

// WriteStatus writes the plugins of the snapshot as a table, and below it lines about
// pending reports, packages, problems and damage. Times are relative to that of the
// snapshot.
func WriteStatus(w io.Writer, s plugin.Snapshot, o StatusOptions) error {
	var b strings.Builder
	if o.Verbose {
		writeAbout(&b, s)
	}
	if len(s.Plugins) == 0 {
		fmt.Fprintln(&b, "no plugins are installed")
	} else {
		writeTable(&b, s, o.Paint)
	}
	writeProblems(&b, s, o.Paint)
	if o.Verbose {
		writeTimers(&b, s)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func writeAbout(w io.Writer, s plugin.Snapshot) {
	a := s.Supervisor
	fmt.Fprintf(w, "supervisor %s, pid %d, up %s, root %s, manager %s, instance %s\n\n",
		CleanLine(a.Version), a.PID, formatSince(s.At, a.Started), CleanLine(a.Root), CleanLine(a.Manager), CleanLine(a.InstanceID))
}

func writeTable(w io.Writer, s plugin.Snapshot, p Paint) {
	var b strings.Builder
	tw := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintf(tw, "NAME\tVERSION\t%s\tSINCE\tRESTARTS\tHEALTH\tWHY / NEXT\n", p.colourText(plain, "STATE"))
	for _, v := range s.Plugins {
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%d\t%s\t%s\n", CleanLine(v.Name), CleanLine(v.Version),
			p.colourText(viewColour(v), v.State.String()), formatSince(s.At, v.Since), v.Restarts, describeHealth(s.At, v), describeReason(s.At, v, scanInterval(s)))
	}
	_ = tw.Flush() // into memory
	for line := range strings.Lines(b.String()) {
		fmt.Fprintln(w, strings.TrimRight(line, " \n")) // without the blanks of an empty last cell
	}
}

func viewColour(v plugin.View) colour {
	if v.State == plugin.StateInstalled && !v.IsHealthy() {
		return yellow
	}
	return stateColour(v.State)
}

func stateColour(s plugin.State) colour {
	switch s {
	case plugin.StateRunning:
		return green
	case plugin.StateCrashLoop:
		return red
	case plugin.StateRemoved, plugin.StateInstalled:
		return plain
	default:
		return yellow
	}
}

func describeHealth(now time.Time, v plugin.View) string {
	if v.HeartbeatInterval <= 0 || v.LastHeartbeat.IsZero() {
		return "-"
	}
	return fmt.Sprintf("heartbeat %s/%gs", formatSince(now, v.LastHeartbeat), v.HeartbeatInterval)
}

// scanInterval returns the interval of the scans, 0 if it is unknown.
func scanInterval(s plugin.Snapshot) time.Duration {
	for _, t := range s.Timers {
		if t.Name == "scan" {
			return time.Duration(t.Seconds * float64(time.Second))
		}
	}
	return 0
}

// describeReason returns the cause of the plugin's state and the next step. scans is
// the interval of the scans, 0 if it is unknown.
func describeReason(now time.Time, v plugin.View, scans time.Duration) string {
	var parts []string
	if v.Duplicate {
		parts = append(parts, "duplicate record")
	}
	if v.Why != "" {
		parts = append(parts, CleanLine(v.Why))
	}
	switch {
	case v.Next == "":
	case v.NextAt.IsZero():
		parts = append(parts, CleanLine(v.Next))
	default:
		parts = append(parts, CleanLine(v.Next)+" in "+FormatSpan(v.NextAt.Sub(now).Round(time.Second)))
	}
	if isUnwatched(v) {
		text := "exit detected at the next scan only"
		if scans > 0 {
			text += " (≤ " + FormatSpan(scans) + ")"
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, ", ")
}

// isUnwatched reports whether the plugin runs and its exit causes no event (EV-04).
func isUnwatched(v plugin.View) bool {
	return v.Type == plugin.Persist && !v.Duplicate && v.Watch == plugin.WatchScan &&
		(v.State == plugin.StateRunning || v.State == plugin.StateDegraded)
}

func writeTimers(w io.Writer, s plugin.Snapshot) {
	fmt.Fprintln(w)
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "TIMER\tEVERY\tNEXT\tSKIPPED")
	for _, t := range s.Timers {
		next := "now"
		switch {
		case t.Running:
			next = "running"
		case t.Due.IsZero():
			next = "-"
		case t.Due.After(s.At):
			next = "in " + FormatSpan(t.Due.Sub(s.At).Round(time.Second))
		}
		every := time.Duration(t.Seconds * float64(time.Second))
		fmt.Fprintf(tw, "%s\t%s\t%s\t%d\n", t.Name, FormatSpan(every), next, t.Skipped)
	}
	_ = tw.Flush() // into memory
}
