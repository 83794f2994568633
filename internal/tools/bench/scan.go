package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"

	"pluginsupervisor/internal/native"
	"pluginsupervisor/internal/process"
	"pluginsupervisor/internal/record"
	"pluginsupervisor/internal/tools/testbed"
	"pluginsupervisor/plugin"
)

// scanResult holds two medians.
type scanResult struct{ native, bare time.Duration }

func (r scanResult) ratio() float64 { return float64(r.native) / float64(r.bare) }

// measureScan probes the same plugins by the native manager and by the bare loop,
// in turns.
func measureScan(ctx context.Context, o options) (_ scanResult, err error) {
	in, err := testbed.NewInstallation()
	if err != nil {
		return scanResult{}, err
	}
	defer func() { err = errors.Join(err, in.Clear()) }()
	program := filepath.Join(in.Root, "noop")
	if err := testbed.Build(ctx, "noop", program); err != nil {
		return scanResult{}, err
	}
	programs, err := in.Install(ctx, o.scanned, program, record.Record{
		Name: "noop", Version: "1.0", RunPath: "noop", Type: plugin.Persist,
	})
	if err != nil {
		return scanResult{}, err
	}
	runner := process.NewRunner(process.Options{})
	parallel := min(max(2*runtime.NumCPU(), 4), 32) // the default of SC-08
	manager := native.New(native.Options{Root: in.Root, Runner: runner, Registry: in.Registry, Parallel: parallel})

	var native, bare []time.Duration
	for round := range 1 + o.rounds {
		began := time.Now()
		if err := scanOnce(ctx, manager, o.scanned); err != nil {
			return scanResult{}, err
		}
		between := time.Now()
		if err := runBareLoop(ctx, programs, parallel); err != nil {
			return scanResult{}, err
		}
		if round > 0 { // the first warms the caches
			native, bare = append(native, between.Sub(began)), append(bare, time.Since(between))
		}
	}
	return scanResult{native: medianOf(native), bare: medianOf(bare)}, nil
}

// scanOnce does the work of a scan: it lists the installed plugins and probes each.
func scanOnce(ctx context.Context, m *native.Manager, want int) error {
	list, err := m.List(ctx)
	if err != nil {
		return err
	}
	running := 0
	err = m.Probe(ctx, list.Plugins, func(p plugin.Probe) {
		if p.Status == plugin.StatusRunning {
			running++
		}
	})
	if err == nil && running != want {
		err = fmt.Errorf("%d of %d plugins run", running, want)
	}
	return err
}

// runBareLoop starts each program, a number of them at the same time, and waits
// for it, without a deadline and without reading the output: the least possible
// work.
func runBareLoop(ctx context.Context, programs []string, parallel int) error {
	slots := make(chan struct{}, parallel)
	failures := make(chan error, len(programs))
	var all sync.WaitGroup
	for _, program := range programs {
		if ctx.Err() != nil {
			break
		}
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			failures <- exec.Command(program, string(plugin.VerbStatus)).Run()
		})
	}
	all.Wait()
	close(failures)
	err := ctx.Err()
	for failure := range failures {
		err = errors.Join(err, failure)
	}
	return err
}

// medianOf returns the middle value, or the larger of the two in the middle.
func medianOf(of []time.Duration) time.Duration {
	return slices.Sorted(slices.Values(of))[len(of)/2]
}
