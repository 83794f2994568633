package view

import (
	"fmt"
	"io"
	"strings"
	"time"

	"pluginsupervisor/plugin"
)

// writeProblems writes the lines below the table.
func writeProblems(w io.Writer, s plugin.Snapshot, p Paint) {
	r := s.Reports
	if r.Pending > 0 || r.Events > 0 {
		var what []string
		if r.Pending > 0 {
			what = append(what, formatCount(r.Pending, "status", "statuses"))
		}
		if r.Events > 0 {
			what = append(what, formatCount(r.Events, "event", "events"))
		}
		line := strings.Join(what, " and ") + " not reported yet"
		if !r.PendingSince.IsZero() {
			line += " for " + formatSince(s.At, r.PendingSince)
		}
		if r.LastError != "" {
			line += ": " + CleanLine(r.LastError)
		}
		if !r.NextTry.IsZero() {
			line += fmt.Sprintf(", try %d in %s", r.Attempts+1, FormatSpan(r.NextTry.Sub(s.At).Round(time.Second)))
		}
		fmt.Fprintln(w, p.Note("pending:"), line)
	}
	for _, v := range s.Plugins {
		for _, limit := range v.UnenforcedLimits { // "memory: no controller" (EV-17)
			what, why, _ := strings.Cut(limit, ": ")
			fmt.Fprintf(w, "%s %s of %s not enforced: %s\n", p.Note("limit:"), CleanLine(what), CleanLine(v.Name), CleanLine(why))
		}
	}
	writePackageLines(w, s, p)
	for _, t := range s.Problems {
		fmt.Fprintf(w, "%s %s (for %s)\n", p.Bad("problem:"), CleanLine(t.String()), formatSince(s.At, t.Since))
	}
	for _, d := range s.Damaged {
		fmt.Fprintf(w, "%s %s: %s\n", p.Bad("damaged:"), CleanLine(d.Where), CleanLine(d.Why))
	}
}

// writePackageLines writes the lines about packages: those that are being fetched,
// unverified ones, and blocked versions.
func writePackageLines(w io.Writer, s plugin.Snapshot, p Paint) {
	for _, f := range s.Fetches {
		fmt.Fprintf(w, "%s %s %s: %s\n", p.Note("fetching:"), CleanLine(f.Name), CleanLine(f.Version), FormatFetched(f.Done, f.Total))
	}
	for _, v := range s.Plugins {
		if c := v.Change; c != nil && c.Phase != "fetching" {
			fmt.Fprintf(w, "%s %s: %s, %s for %s\n", p.Note("change:"), CleanLine(v.Name), CleanLine(c.What), c.Phase, formatSince(s.At, c.Since))
		}
	}
	unverified := map[plugin.Verified][]string{}
	for _, v := range s.ListUnverified() {
		unverified[v.Verified] = append(unverified[v.Verified], CleanLine(v.Name)+" "+CleanLine(v.Version))
	}
	for _, by := range []plugin.Verified{plugin.ByMD5, plugin.ByNothing} {
		if some := unverified[by]; len(some) > 0 {
			fmt.Fprintf(w, "%s %s: %s\n", p.Note("unverified:"), joinNames(some), by.Describe())
		}
	}
	for _, v := range s.Plugins {
		for _, b := range v.Quarantined {
			fmt.Fprintf(w, "%s version %s of %s until %s (for %s): %s\n", p.Note("blocked:"), CleanLine(b.Version), CleanLine(b.Name),
				b.Until.Local().Format("2006-01-02 15:04"), FormatSpan(b.Until.Sub(s.At)), CleanLine(b.Cause))
		}
	}
	writeBlocked(w, s, p)
}

// writeBlocked writes the lines about assigned versions that cannot be installed
// (UP-14).
func writeBlocked(w io.Writer, s plugin.Snapshot, p Paint) {
	for _, b := range s.Blocked {
		next := "at the next update check"
		if b.Next.After(s.At) {
			next = "not before " + b.Next.Local().Format("2006-01-02 15:04") + " (in " + FormatSpan(b.Next.Sub(s.At).Round(time.Second)) + ")"
		}
		fmt.Fprintf(w, "%s version %s of %s cannot be installed: %s (%s for %s), next try %s\n", p.Note("blocked:"), CleanLine(b.Version), CleanLine(b.Name),
			CleanLine(b.Cause), formatCount(b.Tries, "try", "tries"), formatSince(s.At, b.Since), next)
	}
}

// maxNames bounds the names in one line.
const maxNames = 8

func joinNames(names []string) string {
	if more := len(names) - maxNames; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:maxNames], ", "), more)
	}
	return strings.Join(names, ", ")
}

// FormatFetched returns how much of a package is fetched; total is not positive if it
// is unknown.
func FormatFetched(done, total int64) string {
	if total <= 0 {
		return fmt.Sprintf("%.1f MB", toMegabytes(done))
	}
	return fmt.Sprintf("%d %%, %.1f of %.1f MB", done*100/total, toMegabytes(done), toMegabytes(total))
}

func toMegabytes(bytes int64) float64 { return float64(bytes) / 1e6 }
