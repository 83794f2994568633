package install_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"pluginsupervisor/internal/install"
)

// Environment of a child process that stages the package SOURCE under ROOT and
// stops at a step.
const (
	envRoot   = "INSTALL_TEST_ROOT"
	envSource = "INSTALL_TEST_SOURCE"
	envStep   = "INSTALL_TEST_STEP"
)

func TestMain(m *testing.M) {
	if os.Getenv(envRoot) == "" {
		os.Exit(m.Run())
	}
	i, err := install.New(install.Config{
		Root: os.Getenv(envRoot), OS: "linux", Arch: "x64",
		Step: func(name string) error {
			if name == os.Getenv(envStep) {
				fmt.Println("there")
				time.Sleep(time.Minute) // until it is killed
			}
			return nil
		},
	})
	if err == nil {
		err = stageAndPlace(context.Background(), i, os.Getenv(envSource))
	}
	fmt.Println("not stopped:", err)
	os.Exit(1)
}

// Sweep removes the folder of a process only after the process was killed.
func TestKilled(t *testing.T) {
	source := writePackage(t, sample().zip(t))
	for _, step := range []string{"fetch write", "unpack fsync", "rename package", "exchange", "fsync folder", "remove staging"} {
		t.Run(step, func(t *testing.T) {
			root := newRoot(t)
			child := exec.CommandContext(t.Context(), os.Args[0])
			child.Env = append(os.Environ(), envRoot+"="+root, envSource+"="+source, envStep+"="+step)
			out, err := child.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := child.Start(); err != nil {
				t.Fatal(err)
			}
			line, _ := bufio.NewReader(out).ReadString('\n')
			i := newInstaller(t, root, nil)
			n, sweepErr := i.Sweep(t.Context())
			child.Process.Kill()
			child.Wait()
			if line != "there\n" || n != 0 || sweepErr != nil {
				t.Fatalf("child printed %q, swept %d while it ran, %v, want 0", line, n, sweepErr)
			}
			if n, err := i.Sweep(t.Context()); n != 1 || err != nil {
				t.Errorf("%d swept after it was killed, %v, want 1", n, err)
			}
			if err := install.Recover(root, "agent"); err != nil {
				t.Error(err)
			}
			checkWholeVersion(t, root)
		})
	}
}
