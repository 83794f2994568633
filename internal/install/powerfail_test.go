package install_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"pluginsupervisor/internal/install"
	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/powerfail"
	"pluginsupervisor/plugin"
)

// The content of the folder of agent 1.0.
const (
	absent = "absent"
	older  = "the older package"
	newer  = "the newer package"
)

// The two unpacked packages: modes and content by path.
var packages = map[string]map[string]string{
	older: {
		"config.json": "-rw-r--r-- " + sample()["config.json"],
		"old":         "-rwxr-xr-x " + live,
	},
	newer: {
		"config.json": "-rw-r--r-- " + sample()["config.json"],
		"bin":         "drwxr-xr-x",
		"bin/run":     "-rwxr-xr-x " + sample()["bin/run"],
	},
}

// versionIn returns the package in the folder of agent 1.0, an error if it is
// incomplete.
func versionIn(root string) (string, error) {
	dir := layout.Version(root, "agent", "1.0")
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir || d.Name() == layout.Origin {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, path)
		found[rel] = info.Mode().String()
		if info.Mode().IsRegular() {
			text, failed := os.ReadFile(path)
			found[rel], err = found[rel]+" "+string(text), failed
		}
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return absent, nil
	}
	which := older
	if found["bin"] != "" {
		which = newer
	}
	if diff := cmp.Diff(packages[which], found); diff != "" {
		return "", fmt.Errorf("agent 1.0 is not whole (-want +got):\n%s", diff)
	}
	if verified := install.VerifiedBy(dir, "agent", "1.0"); (verified == plugin.VerifiedUnknown) == (which == newer) {
		return "", fmt.Errorf("%s is verified by %q", which, verified)
	}
	return which, err
}

// unpackOlder makes the older package as another program does.
func unpackOlder(t testing.TB, root string) {
	t.Helper()
	dir := layout.Version(root, "agent", "1.0")
	err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, "old"), []byte(live), 0o755),
		os.WriteFile(filepath.Join(dir, "config.json"), []byte(sample()["config.json"]), 0o644))
	if err != nil {
		t.Fatal(err)
	}
}

// powerTest runs steps with a package. want[n] holds the packages that may be in
// place after a power failure behind step n, once recover has run. After the last
// step nothing is left to recover.
type powerTest struct {
	installed, others bool // the older package is, or another version
	steps             []func(s *install.Staged, root string) error
	recover           func(root, id string, done int) error
	want              [][]string
}

