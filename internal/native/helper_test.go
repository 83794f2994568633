package native

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	logtest "github.com/sirupsen/logrus/hooks/test"

	"pluginsupervisor/internal/failpoint"
	"pluginsupervisor/internal/install"
	"pluginsupervisor/internal/pkgcheck/pkgchecktest"
	"pluginsupervisor/internal/process"
	"pluginsupervisor/internal/record"
	"pluginsupervisor/internal/registry"
	"pluginsupervisor/internal/transaction"
	"pluginsupervisor/plugin"
)

// fixture is a root with a manager, and plugins that are shell scripts.
type fixture struct {
	t        testing.TB
	root     string
	registry *registry.Registry
	runner   *process.Runner
	logs     *logtest.Hook
	*Manager
}

// newFixture makes a root. Its plugins' processes are gone when the test ends: all
// are children of verbs that the Runner kills.
func newFixture(t testing.TB, change ...func(*Options)) *fixture {
	t.Helper()
	log, hook := logtest.NewNullLogger()
	log.SetLevel(logrus.DebugLevel)
	root := t.TempDir()
	o := Options{
		Root: root, Runner: process.NewRunner(process.Options{Grace: 50 * time.Millisecond}),
		Registry: registry.New(registry.Options{Root: root}), Grace: 50 * time.Millisecond,
		AllowDowngrade: true, Log: log, LocalOS: "linux", LocalArch: "x64",
	}
	for _, c := range change {
		c(&o)
	}
	b := &fixture{t: t, root: o.Root, registry: o.Registry, runner: o.Runner.(*process.Runner), logs: hook, Manager: New(o)}
	b.quietPeriod = 10 * time.Millisecond
	return b
}

// okScript runs while the file `running` is in its folder. Other scripts are put
// before it.
const okScript = `
case "$1" in
--status) test -e "$PLUGIN_DIR/running" ;;
--start)  touch "$PLUGIN_DIR/running" ;;
--stop)   rm -f "$PLUGIN_DIR/running" ;;
--upgrade) touch "$PLUGIN_DIR/running" ;;
esac
`

// unpack writes a version's folder without recording it. Its script writes each verb
// to ROOT/calls. config replaces the package's config.json if it is not empty.
func (b *fixture) unpack(name, version, script, config string) string {
	b.t.Helper()
	dir := filepath.Join(b.root, "plugin", name, version)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		b.t.Fatal(err)
	}
	if config == "" {
		config = fmt.Sprintf(`{"name":%q,"version":%q,"runPath":"run","pluginType":"Persist","timeout":"20"}`, name, version)
	}
	script = "#!/bin/sh\necho \"$1 $(basename \"$PLUGIN_DIR\") from $(basename \"$PRE_PLUGIN_DIR\")\" >> " + b.root + "/calls\n" + script
	for file, content := range map[string]string{"run": script, "config.json": config} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(content), 0o755); err != nil {
			b.t.Fatal(err)
		}
	}
	return dir
}

// install unpacks a package and records it, with the timeout in seconds.
func (b *fixture) install(name, version, script, timeout string) plugin.Plugin {
	b.t.Helper()
	b.unpack(name, version, script, "")
	return b.putRecord(record.Record{Name: name, Version: version, RunPath: "run", Type: plugin.Persist, Timeout: timeout})
}

func (b *fixture) putRecord(r record.Record) plugin.Plugin {
	b.t.Helper()
	if _, err := b.registry.Put(b.t.Context(), r); err != nil {
		b.t.Fatal(err)
	}
	return b.findPlugin(r.Name)
}

func (b *fixture) findPlugin(name string) plugin.Plugin {
	b.t.Helper()
	r, found, err := b.registry.Find(b.t.Context(), name)
	if err != nil {
		b.t.Fatal(err)
	}
	if !found {
		return plugin.Plugin{}
	}
	return r.Plugin()
}

// readCalls returns the verbs that were run, as "VERB VERSION from PREVIOUS".
func (b *fixture) readCalls() []string {
	raw, err := os.ReadFile(filepath.Join(b.root, "calls"))
	if err != nil {
		return nil
	}
	return strings.Split(strings.TrimSpace(strings.ReplaceAll(string(raw), "from \n", "from -\n")), "\n")
}

// setStep calls step before each step of a change. It is called once the fixture is
// ready.
func (b *fixture) setStep(step failpoint.Step) {
	b.step, b.folders.step, *b.changes = step, step, *transaction.New(b.root, step)
}

// fetchAndChange fetches what a change needs and makes it, as the actors do.
func (b *fixture) fetchAndChange(ctx context.Context, c plugin.Change, p plugin.ChangePermit) plugin.ChangeResult {
	if err := b.Fetch(ctx, c); err != nil {
		return plugin.FailedChange(err)
	}
	return b.Change(ctx, c, p)
}

func (b *fixture) touch(path ...string) {
	b.t.Helper()
	if err := os.WriteFile(filepath.Join(append([]string{b.root}, path...)...), nil, 0o644); err != nil {
		b.t.Fatal(err)
	}
}

func (b *fixture) findLogged(message string) (found []*logrus.Entry) {
	for _, e := range b.logs.AllEntries() {
		if e.Message == message {
			found = append(found, e)
		}
	}
	return found
}

func withTimeout(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// eventually polls until the condition holds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 20s: %s", what)
		}
	}
}

// isAlive reports whether the process whose pid a script wrote into a file runs. A
// zombie does not, nor does a process whose pid was never written.
func isAlive(t testing.TB, file string) bool {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	pid := strings.TrimSpace(string(raw))
	if pid == "" {
		return false
	}
	stat, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return false
	}
	rest := string(stat[strings.LastIndexByte(string(stat), ')')+1:])
	return !strings.HasPrefix(rest, " Z") && !strings.HasPrefix(rest, " X")
}

// makeFIFO makes a named pipe. A reader that waits is released when the test ends.
func makeFIFO(t testing.TB, path string) {
	t.Helper()
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if f, err := os.OpenFile(path, os.O_RDWR|syscall.O_NONBLOCK, 0); err == nil {
			f.WriteString("\n")
			f.Close()
		}
	})
}

// writePackage writes a package with these files, by name.
func writePackage(t testing.TB, path string, files map[string]string) {
	t.Helper()
	var entries []pkgchecktest.Entry
	for _, name := range slices.Sorted(maps.Keys(files)) {
		entries = append(entries, pkgchecktest.Entry{Name: name, Body: files[name]})
	}
	if err := os.WriteFile(path, pkgchecktest.Zip(t, entries...), 0o644); err != nil {
		t.Fatal(err)
	}
}

// packFolder writes the files of a version's folder as a package, and removes the
// folder.
func packFolder(t testing.TB, path, folder string) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(folder, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		files[e.Name()] = string(text)
	}
	writePackage(t, path, files)
	if err := os.RemoveAll(folder); err != nil {
		t.Fatal(err)
	}
}

// newInstaller returns an installer that is closed when the test ends.
func newInstaller(t testing.TB, c install.Config) *install.Installer {
	t.Helper()
	c.OS, c.Arch = "linux", "x64"
	i, err := install.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(i.Close)
	return i
}
