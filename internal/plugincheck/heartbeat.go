package plugincheck

import (
	"context"
	"fmt"
	"strings"
	"time"

	"pluginsupervisor/internal/heartbeat"
	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/pause"
	"pluginsupervisor/plugin"
)

// beatRemedy says how a heartbeat is written.
const beatRemedy = `write Unix seconds to the file at least that often: date +%s >"$PLUGIN_DIR/heartbeat.new" && mv "$PLUGIN_DIR/heartbeat.new" "$PLUGIN_DIR/heartbeat"`

// checkHeartbeat waits for two heartbeats. A plugin whose config.json sets no
// heartbeatInterval need not write any; the one that it writes must be of now.
func checkHeartbeat(ctx context.Context, s *subject) (verdict, error) {
	if failed, err := s.ensureRunning(ctx); failed != nil || err != nil {
		return orFailed(failed, err)
	}
	promised, err := s.promisesHeartbeats()
	if err != nil {
		return verdict{}, err
	}
	interval := s.plugin.HeartbeatInterval
	expected := fmt.Sprintf("a heartbeat each %v, as config.json says", interval)
	reader := heartbeat.New(s.root)
	began := time.Now()
	var first plugin.Heartbeat
	for late := interval + plugin.HeartbeatGrace; ; {
		now := time.Now()
		b := reader.Read(ctx, []plugin.Plugin{s.plugin}, now)[0]
		switch {
		case b.HostFault:
			return verdict{}, b.Err
		case !b.Found && !promised:
			return skip("config.json sets no heartbeatInterval, and there is no heartbeat"), nil
		case b.Err != nil:
			return fail(expected, "the file heartbeat holds no date: "+b.Err.Error(), beatRemedy)
		case b.Found && !b.Last.Equal(first.Last) && b.StatusAt(now) != plugin.StatusRunning:
			return fail(expected, fmt.Sprintf("the date in the file heartbeat is %s, %v ago", b.Last.UTC().Format(time.RFC3339), b.AgeAt(now).Round(time.Second)),
				"write the time of the heartbeat, not that of the start: date +%s >heartbeat")
		case b.Found && !promised:
			return pass()
		case b.Found && !first.Found:
			first, began = b, now
		case b.Found && !b.Last.Equal(first.Last):
			return pass()
		case now.Sub(began) <= late:
		case first.Found:
			return fail(expected, fmt.Sprintf("no second heartbeat within %v", late), beatRemedy)
		default:
			return fail(expected, fmt.Sprintf("there is no file heartbeat in PLUGIN_DIR %v after the start", late), beatRemedy+"; or remove heartbeatInterval from config.json")
		}
		if len(s.processes(ctx)) == 0 && ctx.Err() == nil {
			return fail(expected, "the daemon exited meanwhile"+s.explainExit(), "keep the daemon running until --stop")
		}
		if err := pause.Sleep(ctx, poll); err != nil {
			return verdict{}, err
		}
	}
}

// promisesHeartbeats reports whether config.json sets a heartbeatInterval. Once it
// is decoded, it always has one.
func (s *subject) promisesHeartbeats() (bool, error) {
	for _, entry := range s.pkg.Files {
		if strings.TrimPrefix(strings.TrimPrefix(entry.Name, s.pkg.Top), "/") != layout.PackageConfig {
			continue
		}
		fields, err := readFields(entry)
		if err != nil {
			return false, err
		}
		for key, value := range fields {
			if text := fmt.Sprint(value); strings.EqualFold(key, "heartbeatInterval") && value != nil && text != "" && text != "0" && !strings.HasPrefix(text, "-") {
				return true, nil
			}
		}
	}
	return false, nil
}