func (p powerTest) run(t *testing.T, kernel func(string) error, flushes powerfail.Flushes) {
	t.Helper()
	var id string
	recording := powerfail.Record(t, func(f powerfail.Folder) {
		root := filepath.Join(f.Path, "base")
		if p.installed {
			unpackOlder(t, root)
		}
		if p.others {
			if err := os.MkdirAll(layout.Version(root, "agent", "0.9"), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		f.Settle()
		unix.Umask(0o077)
		i := newInstaller(t, root, func(c *install.Config) { c.Step = kernel })
		s, err := i.Stage(t.Context(), install.Request{Source: writePackage(t, sample().zip(t))})
		if err != nil {
			t.Fatal(err)
		}
		id = s.StagingID()
		for _, do := range p.steps {
			if err := do(s, root); err != nil {
				t.Fatal(err)
			}
			f.Acknowledge()
		}
		if err := s.Discard(); err != nil {
			t.Fatal(err)
		}
	})
	recording.Check(t, flushes, func(i powerfail.Image) error {
		root := filepath.Join(i.Path, "base")
		if i.Acknowledged == len(p.steps) {
			if got, err := versionIn(root); err != nil || !slices.Contains(p.want[i.Acknowledged], got) {
				return errors.Join(err, fmt.Errorf("before recovery %q is in place, want one of %q", got, p.want[i.Acknowledged]))
			}
		}
		if err := p.recover(root, id, i.Acknowledged); err != nil {
			return err
		}
		later, err := install.New(install.Config{Root: root})
		if err != nil {
			return err
		}
		defer later.Close()
		if _, err := later.Sweep(context.Background()); err != nil {
			return err
		}
		got, err := versionIn(root)
		if err != nil {
			return err
		}
		if want := p.want[i.Acknowledged]; !slices.Contains(want, got) {
			return fmt.Errorf("%s is in place, want one of %q", got, want)
		}
		return nil
	})
}

func placeAs(existing install.Existing) func(*install.Staged, string) error {
	return func(s *install.Staged, _ string) error {
		_, err := s.Place(existing)
		return err
	}
}

// recoverAgent recovers without a transaction.
func recoverAgent(root, _ string, _ int) error { return install.Recover(root, "agent") }

// CL-11, UP-06, EV-32: on every file system, after a power failure, the folder of a
// version is complete, and is the one last put in place.
func TestPowerFailure(t *testing.T) {
	flushes := powerfail.Flushes{}
	for _, fileSystem := range []struct {
		name      string
		kernel    func(string) error
		exchanges bool // it differs for exchanged folders only
	}{
		{"all flags", kernels["all flags"], false},
		{"no flag", kernels["EV-32 EINVAL, no flag"], true},
		{"a lower layer", kernels["EV-32 EXDEV, a lower layer"], true},
		{"plugins on another file system", func(step string) error {
			if slices.Contains([]string{
				"exchange", "rename package", "rename package in place", "rename folder aside", "rename folder back", "rename package back",
			}, step) {
				return unix.EXDEV
			}
			return nil
		}, false},
	} {
		for what, p := range powerTests(fileSystem.kernel) {
			if p.installed || !fileSystem.exchanges {
				t.Run(fileSystem.name+" "+what, func(t *testing.T) { p.run(t, fileSystem.kernel, flushes) })
			}
		}
	}
	const withdrawn = "of a package that is copied back and removed next"
	flushes.CheckNeeded(t, map[string]string{
		"flush of base/supervisor/staging/*/package.zip after write":              "it is unpacked and removed; the flush reports what the disk refuses late",
		"flush of base/supervisor/staging/* after create, remove, rename":         withdrawn,
		"flush of base/supervisor/staging/*/.removed-package after chmod, create": withdrawn,
		"flush of base/supervisor/staging/*/.removed-package/":                    withdrawn,
		"flush of base/plugin/agent after chmod, create, rename":                  "of a package that is copied from staging, where it is removed next; Place flushes it again",
		"flush of base/plugin/agent after create, rename":                         "the same",
		"flush of base/plugin/agent after remove":                                 "of a folder that cannot be renamed; its replacement is flushed next",
		"flush of base/supervisor/replaced after remove":                          "the removed folder was hidden before, and that was flushed",
	})
}

func powerTests(kernel func(string) error) map[string]powerTest {
	type steps = []func(*install.Staged, string) error
	return map[string]powerTest{
		"first": {
			steps: steps{placeAs(install.Refuse)}, recover: recoverAgent,
			want: [][]string{{absent, newer}, {newer}},
		},
		"withdrawn": {
			steps: steps{placeAs(install.Refuse), func(s *install.Staged, _ string) error { return s.Withdraw() }}, recover: recoverAgent,
			want: [][]string{{absent, newer}, {absent, newer}, {absent}},
		},
		"withdrawn beside another version": {
			others: true,
			steps:  steps{placeAs(install.Refuse), func(s *install.Staged, _ string) error { return s.Withdraw() }}, recover: recoverAgent,
			want: [][]string{{absent, newer}, {absent, newer}, {absent}},
		},
		"replaced": {
			installed: true, steps: steps{placeAs(install.Replace)}, recover: recoverAgent,
			want: [][]string{{older, newer}, {newer}},
		},
		"kept and dropped": {
			installed: true,
			steps: steps{
				placeAs(install.Keep), func(_ *install.Staged, root string) error { return install.RemoveReplaced(root, "agent", kernel) },
			},
			recover: func(root, id string, done int) error {
				if done == 0 { // the transaction has not passed the exchange
					return install.PutBack(root, "agent", "1.0", id, nil)
				}
				return install.Recover(root, "agent")
			},
			want: [][]string{{older}, {newer}, {newer}},
		},
		"kept and put back": {
			installed: true,
			steps: steps{placeAs(install.Keep), func(s *install.Staged, root string) error {
				return install.PutBack(root, "agent", "1.0", s.StagingID(), kernel)
			}},
			recover: func(root, id string, done int) error {
				if done < 2 {
					return install.PutBack(root, "agent", "1.0", id, nil)
				}
				return install.Recover(root, "agent")
			},
			want: [][]string{{older}, {older}, {older}},
		},
	}
}

// UP-14: after a power failure during a download a later process gets the complete
// package: at once, or after it has found the partial download damaged.
func TestPowerFailureDuringDownload(t *testing.T) {
	var r install.Request
	var m *mirror
	recording := powerfail.Record(t, func(f powerfail.Folder) {
		z := sample().withFile("data", strings.Repeat("x", 100_000)).zip(t)
		m = newMirror(t, z)
		r = install.Request{Source: m.URL, Name: "agent", SHA256: fmt.Sprintf("%x", sha256.Sum256(z)), Resume: true}
		f.Settle()
		checkStageFails(t, newInstaller(t, filepath.Join(f.Path, "base"), nil), r)
	})
	m.repair()
	recording.Check(t, nil, func(i powerfail.Image) error { return stageAndRead(filepath.Join(i.Path, "base"), r, i.Holed) })
}

// UP-11: after a power failure during a hand-over the receiver gets the complete
// package from the folder or from the source.
func TestPowerFailureDuringHandOver(t *testing.T) {
	var r install.Request
	recording := powerfail.Record(t, func(f powerfail.Folder) {
		r = install.Request{Source: writePackage(t, sample().zip(t)), HandOver: true}
		f.Settle()
		s, err := newInstaller(t, filepath.Join(f.Path, "base"), nil).Stage(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		name, err := s.HandOver()
		if err = errors.Join(err, s.Leave()); err != nil {
			t.Fatal(err)
		}
		r = install.Request{Source: r.Source, Name: "agent", Version: "1.0", Staged: name}
	})
	recording.Check(t, nil, func(i powerfail.Image) error { return stageAndRead(filepath.Join(i.Path, "base"), r, false) })
}

// stageAndRead stages and places a package and reads a file of it. With mayFail it
// stages twice.
func stageAndRead(root string, r install.Request, mayFail bool) error {
	i, err := install.New(install.Config{Root: root, OS: "linux", Arch: "x64"})
	if err != nil {
		return err
	}
	defer i.Close()
	s, err := i.Stage(context.Background(), r)
	if err != nil && mayFail {
		s, err = i.Stage(context.Background(), r)
	}
	if err != nil {
		return err
	}
	to, err := s.Place(install.Refuse)
	if err = errors.Join(err, s.Discard()); err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(to, "bin/run"))
	if err == nil && string(text) != sample()["bin/run"] {
		err = fmt.Errorf("bin/run holds %q", text)
	}
	return err
}
