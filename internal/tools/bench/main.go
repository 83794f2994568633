// Command bench measures the cost of the supervisor, and prints it beside the
// budgets.
//
//	go run ./internal/tools/bench [-bin bin] [-rounds 15] [-idle 60s] [-only scan|idle|watched|upgrade|size|scale] [-scale 300,1000,3000]
//
// Scan: `--status` of 200 installed plugins by the native manager, beside a bare
// loop that starts the same programs with the same parallelism. The two run in
// turns, so that the load of the machine is the same for both; the medians are
// compared.
//
// Idle: the built supervisor with 100 sample daemons, measured while no period
// ends. The work of its start is not counted, the memory of it is.
//
// Watching: the time from the exit of a process until it is reported, and until
// the next one executes its first instruction, beside runit's runsv if that is
// installed; many plugins killed at once; the re-attachment of a new supervisor.
//
// Upgrades: how long a running plugin is away during an upgrade from a package,
// beside a loop that stops it, deletes it, unpacks the new version and starts it;
// and the files that are left on the disk.
//
// Size: the size of the built binary.
//
// Scale, with -only scale: the cost of a supervisor of many plugins.
//
// Everything is measured with real processes below temporary folders, which are
// removed at the end, also after Ctrl-C. The exit status is 1 if something could
// not be measured; a number above its budget does not change it.
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
	"runtime"
	"syscall"
	"time"
)

// longestIdle is the longest idle measurement: after the first runs, nothing
// periodic happens for 5 min, the shortest default interval.
const longestIdle = 4 * time.Minute

// scalePart takes minutes, and is measured only when asked for.
const scalePart = "scale"

// options holds what is measured, and how long.
type options struct {
	bin     string        // where the built programs are
	scanned int           // plugins of a scan
	rounds  int           // of scan and bare loop
	running int           // plugins of the idle supervisor
	idle    time.Duration // how long it is watched
	only    string        // the one part that is measured; "": all but scale
	sizes   []int         // numbers of plugins of scale
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o := options{scanned: 200, running: 100}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.bin, "bin", "bin", "`folder` of the built programs")
	flags.IntVar(&o.rounds, "rounds", 15, "scans, and bare loops beside them")
	flags.DurationVar(&o.idle, "idle", time.Minute, "how `long` the idle supervisor is watched, at most "+longestIdle.String())
	flags.StringVar(&o.only, "only", "", "measure scan, idle, watched, upgrade, size or scale `alone`")
	sizes := flags.String("scale", "300,1000,3000", "`numbers` of plugins of -only scale")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	case flags.NArg() > 0 || o.rounds < 1 || o.idle <= 0 || o.idle > longestIdle:
		flags.Usage()
		return 2
	}
	var err error
	if o.sizes, err = parseSizes(*sizes); err != nil {
		fmt.Fprintln(stderr, "bench: -scale:", err)
		return 2
	}
	if err := measureAll(ctx, o, stdout, stderr); err != nil {
		fmt.Fprintln(stderr, "bench:", err)
		return 1
	}
	return 0
}

// measureAll measures all parts and prints one table. The error names the parts
// that could not be measured, which are missing in the table.
func measureAll(ctx context.Context, o options, stdout, stderr io.Writer) error {
	bin, err := filepath.Abs(o.bin)
	if err != nil {
		return fmt.Errorf("find built programs: %w", err)
	}
	o.bin = bin
	t := table{title: fmt.Sprintf("measured on %s/%s with %d CPUs", runtime.GOOS, runtime.GOARCH, runtime.NumCPU())}

	var failed error
	for _, part := range []struct {
		name    string
		measure func(context.Context, options, *table, io.Writer) error
	}{{"scan", addScan}, {"idle", addIdle}, {"watched", addWatched}, {"upgrade", addUpgrades}, {"size", addSize}, {scalePart, addScale}} {
		if o.only == part.name || o.only == "" && part.name != scalePart {
			failed = errors.Join(failed, part.measure(ctx, o, &t, stderr))
		}
	}
	return errors.Join(failed, t.print(stdout))
}

func addScan(ctx context.Context, o options, t *table, progress io.Writer) error {
	fmt.Fprintf(progress, "scanning %d plugins, %d rounds …\n", o.scanned, o.rounds)
	scan, err := measureScan(ctx, o)
	if err != nil {
		return notMeasured("scan", err)
	}
	t.addSection(fmt.Sprintf("scan of %d plugins, median of %d", o.scanned, o.rounds))
	t.addRow("native manager", formatMilliseconds(scan.native), "")
	t.addRow("bare fork and exec, as many at once", formatMilliseconds(scan.bare), "")
	t.addLimited("ratio", scan.ratio(), 1.3, "%.2f", "")
	return nil
}

func addIdle(ctx context.Context, o options, t *table, progress io.Writer) error {
	fmt.Fprintf(progress, "idling with %d plugins for %v …\n", o.running, o.idle)
	idle, err := measureIdle(ctx, o)
	if err != nil {
		return notMeasured("idle", err)
	}
	t.addSection(fmt.Sprintf("idle with %d plugins, over %v", o.running, o.idle))
	t.addLimited("memory, PSS", toMegabytes(idle.memory.pss), 22, "%.1f", "MB")
	t.addRow("memory, RSS", fmt.Sprintf("%.1f MB", toMegabytes(idle.memory.rss)), "")
	t.addLimited("CPU, of one core", 100*idle.cpu, 0.05, "%.4f", "%")
	t.addRow("wake-ups", fmt.Sprintf("%.1f /s", idle.wakeups), "")
	return nil
}

func addSize(_ context.Context, o options, t *table, _ io.Writer) error {
	info, err := os.Stat(filepath.Join(o.bin, "supervisor"))
	if err != nil {
		return notMeasured("size", err)
	}
	t.addSection("size")
	t.addLimited("supervisor's binary", toMegabytes(info.Size()), 16, "%.1f", "MB")
	return nil
}

// notMeasured returns an error that names the part that was not measured, nil if
// err is nil.
func notMeasured(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s not measured: %w", what, err)
}

func toMegabytes(bytes int64) float64 { return float64(bytes) / 1e6 }

func formatMilliseconds(d time.Duration) string {
	return fmt.Sprintf("%.2f ms", toMilliseconds(d))
}
