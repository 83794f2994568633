package view

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"pluginsupervisor/plugin"
)

// StatusOptions say how a snapshot is shown.
type StatusOptions struct {
	Paint   Paint
	Verbose bool // also the supervisor itself and its timers
}

// WriteStatus writes the plugins of the snapshot as a table, and below it, as short
// lines, whatever is wrong beyond the plugins: what the control plane was not
// told, what cannot be read, what is tried again. Times are relative to the
// snapshot's.
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
			p.colourText(viewColour(v), v.State.String()), formatSince(s.At, v.Since), v.Restarts, describeHealth(s.At, v), describeReason(s.At, v))
	}
	_ = tw.Flush() // into memory
	for line := range strings.Lines(b.String()) {
		fmt.Fprintln(w, strings.TrimRight(line, " \n")) // the last cell may be empty
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

// describeReason is what brought the plugin here, and what will happen next.
func describeReason(now time.Time, v plugin.View) string {
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
		parts = append(parts, "its end is noticed by scan only")
	}
	return strings.Join(parts, ", ")
}

// isUnwatched tells whether the plugin runs and no event will tell of its end (EV-04).
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
