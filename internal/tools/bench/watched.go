package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// The number of measurements of each kind.
const (
	detectedExits  = 500
	singleRestarts = 200
	bursts         = 5
	reattachments  = 5
	manyPlugins    = 100
	fewPlugins     = 50
)

// addWatched measures detection and restarts by event, and adds them to the table.
func addWatched(ctx context.Context, o options, t *table, progress io.Writer) error {
	var failed error
	fmt.Fprintf(progress, "%d exits detected …\n", detectedExits)
	if seen, by, err := measureDetection(ctx, detectedExits); err == nil {
		t.addSection(fmt.Sprintf("exit of a process detected, by %s, %d times", by, len(seen)))
		t.addRow("median", formatMilliseconds(seen.median()), "")
		t.addLimited("p99", toMilliseconds(seen.quantile(0.99)), 5, "%.2f", "ms")
	} else {
		failed = notMeasured("exit of a process", err)
	}
	for _, stagger := range []time.Duration{0, 10 * time.Second} {
		fmt.Fprintf(progress, "%d single restarts, stagger %s …\n", singleRestarts, stagger)
		all, err := measureRestartsWith(ctx, o, stagger)
		if err != nil {
			failed = errors.Join(failed, notMeasured("single restart", err))
			continue
		}
		t.addSection(fmt.Sprintf("exit → running, one of %d plugins, restart.stagger %s, %d times", fewPlugins, stagger, len(all)))
		t.addLimited("median", toMilliseconds(all.median()), 5, "%.2f", "ms")
		t.addLimited("p99", toMilliseconds(all.quantile(0.99)), 50, "%.2f", "ms")
	}
	fmt.Fprintf(progress, "%d restarts by runsv …\n", singleRestarts)
	switch peer, err := measurePeer(ctx, fewPlugins, singleRestarts); {
	case errors.Is(err, errNoPeer):
		t.addSection("exit → running by runit: " + err.Error())
	case err != nil:
		failed = errors.Join(failed, notMeasured("peer", err))
	default:
		t.addSection(fmt.Sprintf("exit → running by runit's runsv, one of %d services, %d times", fewPlugins, len(peer)))
		t.addRow("median", formatMilliseconds(peer.median()), "")
		t.addRow("p99", formatMilliseconds(peer.quantile(0.99)), "")
	}
	fmt.Fprintf(progress, "%d killed at once, and re-attached …\n", manyPlugins)
	return errors.Join(failed, notMeasured("many at once", addMany(ctx, o, t)))
}

func measureRestartsWith(ctx context.Context, o options, stagger time.Duration) (_ spans, err error) {
	r, err := startDaemonTestbed(ctx, o, fewPlugins, stagger)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	return r.measureSingleRestarts(ctx, singleRestarts)
}

func addMany(ctx context.Context, o options, t *table) (err error) {
	r, err := startDaemonTestbed(ctx, o, manyPlugins, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	all, err := r.measureBurst(ctx, bursts, nil)
	if err != nil {
		return err
	}
	t.addSection(fmt.Sprintf("%d plugins", manyPlugins))
	t.addLimited(fmt.Sprintf("killed at once → all running, median of %d", len(all)), all.median().Seconds(), 0.3, "%.3f", "s")
	if all, err = r.measureReattachment(ctx, reattachments); err != nil {
		return err
	}
	t.addLimited(fmt.Sprintf("supervisor killed; start → all re-attached, median of %d", len(all)), all.median().Seconds(), 0.2, "%.3f", "s")
	if err := r.supervisor.Stop(); err != nil {
		return err
	}
	r.supervisor = nil
	if all, err = r.measureBurst(ctx, bursts, r.startAllPlugins); err != nil {
		return err
	}
	t.addRow(fmt.Sprintf("beside: killed at once → all started by a bare loop, median of %d", len(all)), fmt.Sprintf("%.3f s", all.median().Seconds()), "")
	return nil
}

func toMilliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
