package layout

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Other programs and later versions of this one find these files: a path that
// changes is an installation that is lost.
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
	} {
		if tc.got != tc.want {
			t.Errorf("got %s, want %s", tc.got, tc.want)
		}
	}
}

func TestFileName(t *testing.T) {
	long := strings.Repeat("n", 251) + ".lock"
	tests := map[string]struct{ name, want string }{
		"short":     {"p.lock", "p.lock"},
		"255 bytes": {strings.Repeat("n", 255), strings.Repeat("n", 255)},
		// 8 hex digits: printf %s NAME | sha256sum
		"256 bytes": {long, strings.Repeat("n", 200) + "-00b51ed1"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := FileName(tt.name); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
	if a, b := FileName(long+"a"), FileName(long+"b"); a == b {
		t.Errorf("two names, one file: %s", a)
	}
}

func TestFilesOfTheLongestNameCanBeMade(t *testing.T) {
	root, name := t.TempDir(), strings.Repeat("n", 255)
	for _, path := range []string{
		NameLock(root, name), VersionLock(root, name, name), Log(root, name), Note(root, Quarantine, name+"@"+name),
	} {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Error(err)
		}
	}
	if path := Note(root, Transactions, name); !IsNote(path) {
		t.Errorf("%s is no note", path)
	}
	if path := Log(root, name); filepath.Ext(path) != ".log" {
		t.Errorf("%s is not found as a log", path)
	}
}
