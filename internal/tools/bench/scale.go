package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"pluginsupervisor/internal/layout"
)

// Parameters of the measurement of many plugins.
const (
	scaleRestarts = 20               // restarts of single plugins
	scaleIdle     = 20 * time.Second // how long it is watched
)

// parseSizes reads numbers of plugins, as in "300,1000,3000".
func parseSizes(text string) ([]int, error) {
	var sizes []int
	for _, word := range strings.Split(text, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(word))
		if err != nil || n < 1 {
			return nil, fmt.Errorf("%q is no number of plugins", word)
		}
		sizes = append(sizes, n)
	}
	return sizes, nil
}

// addScale measures one supervisor for each size, and adds a section for it.
func addScale(ctx context.Context, o options, t *table, progress io.Writer) error {
	var failed error
	for _, n := range o.sizes {
		fmt.Fprintf(progress, "a supervisor of %d plugins …\n", n)
		if err := addSupervisorOf(ctx, o, n, t); err != nil {
			failed = errors.Join(failed, notMeasured(fmt.Sprintf("%d plugins", n), err))
		}
	}
	return failed
}

func addSupervisorOf(ctx context.Context, o options, n int, t *table) (err error) {
	r, err := prepareDaemonTestbed(ctx, o, n, 0, lateHealthy)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	t.addSection(fmt.Sprintf("%d plugins, restart budget lifted", n))

	began := time.Now()
	if err := r.startSupervisor(); err != nil {
		return err
	}
	if err := r.waitAllRunning(ctx); err != nil {
		return err
	}
	t.addRow("start → all run", formatSeconds(time.Since(began)), "")
	cpu, err := readCPU(r.supervisor.PID())
	if err != nil {
		return err
	}
	t.addRow("CPU until then", formatSeconds(cpu), "")
	if err := r.waitHealthy(ctx); err != nil {
		return err
	}
	if err := r.addIdleOf(ctx, t); err != nil {
		return err
	}

	single, err := r.measureSingleRestarts(ctx, scaleRestarts)
	if err != nil {
		return err
	}
	t.addRow(fmt.Sprintf("one killed → it runs, median of %d", scaleRestarts), formatMilliseconds(single.median()), "")
	adopted, err := r.measureReattachment(ctx, 1)
	if err != nil {
		return err
	}
	t.addRow("supervisor killed; start → all re-attached", formatSeconds(adopted[0]), "")
	back, err := r.measureBurst(ctx, 1, nil)
	if err != nil {
		return err
	}
	t.addRow("all killed at once → all run", formatSeconds(back[0]), "")
	if err := r.addFiles(t); err != nil {
		return err
	}
	return r.addBareLoop(ctx, t)
}

// addBareLoop stops the supervisor, and measures how long a bare loop takes to start
// all plugins after they were killed: the least time that the host needs for that.
func (r *daemonTestbed) addBareLoop(ctx context.Context, t *table) error {
	if err := r.supervisor.Stop(); err != nil {
		return err
	}
	r.supervisor = nil
	back, err := r.measureBurst(ctx, 1, r.startAllPlugins)
	if err != nil {
		return err
	}
	t.addRow("beside: all killed at once → all started by a bare loop", formatSeconds(back[0]), "")
	return nil
}

// waitAllRunning waits until every plugin runs and is watched.
func (r *daemonTestbed) waitAllRunning(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, scaleWithin)
	defer cancel()
	for r.countPlugins(ctx, isRunning) < len(r.dirs) {
		if err := r.supervisor.Pass(ctx, 20*time.Millisecond); err != nil {
			return fmt.Errorf("wait until all run: %w", err)
		}
	}
	return nil
}

// scaleWithin is the limit for the start of all plugins.
const scaleWithin = 5 * time.Minute

// addIdleOf measures the cost of the supervisor while nothing happens, and of a
// request for its status.
func (r *daemonTestbed) addIdleOf(ctx context.Context, t *table) error {
	pid := r.supervisor.PID()
	before, err := readCPU(pid)
	if err != nil {
		return err
	}
	began := time.Now()
	if err := r.supervisor.Pass(ctx, scaleIdle); err != nil {
		return err
	}
	after, err := readCPU(pid)
	if err != nil {
		return err
	}
	t.addRow("CPU while idle", fmt.Sprintf("%.2f %%", 100*float64(after-before)/float64(time.Since(began))), "")
	held, err := readMemory(pid)
	if err != nil {
		return err
	}
	t.addRow("PSS", fmt.Sprintf("%.1f MB", float64(held.pss)/1e6), "")
	open, err := os.ReadDir(procFile(pid, "fd"))
	if err != nil {
		return fmt.Errorf("count open files: %w", err)
	}
	t.addRow("open files", strconv.Itoa(len(open)), "")
	began = time.Now()
	if _, err := r.client.Status(ctx); err != nil {
		return err
	}
	t.addRow("status, requested and decoded", formatMilliseconds(time.Since(began)), "")
	return nil
}

// addFiles adds the size of the supervisor's own files.
func (r *daemonTestbed) addFiles(t *table) error {
	paths, err := filepath.Glob(filepath.Join(layout.Supervisor(r.in.Root), "*"))
	if err != nil {
		return err
	}
	var size int64
	for _, path := range paths {
		info, err := os.Lstat(path)
		if err != nil {
			return fmt.Errorf("measure own files: %w", err)
		}
		if info.Mode().IsRegular() {
			size += info.Size()
		}
	}
	t.addRow("state, journal and log on disk", fmt.Sprintf("%.1f MB", float64(size)/1e6), "")
	return nil
}

func formatSeconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }
