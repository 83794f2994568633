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

// What the folder of agent 1.0 is.
const (
	absent = "absent"
	older  = "the older package"
	newer  = "the newer package"
)

// The two packages as they are unpacked: modes and contents by path.
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

// versionIn returns which package the folder of agent 1.0 is, an error unless it
// is whole.
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

// unpackOlder places the older package as another program has.
func unpackOlder(t testing.TB, root string) {
	t.Helper()
	dir := layout.Version(root, "agent", "1.0")
	err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, "old"), []byte(live), 0o755),
		os.WriteFile(filepath.Join(dir, "config.json"), []byte(sample()["config.json"]), 0o644))
	if err != nil {
		t.Fatal(err)
	}
}

// powerTest is what is done with a package, step by step, and which packages may be
// in place over a failure after so many steps, once end has ended what was cut
// short. After the last step there is nothing to end.
type powerTest struct {
	there, others bool // the older package is, or another version
	do            []func(s *install.Staged, root string) error
	end           func(root, id string, done int) error
	want          [][]string
}

func (p powerTest) run(t *testing.T, kernel func(string) error, flushes powerfail.Flushes) {
	t.Helper()
	var id string
	recording := powerfail.Record(t, func(f powerfail.Folder) {
		root := filepath.Join(f.Path, "base")
		if p.there {
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
		s, err := i.Stage(t.Context(), install.Request{Source: write(t, sample().zip(t))})
		if err != nil {
			t.Fatal(err)
		}
		id = s.StagingID()
		for _, do := range p.do {
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
		if i.Acknowledged == len(p.do) {
			if got, err := versionIn(root); err != nil || !slices.Contains(p.want[i.Acknowledged], got) {
				return errors.Join(err, fmt.Errorf("before anything is ended, in place is %q", got))
			}
		}
		if err := p.end(root, id, i.Acknowledged); err != nil {
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
			return fmt.Errorf("in place is %s, want one of %q", got, want)
		}
		return nil
	})
}

func placing(existing install.Existing) func(*install.Staged, string) error {
	return func(s *install.Staged, _ string) error {
		_, err := s.Place(existing)
		return err
	}
}

// recoverAgent ends what no transaction knows of.
func recoverAgent(root, _ string, _ int) error { return install.Recover(root, "agent") }

// CL-11, UP-06, EV-32: on every file system, over a power failure, the folder of a
// version is whole, and is the one that was last put in place.
func TestPowerFailure(t *testing.T) {
	flushes := powerfail.Flushes{}
	for _, fileSystem := range []struct {
		name      string
		kernel    func(string) error
		exchanges bool // it differs for what is exchanged only
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
			if p.there || !fileSystem.exchanges {
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
		"flush of base/plugin/agent after remove":                                 "of a folder that cannot be renamed; what takes its place is flushed next",
		"flush of base/supervisor/replaced after remove":                          "what is removed was hidden before, and that flushed",
	})
}

func powerTests(kernel func(string) error) map[string]powerTest {
	type steps = []func(*install.Staged, string) error
	return map[string]powerTest{
		"first": {
			do: steps{placing(install.Refuse)}, end: recoverAgent,
			want: [][]string{{absent, newer}, {newer}},
		},
		"withdrawn": {
			do: steps{placing(install.Refuse), func(s *install.Staged, _ string) error { return s.Withdraw() }}, end: recoverAgent,
			want: [][]string{{absent, newer}, {absent, newer}, {absent}},
		},
		"withdrawn beside another version": {
			others: true,
			do:     steps{placing(install.Refuse), func(s *install.Staged, _ string) error { return s.Withdraw() }}, end: recoverAgent,
			want: [][]string{{absent, newer}, {absent, newer}, {absent}},
		},
		"replaced": {
			there: true, do: steps{placing(install.Replace)}, end: recoverAgent,
			want: [][]string{{older, newer}, {newer}},
		},
		"kept and dropped": {
			there: true,
			do: steps{
				placing(install.Keep), func(_ *install.Staged, root string) error { return install.DropReplaced(root, "agent", kernel) },
			},
			end: func(root, id string, done int) error {
				if done == 0 { // the transaction is not further than the exchange
					return install.PutBack(root, "agent", "1.0", id, nil)
				}
				return install.Recover(root, "agent")
			},
			want: [][]string{{older}, {newer}, {newer}},
		},
		"kept and put back": {
			there: true,
			do: steps{placing(install.Keep), func(s *install.Staged, root string) error {
				return install.PutBack(root, "agent", "1.0", s.StagingID(), kernel)
			}},
			end: func(root, id string, done int) error {
				if done < 2 {
					return install.PutBack(root, "agent", "1.0", id, nil)
				}
				return install.Recover(root, "agent")
			},
			want: [][]string{{older}, {older}, {older}},
		},
	}
}

// UP-14: whatever a power failure leaves of a download, a later process gets the
// package whole: at once, or when it has found that what was left is damaged.
func TestPowerFailureDuringDownload(t *testing.T) {
	var r install.Request
	var m *mirror
	recording := powerfail.Record(t, func(f powerfail.Folder) {
		z := sample().with("data", strings.Repeat("x", 100_000)).zip(t)
		m = newMirror(t, z)
		r = install.Request{Source: m.URL, Name: "agent", SHA256: fmt.Sprintf("%x", sha256.Sum256(z)), Resume: true}
		f.Settle()
		fails(t, newInstaller(t, filepath.Join(f.Path, "base"), nil), r)
	})
	m.mend()
	recording.Check(t, nil, func(i powerfail.Image) error { return stages(filepath.Join(i.Path, "base"), r, i.Holed) })
}

// UP-11: whatever a power failure leaves of a folder that was handed over, it is
// taken over whole, or the source is used.
func TestPowerFailureDuringHandOver(t *testing.T) {
	var r install.Request
	recording := powerfail.Record(t, func(f powerfail.Folder) {
		r = install.Request{Source: write(t, sample().zip(t)), HandOver: true}
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
	recording.Check(t, nil, func(i powerfail.Image) error { return stages(filepath.Join(i.Path, "base"), r, false) })
}

// stages stages and places a package, at the second try if the first may fail.
func stages(root string, r install.Request, mayFail bool) error {
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
