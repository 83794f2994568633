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

// How the supervisor of many plugins is measured.
const (
	scaleDeaths = 20               // of single plugins
	scaleIdle   = 20 * time.Second // how long it is watched
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
			failed = errors.Join(failed, wrap(fmt.Sprintf("%d plugins", n), err))
		}
	}
	return failed
}

func addSupervisorOf(ctx context.Context, o options, n int, t *table) (err error) {
	r, err := prepareDaemonRig(ctx, o, n, 0, lateHealthy)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	t.section(fmt.Sprintf("%d plugins, restart budget lifted", n))

	began := time.Now()
	if err := r.start(); err != nil {
		return err
	}
	if err := r.awaitAll(ctx); err != nil {
		return err
	}
	t.add("start → all run", seconds(time.Since(began)), "")
	cpu, err := cpuOf(r.supervisor.PID())
	if err != nil {
		return err
	}
	t.add("CPU until then", seconds(cpu), "")
	if err := r.settle(ctx); err != nil {
		return err
	}
	if err := r.addIdleOf(ctx, t); err != nil {
		return err
	}

	single, err := r.single(ctx, scaleDeaths)
	if err != nil {
		return err
	}
	t.add(fmt.Sprintf("one killed → it runs, median of %d", scaleDeaths), inMilliseconds(single.median()), "")
	adopted, err := r.adoption(ctx, 1)
	if err != nil {
		return err
	}
	t.add("supervisor killed; start → all adopted", seconds(adopted[0]), "")
	back, err := r.together(ctx, 1, nil)
	if err != nil {
		return err
	}
	t.add("all killed at once → all run", seconds(back[0]), "")
	if err := r.addFiles(t); err != nil {
		return err
	}
	return r.addBareLoop(ctx, t)
}

// addBareLoop ends the supervisor, and measures how long a bare loop takes to start
// all plugins after they were killed: what the host needs for that at least.
func (r *daemonRig) addBareLoop(ctx context.Context, t *table) error {
	if err := r.supervisor.Stop(); err != nil {
		return err
	}
	r.supervisor = nil
	back, err := r.together(ctx, 1, r.startAll)
	if err != nil {
		return err
	}
	t.add("beside: all killed at once → all started by a bare loop", seconds(back[0]), "")
	return nil
}

// awaitAll waits until every plugin runs and is watched.
func (r *daemonRig) awaitAll(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, scaleWithin)
	defer cancel()
	for r.count(ctx, running) < len(r.dirs) {
		if err := r.supervisor.Pass(ctx, 20*time.Millisecond); err != nil {
			return fmt.Errorf("wait until all run: %w", err)
		}
	}
	return nil
}

// scaleWithin is the limit for the start of all plugins.
const scaleWithin = 5 * time.Minute

// addIdleOf measures what the supervisor costs while nothing happens, and what
// its status does.
func (r *daemonRig) addIdleOf(ctx context.Context, t *table) error {
	pid := r.supervisor.PID()
	before, err := cpuOf(pid)
	if err != nil {
		return err
	}
	began := time.Now()
	if err := r.supervisor.Pass(ctx, scaleIdle); err != nil {
		return err
	}
	after, err := cpuOf(pid)
	if err != nil {
		return err
	}
	t.add("CPU while idle", fmt.Sprintf("%.2f %%", 100*float64(after-before)/float64(time.Since(began))), "")
	held, err := memoryOf(pid)
	if err != nil {
		return err
	}
	t.add("PSS", fmt.Sprintf("%.1f MB", float64(held.pss)/1e6), "")
	open, err := os.ReadDir(procFile(pid, "fd"))
	if err != nil {
		return fmt.Errorf("count open files: %w", err)
	}
	t.add("open files", strconv.Itoa(len(open)), "")
	began = time.Now()
	if _, err := r.client.Status(ctx); err != nil {
		return err
	}
	t.add("status, asked for and decoded", inMilliseconds(time.Since(began)), "")
	return nil
}

// addFiles adds the size of the supervisor's own files.
func (r *daemonRig) addFiles(t *table) error {
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
	t.add("state, journal and log on disk", fmt.Sprintf("%.1f MB", float64(size)/1e6), "")
	return nil
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }
