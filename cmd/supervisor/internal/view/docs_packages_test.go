package view

import (
	"bytes"
	"testing"
	"time"

	"pluginsupervisor/plugin"
)

// packageExamples returns the examples of output about packages, by the name
// of their block in docs/operations.md.
func packageExamples(t *testing.T) map[string]string {
	t.Helper()
	var available, rolledBack bytes.Buffer

	available.WriteString("$ supervisor list --remote\n")
	mustSucceed(t, WritePackages(&available, []Available{
		{Name: "log-agent", Version: "2.4.2", OS: "linux", Arch: "x64", SHA256: "5f0e", Signed: true},
		{Name: "log-agent", Version: "2.4.1", OS: "linux", Arch: "x64", SHA256: "91c2", Signed: true, Installed: true},
		{Name: "metrics", Version: "2.0", MD5: "7d3a"},
	}, Paint{}))

	undone := time.Date(2026, 3, 1, 3, 12, 40, 0, time.UTC)
	now := undone.Add(2 * time.Minute)
	const fault = "2.0 exited 2s after its start"
	const cause = "upgrade to 2.0 rolled back to 1.9.0: " + fault
	metrics := plugin.View{
		Name: "metrics", Version: "1.9.0", Type: plugin.Persist, State: plugin.StateRunning, Since: undone, Why: cause,
		LastHeartbeat: now.Add(-9 * time.Second), HeartbeatInterval: 60, Watch: plugin.WatchCgroup,
		Quarantined: []plugin.QuarantinedVersion{{Name: "metrics", Version: "2.0", Until: undone.Add(24 * time.Hour), Cause: fault}},
	}
	back := plugin.Entry{At: undone, Kind: plugin.EntryState, From: plugin.StateUpgrading, To: plugin.StateRunning, Cause: cause}
	failed := plugin.Entry{At: undone, Kind: plugin.EntryUpgrade, Cause: cause, Failed: true}
	begun := plugin.Entry{At: undone.Add(-9 * time.Second), Kind: plugin.EntryState, From: plugin.StateRunning, To: plugin.StateUpgrading, Cause: "upgrade to 2.0"}
	rolledBack.WriteString("$ supervisor why metrics -n 3\n")
	mustSucceed(t, WriteWhy(&rolledBack, &metrics, []plugin.Entry{back, failed, begun}, WhyOptions{Now: now}))
	rolledBack.WriteString("$ supervisor status metrics\n")
	mustSucceed(t, WriteStatus(&rolledBack, plugin.Snapshot{At: now, Plugins: []plugin.View{metrics}}, StatusOptions{}))

	return map[string]string{"available": available.String(), "rolled back": rolledBack.String()}
}
