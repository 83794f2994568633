package process

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The test binary is also the helper program of the tests: this variable selects the helper.
const helperKey = "PROCESS_HELPER"

func TestMain(m *testing.M) {
	if name, ok := os.LookupEnv(helperKey); ok {
		os.Exit(runHelper(name, os.Args[1:]))
	}
	os.Exit(m.Run())
}

// runHelper runs a helper and returns its exit code.
func runHelper(name string, args []string) int {
	number := func() int {
		n, err := strconv.Atoi(args[0])
		must(err)
		return n
	}
	switch name {
	case "inherits":
		return runInheriting(args)
	case "exit":
		fmt.Print("out")
		fmt.Fprint(os.Stderr, "+err")
		return number()
	case "kill": // itself
		must(syscall.Kill(os.Getpid(), syscall.Signal(number())))
		sleepForever()
	case "print": // as many MiB
		block := []byte(strings.Repeat(strings.Repeat("x", 63)+"\n", 1024))
		for range number() * 16 {
			_, err := os.Stdout.Write(block)
			must(err)
		}
		fmt.Print("the end")
	case "context":
		printContext()
	case "hang":
		sleepForever()
	case "exit0OnSIGTERM": // ignores SIGTERM, but exits 0
		terms := make(chan os.Signal, 1)
		signal.Notify(terms, syscall.SIGTERM)
		fmt.Print("ready")
		<-terms
		fmt.Print(", done")
	case "tree": // of this depth, ignores SIGTERM
		signal.Ignore(syscall.SIGTERM)
		if depth := number(); depth > 0 {
			startHelper("tree", false, os.Stdout, strconv.Itoa(depth-1))
			startHelper("tree", false, os.Stdout, strconv.Itoa(depth-1))
		}
		sleepForever()
	case "orphan": // exits at SIGTERM and leaves a child that does not
		startHelper("tree", false, os.Stdout, "1")
		sleepForever()
	case "move": // to the group of its parent, ignores SIGTERM
		signal.Ignore(syscall.SIGTERM)
		group, err := syscall.Getpgid(os.Getppid())
		must(err)
		must(syscall.Setpgid(0, group))
		sleepForever()
	case "leave": // a child in the group that does not hold the pipe
		null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
		must(err)
		startHelper("tree", false, null, "1")
	case "hold": // leaves a child in its own session that holds the pipe
		startHelper("hang", true, os.Stdout)
		fmt.Print("held")
	case "daemon", "background":
		startHelper("tick", name == "daemon", os.Stdout)
		fmt.Println("started")
	case "tick":
		for n := 0; ; n++ {
			fmt.Println("tick", n)
			time.Sleep(time.Millisecond)
		}
	case "start": // a helper as a daemon, this many times
		n := 1
		if len(args) > 1 {
			if many, err := strconv.Atoi(args[1]); err == nil {
				n = many
			}
		}
		for range n {
			startDaemon(args[0], args[1:]...)
		}
	case "serve":
		serveSignals()
	case "stall": // hangs after the daemon has started
		startDaemon("serve")
		sleepForever()
	case "cgroup": // its own cgroup when it starts
		b, err := os.ReadFile("/proc/self/cgroup")
		must(err)
		fmt.Printf("%s", b)
	case "useMemory": // uses a gibibyte of memory, on SIGUSR1
		told := make(chan os.Signal, 1)
		signal.Notify(told, syscall.SIGUSR1)
		fmt.Fprintln(os.NewFile(3, "ready"), "ready")
		<-told
		useMemory()
	case "gorge":
		useMemory()
	case "moveCgroup": // moves to another cgroup
		must(os.WriteFile(args[0], []byte("0"), 0))
		serveSignals()
	case "replace": // one daemon by another
		pid := number()
		must(syscall.Kill(pid, syscall.SIGKILL))
		for syscall.Kill(pid, 0) == nil { // a process that is exiting counts as alive
			time.Sleep(time.Millisecond)
		}
		startDaemon("serve")
	case "relay": // replaces itself by another process until a file exists
		fmt.Println("here")
		fmt.Fprintln(os.NewFile(3, "ready"), "ready")
		if _, err := os.Stat(args[0]); err != nil {
			startHelper("relay", true, os.Stdout, args...)
		}
	case "fill": // fills the log, waits until it is cut, and exits
		block := []byte(strings.Repeat("x", fillSize))
		_, err := os.Stdout.Write(append(block, "before\n"...))
		must(err)
		for size := int64(fillSize); size >= fillSize; time.Sleep(time.Millisecond) {
			info, err := os.Stdout.Stat()
			must(err)
			size = info.Size()
		}
		fmt.Println("after")
	case "supervise": // runs a command that leaves a daemon, and exits or waits to be killed
		res := NewRunner(Options{}).Run(context.Background(), Command{
			Path: os.Args[0], Env: withHelper(os.Environ(), args[0]), Daemon: true, Log: args[1],
		})
		fmt.Println(res.Err)
		if args[2] == "wait" {
			sleepForever()
		}
	default:
		panic("no such helper: " + name)
	}
	return 0
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func sleepForever() {
	for {
		time.Sleep(time.Hour)
	}
}

// serveSignals reports that it is ready, and exits as the signals say.
func serveSignals() {
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGUSR1, syscall.SIGUSR2)
	fmt.Fprintln(os.NewFile(3, "ready"), "ready")
	if <-told == syscall.SIGUSR1 {
		os.Exit(7)
	}
}

// useMemory uses a gibibyte of memory.
func useMemory() {
	block := make([]byte, 1<<30)
	for i := range block {
		block[i] = 1
	}
	sleepForever()
}

// startDaemon starts a helper as a daemon and waits until it is ready.
func startDaemon(name string, args ...string) {
	ready, theirs, err := os.Pipe()
	must(err)
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = withHelper(os.Environ(), name)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.ExtraFiles = []*os.File{theirs}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	must(cmd.Start())
	must(theirs.Close())
	_, _ = ready.Read(make([]byte, 1)) // or until it exits
}

// startHelper starts another helper that prints to out.
func startHelper(name string, session bool, out *os.File, args ...string) {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = withHelper(os.Environ(), name)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: session}
	must(cmd.Start())
}

// withHelper returns the environment in which the test binary runs a helper. With the race
// detector, it would otherwise sleep for a second before it exits.
func withHelper(env []string, name string) []string {
	return append(env, helperKey+"="+name, "GORACE=atexit_sleep_ms=0")
}

func printContext() {
	dir, err := os.Getwd()
	must(err)
	stdin, err := os.Readlink("/proc/self/fd/0")
	must(err)
	flags, err := unix.FcntlInt(1, unix.F_GETFL, 0)
	must(err)
	var death int32
	must(unix.Prctl(unix.PR_GET_PDEATHSIG, uintptr(unsafe.Pointer(&death)), 0, 0, 0))
	fmt.Printf("dir=%s stdin=%s own group=%t nonblocking=%t append=%t death=%d args=%q key=%s", dir, stdin,
		syscall.Getpgrp() == os.Getpid(), flags&unix.O_NONBLOCK != 0, flags&unix.O_APPEND != 0,
		death, os.Args[1:], os.Getenv("KEY"))
}
