package cgroup

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"

	"pluginsupervisor/internal/testenv"
)

// The test binary is its own child: with this variable set it is a helper.
const helperKey = "CGROUP_HELPER"

func TestMain(m *testing.M) {
	if name, ok := os.LookupEnv(helperKey); ok {
		runHelper(name, os.Args[1:])
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// runHelper runs a helper. Hanging helpers exit when the test exits, which closes
// their standard input.
func runHelper(name string, args []string) {
	switch name {
	case "hang":
		fmt.Println("ready")
	case "daemon": // forks twice, once with setsid, and exits
		child := helperCommand("orphan")
		child.Stdin, child.Stdout = os.Stdin, os.Stdout
		child.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		exitOnError(child.Start())
		return
	case "orphan":
		child := helperCommand("hang")
		child.Stdin, child.Stdout = os.Stdin, os.Stdout
		exitOnError(child.Start())
		return
	case "nest": // in a cgroup that it makes below its own
		exitOnError(os.Mkdir(args[0], 0o755))
		exitOnError(writeControl(args[0], "cgroup.procs", "0"))
		fmt.Println("ready")
	case "allocate": // more than its limit
		fmt.Println("ready")
		b, err := unix.Mmap(-1, 0, 64<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
		exitOnError(err)
		_ = unix.Mlock(b) // cannot be swapped out
		for i := 0; i < len(b); i += 4096 {
			b[i] = 1
		}
	case "open": // opens a tree for that root and enables a controller
		openInHelper(args[0], args[1])
	case "readonly":
		exitOnError(unix.Mount("", args[1], "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, ""))
		_, err := Open(Options{Root: args[0]})
		fmt.Println(errors.Is(err, ErrNone), err)
		return
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
}

func openInHelper(root, controller string) {
	tree, err := Open(Options{Root: root})
	exitOnError(err)
	fmt.Println(tree.place.dir)
	if controller != "" {
		fmt.Println(tree.enableController(tree.folder, controller))
		fmt.Println(fileContains(tree.Dir(), "cgroup.subtree_control", controller))
	}
	own, err := readMembership("/proc/self/cgroup")
	exitOnError(err)
	fmt.Println(own[""])
	tree.Close()
	os.Exit(0)
}

func exitOnError(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(3)
	}
}

func helperCommand(name string, args ...string) *exec.Cmd {
	c := exec.Command("/proc/self/exe", args...)
	c.Env = append(os.Environ(), helperKey+"="+name)
	c.Stderr = os.Stderr
	return c
}

// openTree opens a tree for a new root, and removes it at the end of the test.
func openTree(t testing.TB) *Tree {
	t.Helper()
	log := logrus.New()
	log.SetOutput(t.Output())
	tree, err := Open(Options{Root: t.TempDir(), Log: log})
	if errors.Is(err, ErrNone) {
		testenv.SkipWithout(t, testenv.Cgroup2, err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { removeAll(t, tree) })
	return tree
}

func removeAll(t testing.TB, tree *Tree) {
	for _, folder := range []string{tree.folder, tree.folder + probes} {
		dirs, err := os.ReadDir(filepath.Join(tree.place.dir, folder))
		if err != nil && !isAbsent(err) {
			t.Error(err)
		}
		for _, d := range dirs {
			if !d.IsDir() {
				continue
			}
			l := &Leaf{tree, folder, d.Name()}
			if err := l.Kill(); err != nil {
				t.Error(err)
			}
			waitUntil(t, "removed", func() bool { return tree.Remove(tree.nameOf(l.name)) == nil })
		}
	}
	tree.Close()
	for _, folder := range tree.allFolders() {
		if cgroupExists(folder) {
			t.Errorf("%s still exists, want it removed", folder)
		}
	}
}

func makeTestLeaf(t testing.TB, tree *Tree, name string) *Leaf {
	t.Helper()
	l, err := tree.Leaf(name)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// startAndWait starts a command in the leaf and waits for its first line.
func startAndWait(t testing.TB, l *Leaf, c *exec.Cmd) {
	t.Helper()
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	startIn(t, l, c)
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
}

// startIn starts a command in a leaf.
func startIn(t testing.TB, l *Leaf, c *exec.Cmd) {
	t.Helper()
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	err = l.Fork(func(fd int) error {
		c.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: fd}
		return c.Start()
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_ = c.Process.Kill()
		_ = c.Wait()
	})
}

func waitUntil(t testing.TB, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("timeout after 20 s, waited until %s", what)
		}
	}
}

func isPopulated(t testing.TB, l *Leaf) bool {
	t.Helper()
	is, err := l.Populated()
	if err != nil {
		t.Fatal(err)
	}
	return is
}

// readMemberships returns the cgroups of a process or thread.
func readMemberships(t testing.TB, of string) map[string]string {
	t.Helper()
	m, err := readMembership(filepath.Join("/proc", of, "cgroup"))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func isIn(t testing.TB, pid int, l *Leaf) bool {
	t.Helper()
	return strings.HasSuffix(readMemberships(t, strconv.Itoa(pid))[""], "/"+l.folder+"/"+l.name)
}
