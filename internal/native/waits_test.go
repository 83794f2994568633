package native

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"pluginsupervisor/internal/layout"
	"pluginsupervisor/plugin"
)

// RS-11: a wait of over 60 s is a problem that names the holder.
func TestLongWaitIsAProblem(t *testing.T) {
	b := newFixture(t)
	p := b.install("p", "1.0", okScript, "60")
	cmd := exec.Command("flock", "-o", "-s", layout.NameLock(b.root, "p"), "sh", "-c", "echo held; read -r line")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err = errors.Join(err, os.MkdirAll(filepath.Dir(layout.NameLock(b.root, "p")), 0o755), cmd.Start()); err != nil {
		t.Fatal(err)
	}
	release := func() { in.Close(); cmd.Wait() }
	t.Cleanup(release)
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	done := make(chan plugin.Outcome, 1)
	go func() { done <- b.Start(t.Context(), p) }()
	eventually(t, "waiting is logged", func() bool { return len(b.findLogged(waitingLine)) > 0 })
	if got := b.Problems(); len(got) > 0 {
		t.Errorf("at once: %+v", got)
	}
	got := b.locks.longWaits(time.Now().Add(time.Minute))
	want := fmt.Sprintf("start of p waits for pid %d, which holds %s", cmd.Process.Pid, layout.NameLock(b.root, "p"))
	if len(got) != 1 || got[0].What != "name lock" || got[0].Why != want {
		t.Errorf("%+v, want %s", got, want)
	}
	release()
	if got := <-done; got.Err != nil {
		t.Errorf("%+v", got)
	}
	if got := b.locks.longWaits(time.Now().Add(time.Hour)); len(got) > 0 {
		t.Errorf("afterwards: %+v", got)
	}
}
