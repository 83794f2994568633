package main

import (
	"archive/zip"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/lock"
	"pluginsupervisor/internal/record"
	"pluginsupervisor/internal/registry"
)

// putPlugin installs a plugin whose executable is the shell script.
func putPlugin(t *testing.T, root, name, kind, timeout, script string) {
	t.Helper()
	dir := filepath.Join(root, "plugin", name, "1.0")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if script != "" {
		if err := os.WriteFile(filepath.Join(dir, "main.sh"), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	c, err := record.DecodePackageConfig(fmt.Appendf(nil,
		`{"name":%q,"version":"1.0","publisher":"acme","runPath":"main.sh","timeout":%q,"pluginType":%q}`, name, timeout, kind))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := registry.New(registry.Options{Root: root}).Put(t.Context(), c.Record()); err != nil {
		t.Fatal(err)
	}
}

// invoke runs the program as it was called, with files for its standard streams
// where the invocation has none, and no pause between the tries of a report.
func invoke(t *testing.T, i invocation) (code int, stdout, stderr string) {
	t.Helper()
	out, said := createOutput(t, "stdout"), createOutput(t, "stderr")
	if i.in == nil {
		null, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		defer null.Close()
		i.in = null
	}
	i.out, i.err = out, said
	if i.stdout == nil {
		i.stdout = out
	}
	if i.stderr == nil {
		i.stderr = said
	}
	if i.executable == "" {
		i.executable = "/usr/bin/acs-plugin-manager"
	}
	code = run(t.Context(), i)
	return code, readOutput(t, out), readOutput(t, said)
}

// createOutput makes an empty file, which is appended to.
func createOutput(t *testing.T, name string) *os.File {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(t.TempDir(), name), os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func readOutput(t *testing.T, f *os.File) string {
	t.Helper()
	b, err := os.ReadFile(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// runOnRoot runs the program on a root.
func runOnRoot(t *testing.T, root string, args ...string) (int, string, string) {
	t.Helper()
	return invoke(t, invocation{args: args, environ: []string{"SUPERVISOR_ROOT=" + root}})
}

// writeTempZip writes a zip of the files and returns its path.
func writeTempZip(t *testing.T, files map[string]string) string {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for name, content := range files {
		h := &zip.FileHeader{Name: name}
		h.SetMode(0o755)
		f, err := w.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "p.zip")
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

const goodConfig = `{"name":"filed","version":"2.0","runPath":"main.sh","pluginType":"Once"}`

func TestCommands(t *testing.T) {
	root := t.TempDir()
	putPlugin(t, root, "once", "Once", "20", "#!/bin/sh\necho \"args=$*\"; exit 42\n")
	putPlugin(t, root, "healthy", "Persist", "20", "#!/bin/sh\necho did $1\n")
	putPlugin(t, root, "hung", "Persist", "1", "#!/bin/sh\nsleep 600\n")
	putPlugin(t, root, "missing", "Persist", "20", "")
	putPlugin(t, root, "killed", "Once", "20", "#!/bin/sh\nkill -KILL $$\n")
	putPlugin(t, root, "veto", "Persist", "20", "#!/bin/sh\necho did $1\n[ \"$1\" = --uninstall ] && exit 9\nexit 0\n")
	putPlugin(t, root, "format", "Once", "20", "neither a script nor a program")
	for _, c := range []struct {
		name   string
		args   []string
		code   int
		stdout string
	}{
		{"CL-02 the plugin's own code", []string{"-e", "--local", "-P", "once", "-p", "a,b"}, 42, "args=a b\n"},
		{"CL-02 paramsV2", []string{"-e", "--local", "-P", "once", "--paramsV2", "--x 'a b'"}, 42, "args=--x a b\n"},
		{"CL-02 separator", []string{"-e", "--local", "-P", "once", "-s", ";", "-p", "a,b;c"}, 42, "args=a,b c\n"},
		{"CL-03", []string{"-e", "--local", "-P", "healthy", "-p", "--start"}, 0, "did --start\n"},
		{"CL-04 name", []string{"-e", "--local", "-P", "nope"}, 234, ""},
		{"CL-04 version", []string{"-e", "--local", "-P", "once", "-n", "9"}, 234, ""},
		{"CL-05", []string{"-e", "--local", "-P", "hung", "-p", "--status"}, 247, ""},
		{"CL-06 missing", []string{"-e", "--local", "-P", "missing"}, 238, ""},
		{"CL-06 signal", []string{"-e", "--local", "-P", "killed"}, 255, ""},
		{"CL-06 format", []string{"-e", "--local", "-P", "format"}, 246, ""},
		{"CL-10 not found", []string{"-r", "-P", "nope"}, 234, ""},
		{"CL-10 veto", []string{"-r", "-P", "veto"}, 9, "did --stop\ndid --uninstall\n"},
		{"CL-10 missing executable", []string{"-r", "-P", "missing"}, 0, ""},
		{"CL-11 missing", []string{"-e", "-F", filepath.Join(root, "no.zip")}, 234, ""},
		{"CL-11 not a zip", []string{"-e", "-F", filepath.Join(root, "plugin", "once", "1.0", "main.sh")}, 235, ""},
		{"CL-11 no config", []string{"-e", "-F", writeTempZip(t, map[string]string{"x": "y"})}, 238, ""},
		{"CL-11 bad config", []string{"-e", "-F", writeTempZip(t, map[string]string{"config.json": "{bad"})}, 237, ""},
		{"CL-13", []string{"-e", "-F", writeTempZip(t, map[string]string{"config.json": goodConfig, "../out": ""})}, 236, ""},
		{"CL-14", []string{"-f", "-u", "file://" + writeTempZip(t, map[string]string{"config.json": goodConfig, "main.sh": "#!/bin/sh\necho verified\n"})}, 0, "verified\n"},
		{"exec from a file", []string{"-e", "-F", writeTempZip(t, map[string]string{"config.json": goodConfig, "main.sh": "#!/bin/sh\necho filed\n"})}, 0, "filed\n"},
		{"twice", []string{"-e", "-P", "once", "-p", "a", "-p", "b"}, 1, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, stdout, stderr := runOnRoot(t, root, c.args...)
			if code != c.code || stdout != c.stdout {
				t.Errorf("exit %d, want %d; stdout %q, want %q; stderr %q", code, c.code, stdout, c.stdout, stderr)
			}
		})
	}
	t.Run("CL-10 what is left", func(t *testing.T) {
		if _, err := os.Stat(filepath.Join(root, "plugin", "missing")); !os.IsNotExist(err) {
			t.Errorf("folder of the removed plugin: %v", err)
		}
		if _, err := os.Stat(filepath.Join(root, "plugin", "veto", "1.0", "main.sh")); err != nil {
			t.Errorf("a veto keeps everything: %v", err)
		}
	})
	t.Run("CL-14 staging is empty", func(t *testing.T) {
		left, _ := filepath.Glob(filepath.Join(root, "supervisor", "staging", "*", "package"))
		if len(left) > 0 {
			t.Errorf("left in staging: %q", left)
		}
	})
	t.Run("CL-01", func(t *testing.T) {
		code, stdout, stderr := runOnRoot(t, root, "--status")
		var want []string
		for _, p := range []string{"healthy PERSIST_RUNNING", "hung PERSIST_FAIL", "missing REMOVED", "veto PERSIST_RUNNING"} {
			name, status, _ := strings.Cut(p, " ")
			want = append(want, fmt.Sprintf("    {\n        \"name\": %q,\n        \"status\": %q,\n        \"version\": \"1.0\"\n    }", name, status))
		}
		if all := "[\n" + strings.Join(want, ",\n") + "\n]\n\n"; code != 0 || stdout != all {
			t.Errorf("exit %d, stdout %s\nwant %s\nstderr %s", code, stdout, all, stderr)
		}
	})
	t.Run("CL-12", func(t *testing.T) {
		release, _, err := lock.Exclusive(t.Context(), layout.VersionLock(root, "filed", "2.0"), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer release()
		if code, _, stderr := runOnRoot(t, root, "-e", "--fetchTimeout", "1", "-F", writeTempZip(t, map[string]string{"config.json": goodConfig, "main.sh": "#!/bin/sh\n"})); code != exitLock {
			t.Errorf("exit %d, stderr %s", code, stderr)
		}
	})
	t.Run("CL-10 locked", func(t *testing.T) {
		release, _, err := lock.Shared(t.Context(), layout.NameLock(root, "healthy"), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer release()
		if code, _, stderr := runOnRoot(t, root, "-r", "-P", "healthy", "--fetchTimeout", "1"); code != exitLock {
			t.Errorf("exit %d, stderr %s", code, stderr)
		}
	})
	t.Run("list --local", func(t *testing.T) {
		code, stdout, stderr := runOnRoot(t, root, "--list", "--local", "-P", "once")
		want := "Name  Version  Publisher  OsType  Arch  PluginType  \n" +
			"once  1.0      acme                     Once        \n\n"
		if code != 0 || stdout != want {
			t.Errorf("exit %d, stdout %q, want %q; stderr %s", code, stdout, want, stderr)
		}
	})
}
