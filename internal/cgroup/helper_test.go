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
		help(name, os.Args[1:])
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// help is what a helper does. Those that hang do so until the test ends or
// dies, as that closes their standard input.
func help(name string, args []string) {
	switch name {
	case "hang":
		fmt.Println("ready")
	case "daemon": // forks twice, once with setsid, and ends
		child := helper("orphan")
		child.Stdin, child.Stdout = os.Stdin, os.Stdout
		child.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		must(child.Start())
		return
	case "orphan":
		child := helper("hang")
		child.Stdin, child.Stdout = os.Stdin, os.Stdout
		must(child.Start())
		return
	case "nest": // in a cgroup that it makes below its own
		must(os.Mkdir(args[0], 0o755))
		must(write(args[0], "cgroup.procs", "0"))
		fmt.Println("ready")
	case "allocate": // more than it may
		fmt.Println("ready")
		b, err := unix.Mmap(-1, 0, 64<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
		must(err)
		_ = unix.Mlock(b) // cannot be swapped out
		for i := 0; i < len(b); i += 4096 {
			b[i] = 1
		}
	case "open": // a tree for that root, and hand a controller down
		open(args[0], args[1])
	case "readonly":
		must(unix.Mount("", args[1], "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, ""))
		_, err := Open(Options{Root: args[0]})
		fmt.Println(errors.Is(err, ErrNone), err)
		return
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
}

func open(root, controller string) {
	tree, err := Open(Options{Root: root})
	must(err)
	fmt.Println(tree.place.dir)
	if controller != "" {
		fmt.Println(tree.enable(tree.folder, controller))
		fmt.Println(lists(tree.Dir(), "cgroup.subtree_control", controller))
	}
	own, err := readMembership("/proc/self/cgroup")
	must(err)
	fmt.Println(own[""])
	tree.Close()
	os.Exit(0)
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(3)
	}
}

func helper(name string, args ...string) *exec.Cmd {
	c := exec.Command("/proc/self/exe", args...)
	c.Env = append(os.Environ(), helperKey+"="+name)
	c.Stderr = os.Stderr
	return c
}

// openTree opens a tree for a root of its own, and leaves no trace of it.
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
	t.Cleanup(func() { clear(t, tree) })
	return tree
}

func clear(t testing.TB, tree *Tree) {
	for _, folder := range []string{tree.folder, tree.folder + probes} {
		dirs, err := os.ReadDir(filepath.Join(tree.place.dir, folder))
		if err != nil && !gone(err) {
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
			eventually(t, "removed", func() bool { return tree.Remove(tree.nameOf(l.name)) == nil })
		}
	}
	tree.Close()
	for _, folder := range tree.folders() {
		if exists(folder) {
			t.Errorf("%s is left behind", folder)
		}
	}
}

func leafOf(t testing.TB, tree *Tree, name string) *Leaf {
	t.Helper()
	l, err := tree.Leaf(name)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// launch starts a command in the leaf and waits until it says something.
func launch(t testing.TB, l *Leaf, c *exec.Cmd) {
	t.Helper()
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	begin(t, l, c)
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
}

// begin starts a command in the leaf.
func begin(t testing.TB, l *Leaf, c *exec.Cmd) {
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

func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not so after 20 s: %s", what)
		}
	}
}

func populated(t testing.TB, l *Leaf) bool {
	t.Helper()
	is, err := l.Populated()
	if err != nil {
		t.Fatal(err)
	}
	return is
}

// memberships are those of a process or thread, as /proc has them.
func memberships(t testing.TB, of string) map[string]string {
	t.Helper()
	m, err := readMembership(filepath.Join("/proc", of, "cgroup"))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func in(t testing.TB, pid int, l *Leaf) bool {
	t.Helper()
	return strings.HasSuffix(memberships(t, strconv.Itoa(pid))[""], "/"+l.folder+"/"+l.name)
}
