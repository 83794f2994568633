package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// How often each is measured.
const (
	seenDeaths   = 500
	singleDeaths = 200
	togetherOnes = 5
	adoptions    = 5
	manyPlugins  = 100
	fewPlugins   = 50
)

// addWatched measures what watching by event is for, and adds it to the table.
func addWatched(ctx context.Context, o options, t *table, progress io.Writer) error {
	var failed error
	fmt.Fprintf(progress, "%d deaths seen …\n", seenDeaths)
	if seen, by, err := measureSeen(ctx, seenDeaths); err == nil {
		t.section(fmt.Sprintf("end of a process seen, by %s, %d times", by, len(seen)))
		t.add("median", inMilliseconds(seen.median()), "")
		t.limit("p99", milliseconds(seen.quantile(0.99)), 5, "%.2f", "ms")
	} else {
		failed = wrap("end of a process", err)
	}
	for _, stagger := range []time.Duration{0, 10 * time.Second} {
		fmt.Fprintf(progress, "%d single restarts, stagger %s …\n", singleDeaths, stagger)
		all, err := single(ctx, o, stagger)
		if err != nil {
			failed = errors.Join(failed, wrap("single restart", err))
			continue
		}
		t.section(fmt.Sprintf("dead → running, one of %d plugins, restart.stagger %s, %d times", fewPlugins, stagger, len(all)))
		t.limit("median", milliseconds(all.median()), 5, "%.2f", "ms")
		t.limit("p99", milliseconds(all.quantile(0.99)), 50, "%.2f", "ms")
	}
	fmt.Fprintf(progress, "%d restarts by runsv …\n", singleDeaths)
	switch peer, err := measurePeer(ctx, fewPlugins, singleDeaths); {
	case errors.Is(err, errNoPeer):
		t.section("dead → running by runit: " + err.Error())
	case err != nil:
		failed = errors.Join(failed, wrap("peer", err))
	default:
		t.section(fmt.Sprintf("dead → running by runit's runsv, one of %d services, %d times", fewPlugins, len(peer)))
		t.add("median", inMilliseconds(peer.median()), "")
		t.add("p99", inMilliseconds(peer.quantile(0.99)), "")
	}
	fmt.Fprintf(progress, "%d killed at once, and adopted …\n", manyPlugins)
	return errors.Join(failed, wrap("many at once", addMany(ctx, o, t)))
}

func single(ctx context.Context, o options, stagger time.Duration) (_ spans, err error) {
	r, err := newDaemonRig(ctx, o, fewPlugins, stagger)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	return r.single(ctx, singleDeaths)
}

func addMany(ctx context.Context, o options, t *table) (err error) {
	r, err := newDaemonRig(ctx, o, manyPlugins, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	all, err := r.together(ctx, togetherOnes, nil)
	if err != nil {
		return err
	}
	t.section(fmt.Sprintf("%d plugins", manyPlugins))
	t.limit(fmt.Sprintf("killed at once → all running, median of %d", len(all)), all.median().Seconds(), 0.3, "%.3f", "s")
	if all, err = r.adoption(ctx, adoptions); err != nil {
		return err
	}
	t.limit(fmt.Sprintf("supervisor killed; start → all adopted, median of %d", len(all)), all.median().Seconds(), 0.2, "%.3f", "s")
	if err := r.supervisor.Stop(); err != nil {
		return err
	}
	r.supervisor = nil
	if all, err = r.together(ctx, togetherOnes, r.startAll); err != nil {
		return err
	}
	t.add(fmt.Sprintf("beside: killed at once → all started by a bare loop, median of %d", len(all)), fmt.Sprintf("%.3f s", all.median().Seconds()), "")
	return nil
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
