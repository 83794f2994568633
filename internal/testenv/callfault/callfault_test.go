package callfault

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"pluginsupervisor/internal/testenv"
)

func TestMain(m *testing.M) {
	Launch()
	os.Exit(m.Run())
}

// A call fails while it is to, for what it is to, and not for programs that the
// program executes.
func TestFault(t *testing.T) {
	sh, err := exec.LookPath("sh")
	if err == nil {
		sh, err = filepath.EvalSymlinks(sh)
	}
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(sh, "-c", `while read -r file; do
		if true < "$file"; then echo itself; else echo fails; fi
		head -c 0 "$file" && echo child
	done 2>/dev/null`)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p, err := Start(cmd, []uintptr{unix.SYS_OPENAT, unix.SYS_MKDIRAT})
	if errors.Is(err, errors.ErrUnsupported) {
		testenv.SkipWithout(t, testenv.SeccompNotify, err)
	} else if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	open := func(file string) (said string) {
		if _, err := fmt.Fprintln(in, file); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			lines.Scan()
			said += lines.Text() + " "
		}
		return strings.TrimSpace(said)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	said := []string{open(file)}
	p.Begin(Fault{Call: unix.SYS_OPENAT, Errno: syscall.EMFILE})
	said = append(said, open(file), open(file))
	hits := p.End()
	said = append(said, open(file))
	p.Begin(Fault{Call: unix.SYS_MKDIRAT, Errno: syscall.EMFILE})
	said = append(said, open(file))
	p.Begin(Fault{Call: unix.SYS_OPENAT, Errno: syscall.EMFILE, Matches: func(int, [6]uint64) bool { return false }})
	said = append(said, open(file))
	const well, fails = "itself child", "fails child"
	if got, want := strings.Join(said, ", "), strings.Join([]string{well, fails, fails, well, well, well}, ", "); got != want || hits != 2 {
		t.Errorf("%s, with %d hits; want %s", got, hits, want)
	}
	if err := errors.Join(in.Close(), cmd.Wait()); err != nil {
		t.Error(err)
	}
}
