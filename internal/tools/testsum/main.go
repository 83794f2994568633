// Command testsum runs `go test` and closes its output with a sum.
//
//	go run ./internal/tools/testsum [arguments of go test]
//
// Packages are told as they end, failures with their output in full, and the
// last line reads
//
//	214 passed, 1 failed, 3 skipped
//
// where skipped is left out when there are none. Counted are the tests without
// subtests, since a table of thirty rows is thirty checks, not one or
// thirty-one. A package that fails without a failed test — it did not build,
// its TestMain gave up — counts as one failed.
//
// The exit status is that of `go test`.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
)

func main() { os.Exit(run(os.Args[1:], ".", os.Stdout, os.Stderr)) }

// run tests in dir.
func run(args []string, dir string, stdout, stderr io.Writer) int {
	// An interrupt reaches `go test` as well, being in the same process group;
	// what it told until then is still summed up.
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, os.Interrupt)
	defer signal.Stop(interrupts)

	cmd := exec.Command("go", append([]string{"test", "-json"}, args...)...)
	cmd.Dir = dir
	cmd.Stderr = stderr
	events, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		fmt.Fprintln(stderr, "testsum: run go test:", err)
		return 1
	}
	sum := newSummary(stdout)
	readErr := sum.read(events)
	code := exitCode(cmd.Wait(), stderr)
	if readErr != nil {
		fmt.Fprintln(stderr, "testsum: read events of go test:", readErr)
		code = max(code, 1)
	}
	sum.close(code)
	return code
}

// exitCode says how go test ended; one that died of a signal counts as failed.
func exitCode(err error, stderr io.Writer) int {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit) && exit.ExitCode() > 0:
		return exit.ExitCode()
	default:
		fmt.Fprintln(stderr, "testsum: go test:", err)
		return 1
	}
}
