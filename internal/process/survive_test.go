package process

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// RS-10: a daemon that `--start` left lives on and can write when the supervisor exits or is
// killed, in its own session or not.
func TestPluginOutlivesSupervisor(t *testing.T) {
	for _, daemon := range []string{"daemon", "background"} {
		for _, end := range []string{"exit", "wait"} {
			t.Run(daemon+"/"+end, func(t *testing.T) {
				f := newFamily(t)
				log := filepath.Join(t.TempDir(), "log")
				c := f.command("supervise", daemon, log, end)
				supervisor := exec.Command(c.Path, c.Args...)
				supervisor.Env = c.Env
				var out strings.Builder
				supervisor.Stdout = &out
				if err := supervisor.Start(); err != nil {
					t.Fatal(err)
				}
				if end == "wait" {
					eventually(t, "daemon writes", func() bool { return len(f.listAlive()) == 2 && fileSize(log) > 0 })
					if err := supervisor.Process.Kill(); err != nil {
						t.Fatal(err)
					}
				}
				if err := supervisor.Wait(); err != nil && end == "exit" {
					t.Errorf("%v: %s", err, out.String())
				}
				f.awaitAlive(1)
				before := fileSize(log)
				eventually(t, "daemon goes on", func() bool { return fileSize(log) > before })
				f.killAll()
			})
		}
	}
}
