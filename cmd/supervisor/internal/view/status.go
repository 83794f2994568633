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

// Status writes the plugins of the snapshot as a table, and below it, as short
// lines, whatever is wrong beyond the plugins: what the control plane was not
// told, what cannot be read, what is tried again. Times are relative to the
// snapshot's.
func Status(w io.Writer, s plugin.Snapshot, o StatusOptions) error {
	var b strings.Builder
	if o.Verbose {
		about(&b, s)
	}
	if len(s.Plugins) == 0 {
		fmt.Fprintln(&b, "no plugins are installed")
	} else {
		table(&b, s, o.Paint)
	}
	troubles(&b, s, o.Paint)
	if o.Verbose {
		timers(&b, s)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func about(w io.Writer, s plugin.Snapshot) {
	a := s.Supervisor
	fmt.Fprintf(w, "supervisor %s, pid %d, up %s, root %s, manager %s, instance %s\n\n",
		Line(a.Version), a.PID, since(s.At, a.Started), Line(a.Root), Line(a.Manager), Line(a.InstanceID))
}

func table(w io.Writer, s plugin.Snapshot, p Paint) {
	var b strings.Builder
	tw := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintf(tw, "NAME\tVERSION\t%s\tSINCE\tRESTARTS\tHEALTH\tWHY / NEXT\n", p.in(plain, "STATE"))
	for _, v := range s.Plugins {
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%d\t%s\t%s\n", Line(v.Name), Line(v.Version),
			p.in(viewColour(v), v.State.String()), since(s.At, v.Since), v.Restarts, health(s.At, v), reason(s.At, v))
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

func health(now time.Time, v plugin.View) string {
	if v.HeartbeatInterval <= 0 || v.LastHeartbeat.IsZero() {
		return "-"
	}
	return fmt.Sprintf("heartbeat %s/%gs", since(now, v.LastHeartbeat), v.HeartbeatInterval)
}

// reason is what brought the plugin here, and what will happen next.
func reason(now time.Time, v plugin.View) string {
	var parts []string
	if v.Duplicate {
		parts = append(parts, "duplicate record")
	}
	if v.Why != "" {
		parts = append(parts, Line(v.Why))
	}
	switch {
	case v.Next == "":
	case v.NextAt.IsZero():
		parts = append(parts, Line(v.Next))
	default:
		parts = append(parts, Line(v.Next)+" in "+Span(v.NextAt.Sub(now).Round(time.Second)))
	}
	if unwatched(v) {
		parts = append(parts, "its end is noticed by scan only")
	}
	return strings.Join(parts, ", ")
}

// unwatched tells whether the plugin runs and no event will tell of its end (EV-04).
func unwatched(v plugin.View) bool {
	return v.Type == plugin.Persist && !v.Duplicate && v.Watch == plugin.WatchScan &&
		(v.State == plugin.StateRunning || v.State == plugin.StateDegraded)
}

func timers(w io.Writer, s plugin.Snapshot) {
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
			next = "in " + Span(t.Due.Sub(s.At).Round(time.Second))
		}
		every := time.Duration(t.Seconds * float64(time.Second))
		fmt.Fprintf(tw, "%s\t%s\t%s\t%d\n", t.Name, Span(every), next, t.Skipped)
	}
	_ = tw.Flush() // into memory
}
