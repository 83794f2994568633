package inherit

import (
	"fmt"
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"
)

const helperKey = "INHERIT_TEST_DROPS"

func TestMain(m *testing.M) {
	switch os.Getenv(helperKey) {
	case "drops":
		os.Exit(runDrop())
	case "ignores":
		os.Exit(ignoreSignals())
	case "resets":
		os.Exit(runReset())
	}
	os.Exit(m.Run())
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// EV-30: inherited descriptors and umask are not passed on.
func TestDrop(t *testing.T) {
	cmd := exec.Command("/bin/sh", "-c", `umask 077; exec "$0"`, os.Args[0])
	cmd.Env = append(os.Environ(), helperKey+"=drops")
	cmd.ExtraFiles = []*os.File{os.Stdout}
	out, err := cmd.CombinedOutput()
	if want := "before 0 77, after 1 22"; err != nil || string(out) != want {
		t.Errorf("EV-30: %s, want %s; %v", out, want, err)
	}
}

// runDrop is the helper process of TestDrop.
func runDrop() int {
	now := func() (flags, mask int) {
		flags, err := unix.FcntlInt(3, unix.F_GETFD, 0)
		must(err)
		mask = unix.Umask(0)
		unix.Umask(mask)
		return flags, mask
	}
	flags, mask := now()
	fmt.Printf("before %d %o, ", flags, mask)
	must(Drop())
	flags, mask = now()
	fmt.Printf("after %d %o", flags, mask)
	return 0
}
