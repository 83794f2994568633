// Command soak kills a supervisor at random moments, again and again, and
// counts what that breaks: nothing, it claims (EV-07).
//
//	go run ./internal/tools/soak [-bin bin] [-kills 1000] [-plugins 20] [-seed N] [-log FILE] [-upgrades N | -beside D]
//
// A built supervisor works on a temporary root with short periods. Some of its
// plugins run until they are killed, some end by themselves every few seconds,
// some take their time to start, some hang in a verb now and then. Meanwhile plugins are killed, also several at
// once and while no supervisor runs, an operator stops and starts two of them,
// a second supervisor is tried, the control plane is away now and then, and the
// disk of the supervisor's own files is full for a while (as root, which mounts a
// small one there). The supervisor is killed with -9, a random time after its start or right after it
// accepted an order, and started again.
//
// The plugins trust it: `--start` starts a daemon whether one runs or not. Each
// daemon writes its birth down, and whether another lived then, which a lock that
// it holds tells. So a second copy, or a needless restart, is in the
// plugins' own books, also when it was too short to be seen.
//
// Without cgroups it is soaked by
//
//	unshare -m sh -c 'umount /sys/fs/cgroup/unified; go run ./internal/tools/soak'
//
// With -upgrades N it has one plugin upgraded back and forth, N times, and each
// time the supervisor is killed in the middle: afterwards exactly one version,
// the recorded one, has to run.
//
// With -beside D other programs work on its plugins for that long: one with the
// locks and the order of steps of the existing command line, and our own. Nothing
// may be lost, run twice, or be undone (RS-11, EV-21, EV-22).
//
// The exit status is 1 if anything is counted that must not be. All processes,
// files and cgroups are gone at its end, also when that is Ctrl-C.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

type options struct {
	bin     string
	kills   int
	plugins int
	seed    uint64
	log     string

	upgrades int           // cut short, instead of all else
	beside   time.Duration // for which other programs work on the plugins, instead of all else
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o := options{seed: uint64(time.Now().UnixNano())}
	flags := flag.NewFlagSet("soak", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.bin, "bin", "bin", "`folder` of the built programs")
	flags.IntVar(&o.kills, "kills", 1000, "how often the supervisor is killed")
	flags.IntVar(&o.plugins, "plugins", 20, "how many plugins it has, at least 8")
	flags.Uint64Var(&o.seed, "seed", o.seed, "of what is random here")
	flags.StringVar(&o.log, "log", "", "`file` for what the supervisors log; it is kept")
	flags.IntVar(&o.upgrades, "upgrades", 0, "cut that many upgrades short, and do nothing else")
	flags.DurationVar(&o.beside, "beside", 0, "have other programs work on the plugins for this `time`, and do nothing else")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	case flags.NArg() > 0 || o.kills < 1 || o.plugins < 8:
		flags.Usage()
		return 2
	}
	bin, err := filepath.Abs(o.bin)
	if err != nil {
		fmt.Fprintln(stderr, "soak:", err)
		return 1
	}
	o.bin = bin
	fmt.Fprintf(stderr, "%d kills, %d plugins, seed %d\n", o.kills, o.plugins, o.seed)
	work := soak
	switch {
	case o.upgrades > 0:
		work = soakUpgrades
	case o.beside > 0:
		work = soakOtherPrograms
	}
	found, err := work(ctx, o, stderr)
	if err != nil {
		fmt.Fprintln(stderr, "soak:", err)
		return 1
	}
	if err := found.print(stdout); err != nil {
		fmt.Fprintln(stderr, "soak:", err)
		return 1
	}
	if found.hasViolations() {
		return 1
	}
	return 0
}
