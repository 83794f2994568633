package layout

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"pluginsupervisor/plugin"
)

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
		t.Errorf("two names have the same file: %s", a)
	}
}

// allowedNames returns names and versions that SPEC 1 allows.
func allowedNames() []string {
	long := strings.Repeat("n", 255)
	names := []string{
		"p", "a b", "云助手", "a@b", "a@b@c", "a:b~c", ".hidden", "-x", "x.v1.0", "p.lock", "p.new", "p.json", "...", "%2F", "a?b#c", `a"b'c`,
		"cgroup.procs", "memory.max", "tasks", strings.Repeat("云", 85), strings.TrimSuffix(filepath.Base(Note("/", Transactions, long)), ".json"),
	}
	for length := 190; length <= 255; length++ {
		names = append(names, long[:length])
	}
	random := rand.New(rand.NewPCG(1, 2))
	for len(names) < 140 {
		raw := make([]rune, 1+random.IntN(90))
		for i := range raw {
			raw[i] = []rune("aZ0.@-_ ~:+云é\u202e😀")[random.IntN(15)]
		}
		if name := string(raw); plugin.CheckName(name) == nil {
			names = append(names, name)
		}
	}
	return names
}

// SPEC 1: every allowed name and version has files of its own at every place, which
// can be created.
func TestEveryNameAtEveryPlace(t *testing.T) {
	root, owners := t.TempDir(), map[string]string{}
	make := func(owner, path string) {
		t.Helper()
		if other, taken := owners[path]; taken && other != owner {
			t.Errorf("%q and %q have the same file: %s", owner, other, path)
		}
		owners[path] = owner
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o600); err != nil && !os.IsExist(err) {
			t.Errorf("%q: %v", owner, err)
		}
	}
	names := allowedNames()
	for i, name := range names {
		if err := plugin.CheckName(name); err != nil {
			t.Fatal(err)
		}
		version := names[len(names)-1-i]
		make(name, NameLock(root, name))
		make(name, Log(root, name))
		if path := Log(root, name); filepath.Ext(path) != ".log" {
			t.Errorf("%s does not match the pattern of logs", path)
		}
		make(name, Replaced(root, name))
		make(name, Arriving(root, name))
		make(name+" "+version, Note(root, Quarantine, PairName(name, version)))
		for _, folder := range []string{Transactions, Sequences, History} {
			path := Note(root, folder, name)
			make(name, path)
			if !IsNote(path) {
				t.Errorf("%s is no note", path)
			}
			make(name, filepath.Dir(path)+"/"+SuffixedName(filepath.Base(path), ".new"))
		}
		make(name, HalfRemoved(filepath.Join(root, "aside", name)))
		if half := filepath.Base(HalfRemoved(filepath.Join(root, name))); plugin.CheckName(half) == nil {
			t.Errorf("%q is a valid name of a plugin", half)
		}
		make(name, filepath.Join(root, "leaves", CgroupName(name)))
	}
}

// SPEC 1: the name lock of a plugin and its version locks are different files, also
// where one of them belongs to another plugin. So no plugin waits for itself.
func TestNameLockDiffersFromVersionLocks(t *testing.T) {
	for _, name := range allowedNames() {
		for _, version := range []string{"1.0", name, strings.Repeat("n", 255)} {
			if NameLock("/", name) == VersionLock("/", name, version) {
				t.Errorf("%q %q: name lock and version lock are the same file", name, version)
			}
		}
	}
	if NameLock("/", "x.v1.0") != VersionLock("/", "x", "1.0") {
		t.Error("the lock has not the name that the existing plugin manager uses")
	}
}

func TestPairName(t *testing.T) {
	if got := PairName("p", "1.0"); got != "p@1.0" {
		t.Errorf("got %s", got)
	}
	if PairName("a@b", "c") == PairName("a", "b@c") {
		t.Error("two versions have the same name")
	}
}

// SPEC 1: a plugin may have the name of a file of the kernel; its cgroup has another.
func TestCgroupName(t *testing.T) {
	for name, own := range map[string]bool{
		"p": true, "cgroups.x": true, "memoryx": true, "memory": true, "my.cpu": true,
		"cgroup.procs": false, "memory.max": false, "cpu.x": false, "tasks": false,
	} {
		if got := CgroupName(name); (got == name) != own {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func FuzzSuffixedName(f *testing.F) {
	for _, name := range allowedNames() {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if plugin.CheckName(name) != nil {
			return
		}
		for _, suffix := range []string{".log", ".json", ".new", ".old"} {
			got := SuffixedName(name, suffix)
			if len(got) > maxName || !strings.HasSuffix(got, suffix) || strings.ContainsRune(got, '/') {
				t.Errorf("%q: %q", name, got)
			}
			if len(name)+len(suffix) <= maxName && utf8.ValidString(name) && !looksShortened(name) && got != name+suffix {
				t.Errorf("%q is shortened to %q", name, got)
			}
		}
	})
}
