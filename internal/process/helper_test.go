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

// The test binary is its own child: with this variable set it is a helper.
const helperKey = "PROCESS_HELPER"

func TestMain(m *testing.M) {
	if name, ok := os.LookupEnv(helperKey); ok {
		os.Exit(help(name, os.Args[1:]))
	}
	os.Exit(m.Run())
}

// help is what a helper does; the result is its exit code.
func help(name string, args []string) int {
	number := func() int {
		n, err := strconv.Atoi(args[0])
		must(err)
		return n
	}
	switch name {
	case "inherits":
		return inherits(args)
	case "exit":
		fmt.Print("out")
		fmt.Fprint(os.Stderr, "+err")
		return number()
	case "kill": // itself
		must(syscall.Kill(os.Getpid(), syscall.Signal(number())))
		hang()
	case "print": // that many MiB
		block := []byte(strings.Repeat(strings.Repeat("x", 63)+"\n", 1024))
		for range number() * 16 {
			_, err := os.Stdout.Write(block)
			must(err)
		}
		fmt.Print("the end")
	case "context":
		printContext()
	case "hang":
		hang()
	case "shrug": // at SIGTERM, but exit 0
		terms := make(chan os.Signal, 1)
		signal.Notify(terms, syscall.SIGTERM)
		fmt.Print("ready")
		<-terms
		fmt.Print(", done")
	case "tree": // of that depth, deaf to SIGTERM
		signal.Ignore(syscall.SIGTERM)
		if depth := number(); depth > 0 {
			spawn("tree", false, os.Stdout, strconv.Itoa(depth-1))
			spawn("tree", false, os.Stdout, strconv.Itoa(depth-1))
		}
		hang()
	case "orphan": // ends at SIGTERM and leaves a child that does not
		spawn("tree", false, os.Stdout, "1")
		hang()
	case "move": // to the group of its parent, deaf to SIGTERM
		signal.Ignore(syscall.SIGTERM)
		group, err := syscall.Getpgid(os.Getppid())
		must(err)
		must(syscall.Setpgid(0, group))
		hang()
	case "leave": // a child in the group that holds no pipe
		null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
		must(err)
		spawn("tree", false, null, "1")
	case "hold": // leave a child in a session of its own that holds the pipe
		spawn("hang", true, os.Stdout)
		fmt.Print("held")
	case "daemon", "background":
		spawn("tick", name == "daemon", os.Stdout)
		fmt.Println("started")
	case "tick":
		for n := 0; ; n++ {
			fmt.Println("tick", n)
			time.Sleep(time.Millisecond)
		}
	case "start": // a helper as a daemon, that often
		n := 1
		if len(args) > 1 {
			if many, err := strconv.Atoi(args[1]); err == nil {
				n = many
			}
		}
		for range n {
			begin(args[0], args[1:]...)
		}
	case "serve":
		serve()
	case "stall": // after a daemon is there
		begin("serve")
		hang()
	case "cgroup": // as it is at the first instruction
		b, err := os.ReadFile("/proc/self/cgroup")
		must(err)
		fmt.Printf("%s", b)
	case "eat": // a gibibyte of memory, when told
		told := make(chan os.Signal, 1)
		signal.Notify(told, syscall.SIGUSR1)
		fmt.Fprintln(os.NewFile(3, "ready"), "ready")
		<-told
		gorge()
	case "gorge":
		gorge()
	case "emigrate": // away to another cgroup
		must(os.WriteFile(args[0], []byte("0"), 0))
		serve()
	case "replace": // a daemon by another
		pid := number()
		must(syscall.Kill(pid, syscall.SIGKILL))
		for syscall.Kill(pid, 0) == nil { // a process that is dying is alive
			time.Sleep(time.Millisecond)
		}
		begin("serve")
	case "relay": // to another process, until a file is there
		fmt.Println("here")
		fmt.Fprintln(os.NewFile(3, "ready"), "ready")
		if _, err := os.Stat(args[0]); err != nil {
			spawn("relay", true, os.Stdout, args...)
		}
	case "fill": // the log, wait until something is dropped, and end
		block := []byte(strings.Repeat("x", fillSize))
		_, err := os.Stdout.Write(append(block, "before\n"...))
		must(err)
		for size := int64(fillSize); size >= fillSize; time.Sleep(time.Millisecond) {
			info, err := os.Stdout.Stat()
			must(err)
			size = info.Size()
		}
		fmt.Println("after")
	case "supervise": // one command that leaves a daemon, and end or wait to be killed
		res := NewRunner(Options{}).Run(context.Background(), Command{
			Path: os.Args[0], Env: withHelper(os.Environ(), args[0]), Daemon: true, Log: args[1],
		})
		fmt.Println(res.Err)
		if args[2] == "wait" {
			hang()
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

func hang() {
	for {
		time.Sleep(time.Hour)
	}
}

// serve says that it is ready, and ends as it is told.
func serve() {
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGUSR1, syscall.SIGUSR2)
	fmt.Fprintln(os.NewFile(3, "ready"), "ready")
	if <-told == syscall.SIGUSR1 {
		os.Exit(7)
	}
}

// gorge uses a gibibyte of memory.
func gorge() {
	block := make([]byte, 1<<30)
	for i := range block {
		block[i] = 1
	}
	hang()
}

// begin starts a helper as a daemon and waits until it is ready.
func begin(name string, args ...string) {
	ready, theirs, err := os.Pipe()
	must(err)
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = withHelper(os.Environ(), name)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.ExtraFiles = []*os.File{theirs}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	must(cmd.Start())
	must(theirs.Close())
	_, _ = ready.Read(make([]byte, 1)) // or its end
}

// spawn starts another helper that prints to out.
func spawn(name string, session bool, out *os.File, args ...string) {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = withHelper(os.Environ(), name)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: session}
	must(cmd.Start())
}

// withHelper makes a helper of a test binary; built with the race detector, it
// would sleep a second before it exits.
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
