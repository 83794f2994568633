package layout

import (
	"path/filepath"
	"testing"
)

// Other programs and later versions of this one use these files: a changed path would
// lose an installation.
func TestPaths(t *testing.T) {
	version := Version("/base", "p", "1.0")
	for _, tc := range []struct{ got, want string }{
		{Plugins("/base"), "/base/plugin"},
		{Plugin("/base", "p"), "/base/plugin/p"},
		{version, "/base/plugin/p/1.0"},
		{filepath.Join(version, Heartbeat), "/base/plugin/p/1.0/heartbeat"},
		{filepath.Join(version, PackageConfig), "/base/plugin/p/1.0/config.json"},
		{filepath.Join(version, Origin), "/base/plugin/p/1.0/.origin.json"},
		{HalfRemoved(version), "/base/plugin/p/.removed-1.0"},
		{filepath.Join(version, Service), "/base/plugin/p/1.0/service.yaml"},
		{Run(version), "/base/plugin/p/1.0/.service/run.json"},
		{ServiceLock(version), "/base/plugin/p/1.0/.service/lock"},
		{ServiceLog(version), "/base/plugin/p/1.0/.service/output.log"},
		{Database("/base"), "/base/plugin/installed_plugins.db"},
		{LegacyList("/base"), "/base/plugin/installed_plugins"},
		{CheckIntervals("/base"), "/base/config/PluginCheckInterval"},
		{NameLock("/base", "p"), "/base/cache/plugin-manager/p.lock"},
		{VersionLock("/base", "p", "1.0"), "/base/cache/plugin-manager/p.v1.0.lock"},
		{Supervisor("/base"), "/base/supervisor"},
		{SupervisorLock("/base"), "/base/supervisor/supervisor.lock"},
		{Socket("/base"), "/base/supervisor/supervisor.sock"},
		{InstanceID("/base"), "/base/supervisor/instance-id"},
		{State("/base"), "/base/supervisor/state.db"},
		{WAL(State("/base")), "/base/supervisor/state.db.wal"},
		{Journal(Supervisor("/base")), "/base/supervisor/journal.jsonl"},
		{OlderJournal(Supervisor("/base")), "/base/supervisor/journal.1.jsonl"},
		{Logs("/base"), "/base/supervisor/log"},
		{Log("/base", "p"), "/base/supervisor/log/p.log"},
		{Staging("/base"), "/base/supervisor/staging"},
		{StagingLock("/base"), "/base/supervisor/staging.lock"},
		{Note("/base", Transactions, "p"), "/base/supervisor/transactions/p.json"},
		{Note("/base", Quarantine, "p@1.0"), "/base/supervisor/quarantine/p@1.0.json"},
		{Note("/base", Sequences, "p"), "/base/supervisor/sequences/p.json"},
		{Note("/base", History, "p"), "/base/supervisor/history/p.json"},
		{Replaced("/base", "p"), "/base/supervisor/replaced/p.old"},
		{Arriving("/base", "p"), "/base/supervisor/replaced/p.new"},
	} {
		if tc.got != tc.want {
			t.Errorf("got %s, want %s", tc.got, tc.want)
		}
	}
}
