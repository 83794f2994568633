package admin

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pluginsupervisor/plugin"
)

// collector makes metrics from one snapshot at each scrape.
type collector struct {
	supervisor StatusSource
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

func newCollector(s StatusSource) *collector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("supervisor_"+name, help, labels, nil)
	}
	c := &collector{
		supervisor: s,
		up:         desc("up", "1 if the supervisor answered this scrape, else 0 without other metrics."),
		state:      desc("plugin_state", "Records of the plugin in this state; more than 1 for a duplicate name.", "plugin", "state"),
		restarts:   desc("plugin_restarts_total", "Completed restarts of the plugin.", "plugin"),
		beat:       desc("plugin_heartbeat_timestamp_seconds", "Time of the plugin's last heartbeat.", "plugin"),
	}
	gauge := func(name, help string, value func(plugin.Snapshot) float64) {
		c.single = append(c.single, single{desc(name, help), prometheus.GaugeValue, value})
	}
	count := func(name, help string, value func(plugin.Counters) uint64) {
		c.single = append(c.single, single{desc(name, help), prometheus.CounterValue, func(s plugin.Snapshot) float64 {
			return float64(value(s.Counters))
		}})
	}
	gauge("damaged_records", "Damaged records and files of the plugin database.",
		func(s plugin.Snapshot) float64 { return float64(len(s.Damaged)) })
	gauge("problems", "Operations of the supervisor that fail and are retried.",
		func(s plugin.Snapshot) float64 { return float64(len(s.Problems)) })
	gauge("plugins_weakly_verified", "Plugins whose package was verified by MD5 only, or not at all; unknown ones do not count.",
		func(s plugin.Snapshot) float64 { return float64(len(s.ListUnverified())) })
	gauge("versions_refused", "Versions of plugins that are blocked for a while because they failed.",
		func(s plugin.Snapshot) float64 { return float64(s.CountQuarantined()) })
	gauge("updates_blocked", "Versions that the control plane assigned and that could not be installed.",
		func(s plugin.Snapshot) float64 { return float64(len(s.Blocked)) })
	gauge("reports_owed", "Plugins with a report that the control plane has not acknowledged.",
		func(s plugin.Snapshot) float64 { return float64(s.Reports.Pending) })
	gauge("reports_owed_since_timestamp_seconds", "Time since which the oldest such report is pending; 0 without one.",
		func(s plugin.Snapshot) float64 { return unixSeconds(s.Reports.PendingSince) })
	gauge("events_owed", "Events that are not yet delivered to the control plane.",
		func(s plugin.Snapshot) float64 { return float64(s.Reports.Events) })
	gauge("last_scan_timestamp_seconds", "Start of the last scan; 0 before the first.",
		func(s plugin.Snapshot) float64 { return unixSeconds(s.Reports.LastCheck) })
	gauge("last_report_timestamp_seconds", "Time of the last delivered report; 0 before the first.",
		func(s plugin.Snapshot) float64 { return unixSeconds(s.Reports.LastDelivered) })
	gauge("start_timestamp_seconds", "Start of the supervisor.",
		func(s plugin.Snapshot) float64 { return unixSeconds(s.Supervisor.Started) })

	count("scans_total", "Scans of the plugins.", func(n plugin.Counters) uint64 { return n.Scans })
	count("scan_errors_total", "Scans that failed or were incomplete.", func(n plugin.Counters) uint64 { return n.ScanErrors })
	count("pulls_total", "Pulls of the heartbeats.", func(n plugin.Counters) uint64 { return n.Pulls })
	count("probes_total", "Status probes of plugins.", func(n plugin.Counters) uint64 { return n.Probes })
	count("exits_total", "Exits of plugins that were detected by an event.", func(n plugin.Counters) uint64 { return n.Exits })
	count("host_events_total", "Bursts: many plugins failed at once.", func(n plugin.Counters) uint64 { return n.HostEvents })
	count("restarts_total", "Completed restarts.", func(n plugin.Counters) uint64 { return n.Restarts })
	count("restarts_failed_total", "Failed restarts.", func(n plugin.Counters) uint64 { return n.RestartsFailed })
	count("reports_delivered_total", "Reports that the control plane acknowledged.", func(n plugin.Counters) uint64 { return n.ReportsDelivered })
	count("reports_failed_total", "Failed attempts to send a report.", func(n plugin.Counters) uint64 { return n.ReportsFailed })
	count("reports_suppressed_total", "Lazy reports that were not sent because nothing changed.", func(n plugin.Counters) uint64 { return n.ReportsSuppressed })
	count("upgrades_total", "Completed upgrades.", func(n plugin.Counters) uint64 { return n.Upgrades })
	count("upgrades_failed_total", "Failed upgrades.", func(n plugin.Counters) uint64 { return n.UpgradesFailed })
	count("defects_total", "Events that the transition table does not allow: defects of the supervisor.", func(n plugin.Counters) uint64 { return n.Defects })
	count("weak_installs_total", "Installed packages that were verified by less than a SHA-256.", func(n plugin.Counters) uint64 { return n.UnverifiedInstalls })
	count("timers_skipped_total", "Timers that fired while their work still ran.", func(n plugin.Counters) uint64 { return n.TimersSkipped })
	count("dead_letters_total", "Messages to stopped actors.", func(n plugin.Counters) uint64 { return n.DeadLetters })
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
	ctx, cancel := context.WithTimeout(context.Background(), answerTimeout)
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
	// Prometheus rejects a scrape with a duplicate series, so records of one
	// name are counted together.
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
			out <- prometheus.MustNewConstMetric(c.beat, prometheus.GaugeValue, unixSeconds(v.LastHeartbeat), v.Name)
		}
	}
	for in, n := range records {
		out <- prometheus.MustNewConstMetric(c.state, prometheus.GaugeValue, float64(n), in.name, in.state.String())
	}
}

func unixSeconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}
