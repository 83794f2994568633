package admin

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pluginsupervisor/plugin"
)

// collector turns one snapshot into metrics, at the moment of the scrape.
type collector struct {
	supervisor Observed
	up         *prometheus.Desc
	state      *prometheus.Desc
	restarts   *prometheus.Desc
	beat       *prometheus.Desc
	single     []single
}

// single is one metric without labels.
type single struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(plugin.Snapshot) float64
}

func newCollector(s Observed) *collector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("supervisor_"+name, help, labels, nil)
	}
	c := &collector{
		supervisor: s,
		up:         desc("up", "1 if the supervisor answered this scrape, else 0 and nothing else is told."),
		state:      desc("plugin_state", "Records of the plugin that are in the state: 1, or more for a duplicate name.", "plugin", "state"),
		restarts:   desc("plugin_restarts_total", "Restarts of the plugin that were carried out, ever.", "plugin"),
		beat:       desc("plugin_heartbeat_timestamp_seconds", "When the plugin's heartbeat was last seen to beat.", "plugin"),
	}
	gauge := func(name, help string, value func(plugin.Snapshot) float64) {
		c.single = append(c.single, single{desc(name, help), prometheus.GaugeValue, value})
	}
	count := func(name, help string, value func(plugin.Counters) uint64) {
		c.single = append(c.single, single{desc(name, help), prometheus.CounterValue, func(s plugin.Snapshot) float64 {
			return float64(value(s.Counters))
		}})
	}
	gauge("damaged_records", "Records and files of the plugin database that cannot be used.",
		func(s plugin.Snapshot) float64 { return float64(len(s.Damaged)) })
	gauge("problems", "Things that do not work and are tried again.",
		func(s plugin.Snapshot) float64 { return float64(len(s.Problems)) })
	gauge("plugins_weakly_verified", "Plugins whose package was verified by MD5 only, or not at all; what is not known does not count.",
		func(s plugin.Snapshot) float64 { return float64(len(s.ListUnverified())) })
	gauge("versions_refused", "Versions of plugins that are in quarantine, refused for a while.",
		func(s plugin.Snapshot) float64 { return float64(s.CountQuarantined()) })
	gauge("updates_blocked", "Versions that the control plane assigned and that could not be taken.",
		func(s plugin.Snapshot) float64 { return float64(len(s.Blocked)) })
	gauge("reports_owed", "Plugins with something the control plane has not acknowledged.",
		func(s plugin.Snapshot) float64 { return float64(s.Reports.Pending) })
	gauge("reports_owed_since_timestamp_seconds", "Since when the oldest of them is owed; 0 when nothing is.",
		func(s plugin.Snapshot) float64 { return seconds(s.Reports.PendingSince) })
	gauge("events_owed", "Events not delivered to the control plane yet.",
		func(s plugin.Snapshot) float64 { return float64(s.Reports.Events) })
	gauge("last_scan_timestamp_seconds", "When the last scan started; 0 before the first.",
		func(s plugin.Snapshot) float64 { return seconds(s.Reports.LastCheck) })
	gauge("last_report_timestamp_seconds", "When a report was last delivered; 0 before the first.",
		func(s plugin.Snapshot) float64 { return seconds(s.Reports.LastDelivered) })
	gauge("start_timestamp_seconds", "When the supervisor started.",
		func(s plugin.Snapshot) float64 { return seconds(s.Supervisor.Started) })

	count("scans_total", "Scans of the plugins.", func(n plugin.Counters) uint64 { return n.Scans })
	count("scan_errors_total", "Scans that failed or told only a part.", func(n plugin.Counters) uint64 { return n.ScanErrors })
	count("pulls_total", "Readings of the heartbeats.", func(n plugin.Counters) uint64 { return n.Pulls })
	count("probes_total", "Plugins asked for their status.", func(n plugin.Counters) uint64 { return n.Probes })
	count("exits_total", "Ends of plugins that were told by an event.", func(n plugin.Counters) uint64 { return n.Exits })
	count("host_events_total", "Times when many plugins failed together.", func(n plugin.Counters) uint64 { return n.HostEvents })
	count("restarts_total", "Restarts that were carried out.", func(n plugin.Counters) uint64 { return n.Restarts })
	count("restarts_failed_total", "Restarts after which the plugin did not run.", func(n plugin.Counters) uint64 { return n.RestartsFailed })
	count("reports_delivered_total", "Reports the control plane acknowledged.", func(n plugin.Counters) uint64 { return n.ReportsDelivered })
	count("reports_failed_total", "Tries to report that failed.", func(n plugin.Counters) uint64 { return n.ReportsFailed })
	count("reports_suppressed_total", "Lazy reports with nothing new, not sent.", func(n plugin.Counters) uint64 { return n.ReportsSuppressed })
	count("upgrades_total", "Upgrades that were carried out.", func(n plugin.Counters) uint64 { return n.Upgrades })
	count("upgrades_failed_total", "Upgrades that failed.", func(n plugin.Counters) uint64 { return n.UpgradesFailed })
	count("defects_total", "Facts about plugins that the transition table does not expect: defects of the supervisor.", func(n plugin.Counters) uint64 { return n.Defects })
	count("weak_installs_total", "Packages installed that were verified by less than a SHA-256.", func(n plugin.Counters) uint64 { return n.UnverifiedInstalls })
	count("timers_skipped_total", "Timers that came due while their work still ran.", func(n plugin.Counters) uint64 { return n.TimersSkipped })
	count("dead_letters_total", "Messages to actors that had ended.", func(n plugin.Counters) uint64 { return n.DeadLetters })
	count("log_lines_dropped_total", "Log lines dropped because nothing read the log.", func(n plugin.Counters) uint64 { return n.LogLinesDropped })
	return c
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(out chan<- *prometheus.Desc) {
	out <- c.up
	out <- c.state
	out <- c.restarts
	out <- c.beat
	for _, m := range c.single {
		out <- m.desc
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), answerWithin)
	defer cancel()
	s, err := c.supervisor.Status(ctx)
	if err != nil {
		out <- prometheus.MustNewConstMetric(c.up, prometheus.GaugeValue, 0)
		return
	}
	out <- prometheus.MustNewConstMetric(c.up, prometheus.GaugeValue, 1)
	for _, m := range c.single {
		out <- prometheus.MustNewConstMetric(m.desc, m.kind, m.value(s))
	}
	// One series a plugin and state, or the whole scrape is refused: records
	// of one name are counted together.
	type inState struct {
		name  string
		state plugin.State
	}
	records := map[inState]int{}
	for _, v := range s.Plugins {
		records[inState{v.Name, v.State}]++
		if v.Duplicate {
			continue
		}
		out <- prometheus.MustNewConstMetric(c.restarts, prometheus.CounterValue, float64(v.Restarts), v.Name)
		if !v.LastHeartbeat.IsZero() {
			out <- prometheus.MustNewConstMetric(c.beat, prometheus.GaugeValue, seconds(v.LastHeartbeat), v.Name)
		}
	}
	for in, n := range records {
		out <- prometheus.MustNewConstMetric(c.state, prometheus.GaugeValue, float64(n), in.name, in.state.String())
	}
}

func seconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}
