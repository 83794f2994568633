package controlplane

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"pluginsupervisor/plugin"
)

// timestamp is a time on the page: a relative text, and the exact time.
type timestamp struct{ Machine, Exact, Text string }

func newTimestamp(t time.Time, words string) timestamp {
	return timestamp{t.UTC().Format(time.RFC3339), t.UTC().Format("2006-01-02 15:04:05 UTC"), words}
}

func formatAge(d time.Duration) string {
	switch {
	case d < -time.Minute: // a host's clock may be ahead
		return "in " + formatSpan(-d)
	case d < time.Second:
		return "just now"
	default:
		return formatSpan(d) + " ago"
	}
}

func formatSpan(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", max(0, int(d/time.Second)))
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d/time.Minute))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d/time.Hour))
	default:
		return fmt.Sprintf("%d d", int(d/(24*time.Hour)))
	}
}

// formatSize returns a number of bytes with a unit.
func formatSize(bytes int64) string {
	const kib, mib, gib = 1 << 10, 1 << 20, 1 << 30
	in := func(unit float64, name string) string {
		return fmt.Sprintf("%.1f %s", float64(bytes)/unit, name)
	}
	switch {
	case bytes < kib:
		return fmt.Sprintf("%d B", bytes)
	case bytes < mib:
		return in(kib, "KiB")
	case bytes < gib:
		return in(mib, "MiB")
	default:
		return in(gib, "GiB")
	}
}

// shortenText shortens a text that a host sent to n characters.
func shortenText(n int, text string) string {
	if utf8.RuneCountInString(text) <= n {
		return text
	}
	return string([]rune(text)[:n-1]) + "…"
}

// eventLabel returns the heading of an event.
func eventLabel(id string) string {
	switch id {
	case plugin.EventUpdate:
		return "Upgrade"
	case plugin.EventLocalList:
		return "Inventory"
	case plugin.EventExecute:
		return "Command"
	default:
		return id
	}
}

// summarizeEvent returns an event in one line. Its keywords are untrusted: a host
// may send any text.
func summarizeEvent(e Event) string {
	var k map[string]string
	if json.Unmarshal([]byte(e.Keywords), &k) != nil {
		return e.Keywords
	}
	switch e.ID {
	case plugin.EventUpdate:
		return strings.TrimSpace(k["name"]+" "+k["version"]) + ": " + describeUpgrade(k)
	case plugin.EventExecute:
		return strings.TrimSpace(k["pluginName"]+" "+k["pluginVersion"]) + ": exit " + strings.TrimSpace(k["exitCode"]+" "+k["errorCode"])
	case plugin.EventLocalList:
		if text, ok := describeInventory(k["pluginList"]); ok {
			return text
		}
	}
	pairs := make([]string, 0, len(k))
	for key, value := range k {
		pairs = append(pairs, key+"="+value)
	}
	slices.Sort(pairs)
	return strings.Join(pairs, " ")
}

func describeUpgrade(k map[string]string) string {
	result := "finished with status " + k["status"]
	switch k["status"] {
	case "0":
		return "done"
	case "1":
		result = "failed"
	case "2":
		result = "timed out"
	}
	switch code := k["exitCode"]; {
	case k["errMsg"] != "":
		result += ": " + k["errMsg"]
	case code != "" && code != "0":
		result += ", exit " + code
	}
	return result
}

func describeInventory(list string) (string, bool) {
	var l struct{ Name, Version []string }
	if json.Unmarshal([]byte(list), &l) != nil || len(l.Name) != len(l.Version) {
		return "", false
	}
	all := make([]string, len(l.Name))
	for i := range all {
		all[i] = l.Name[i] + " " + l.Version[i]
	}
	return fmt.Sprintf("%d installed: %s", len(all), strings.Join(all, ", ")), true
}
