package main

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestPluginsGuide runs what docs/plugins.md says under "Your first plugin in five
// minutes", exactly as written, in a clean copy of the repository. (AP-08, AP-10,
// AP-11)
func TestPluginsGuide(t *testing.T) {
	text, err := os.ReadFile("../../docs/plugins.md")
	if err != nil {
		t.Fatal(err)
	}
	commands := shellBlocks(string(text), "## Your first plugin in five minutes")
	if strings.Count(commands, "supervisor plugin check") != 3 {
		t.Fatalf("the guide checks not three plugins:\n%s", commands)
	}
	work, err := os.MkdirTemp("/tmp", "sv") // the path of a socket is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		killAll(work)
		if err := os.RemoveAll(work); err != nil {
			t.Error(err)
		}
	})
	clone, temp := filepath.Join(work, "clone"), filepath.Join(work, "tmp")
	if err := errors.Join(copySources("../..", clone), os.Mkdir(temp, 0o755)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", commands)
	cmd.Dir, cmd.Env = clone, append(os.Environ(), "TMPDIR="+temp, "GOFLAGS=-buildvcs=false")
	cmd.WaitDelay = 10 * time.Second
	began := time.Now()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v after %v:\n%s", err, time.Since(began), out)
	}
	for _, want := range []string{
		"greeter 1.0: all 18 rules passed, 1 skipped", "counter 1.0: all 19 rules passed", "ticker 1.0: all 19 rules passed",
		"hello from ", "greeter: removed", "counter: removed", "ticker: removed",
	} {
		if !strings.Contains(string(out), want) {
			t.Errorf("%q is not in the output:\n%s", want, out)
		}
	}
}

// shellBlocks returns the shell blocks of a section, one after the other.
func shellBlocks(document, heading string) string {
	_, section, _ := strings.Cut(document, heading+"\n")
	section, _, _ = strings.Cut(section, "\n## ")
	var commands strings.Builder
	for {
		_, rest, ok := strings.Cut(section, "```sh\n")
		if !ok {
			return commands.String()
		}
		var block string
		block, section, _ = strings.Cut(rest, "```\n")
		commands.WriteString(block)
	}
}

// copySources copies a repository without what was built in it.
func copySources(from, to string) error {
	return filepath.WalkDir(from, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(from, path)
		switch {
		case err != nil:
			return err
		case name == ".git" || name == "bin":
			if e.IsDir() {
				return fs.SkipDir
			}
			return nil
		case e.IsDir():
			return os.MkdirAll(filepath.Join(to, name), 0o755)
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		return copyFile(path, filepath.Join(to, name), info.Mode().Perm())
	})
}
