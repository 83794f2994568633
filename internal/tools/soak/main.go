// Command soak kills a supervisor at random moments, again and again, and counts
// violations of its guarantees (EV-07).
//
//	go run ./internal/tools/soak [-bin bin] [-kills 1000] [-plugins 20] [-seed N] [-log FILE] [-upgrades N | -beside D]
//
// A built supervisor works on a temporary root with short periods. Some of its
// plugins run until they are killed, some exit by themselves every few seconds,
// some start slowly, some hang in a verb now and then. Meanwhile
//
//   - plugins are killed, also several at once, and while no supervisor runs;
//   - an operator stops and starts two plugins;
//   - a second supervisor is tried on the same root;
//   - the control plane is killed now and then, and started at another address;
//   - the disk of the supervisor's own files is full for a while (only as root,
//     which can mount a small file system there).
//
// The supervisor is killed with SIGKILL, a random time after its start or right
// after it accepted a command, and started again.
//
// The plugins have no protection against second copies: see
// internal/tools/testbed/sampledaemon. Each daemon records its start, and whether
// another one ran then. So a second copy, or a needless restart, is found also
// when it was too short to be observed.
//
// Without cgroups it is run by
//
//	unshare -m sh -c 'umount /sys/fs/cgroup/unified; go run ./internal/tools/soak'
//
// With -upgrades N one plugin is upgraded N times, back and forth, and each time the
// supervisor is killed in the middle. Afterwards exactly one version, the recorded
// one, has to run.
//
// With -beside D other programs work on the plugins for that time: one with the
// locks and the order of steps of the existing command line, and our own. No record
// may be lost, no plugin run twice, no stop be undone (RS-11, EV-21, EV-22).
//
// The exit status is 1 if there is a violation. All processes, files and cgroups are
// removed at the end, also after Ctrl-C.
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

	upgrades int           // upgrades to interrupt, instead of everything else
	beside   time.Duration // time of other programs on the plugins, instead of everything else
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
	flags.Uint64Var(&o.seed, "seed", o.seed, "seed of the random numbers")
	flags.StringVar(&o.log, "log", "", "`file` for the log of the supervisors; it is kept")
	flags.IntVar(&o.upgrades, "upgrades", 0, "interrupt that many upgrades, and do nothing else")
	flags.DurationVar(&o.beside, "beside", 0, "let other programs work on the plugins for this `time`, and do nothing else")
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
	work, amount := soakSupervisor, fmt.Sprintf("%d kills", o.kills)
	switch {
	case o.upgrades > 0:
		work, amount = soakUpgrades, fmt.Sprintf("%d upgrades", o.upgrades)
	case o.beside > 0:
		work, amount = soakOtherPrograms, o.beside.String()
	}
	fmt.Fprintf(stderr, "%s, %d plugins, seed %d\n", amount, o.plugins, o.seed)
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
