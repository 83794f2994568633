package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/lock"
)

const goodConfig = `{"name":"filed","version":"2.0","runPath":"main.sh","pluginType":"Once"}`

func TestCommands(t *testing.T) {
	root := t.TempDir()
	installScript(t, root, "once", "Once", "20", "#!/bin/sh\necho \"args=$*\"; exit 42\n")
	installScript(t, root, "healthy", "Persist", "20", "#!/bin/sh\necho did $1\n")
	installScript(t, root, "hung", "Persist", "1", "#!/bin/sh\nsleep 600\n")
	installScript(t, root, "missing", "Persist", "20", "")
	installScript(t, root, "killed", "Once", "20", "#!/bin/sh\nkill -KILL $$\n")
	installScript(t, root, "veto", "Persist", "20", "#!/bin/sh\necho did $1\n[ \"$1\" = --uninstall ] && exit 9\nexit 0\n")
	installScript(t, root, "format", "Once", "20", "neither a script nor a program")
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
	t.Run("CL-10 remaining files", func(t *testing.T) {
		if _, err := os.Stat(filepath.Join(root, "plugin", "missing")); !os.IsNotExist(err) {
			t.Errorf("folder of the removed plugin: %v", err)
		}
		if _, err := os.Stat(filepath.Join(root, "plugin", "veto", "1.0", "main.sh")); err != nil {
			t.Errorf("executable of the plugin whose --uninstall failed: %v", err)
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
