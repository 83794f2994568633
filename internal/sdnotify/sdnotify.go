// Package sdnotify reports the supervisor's state to systemd (sd_notify(3),
// EV-20): READY=1 when supervision has begun, WATCHDOG=1 while the Coordinator
// answers, STATUS= with one line, STOPPING=1 on exit. Without systemd it does
// nothing.
package sdnotify

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/sirupsen/logrus"

	"pluginsupervisor/internal/pause"
	"pluginsupervisor/plugin"
)

// Supervisor returns the state to report.
type Supervisor interface {
	Status(ctx context.Context) (plugin.Snapshot, error)
}

// Variables returns the environment variables that systemd sets for the
// supervisor only. A plugin that inherited them could send notifications in the
// supervisor's name, or read its credentials (EV-30).
func Variables() []string {
	return []string{
		"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_PID", "LISTEN_PIDFDID", "LISTEN_FDS", "LISTEN_FDNAMES", "FDSTORE",
		"MAINPID", "MAINPIDFDID", "SYSTEMD_EXEC_PID", "INVOCATION_ID", "JOURNAL_STREAM", "CREDENTIALS_DIRECTORY",
		"MEMORY_PRESSURE_WATCH", "MEMORY_PRESSURE_WRITE",
	}
}

const (
	// defaultInterval is the interval of reports, unless a watchdog needs a shorter one.
	defaultInterval = 10 * time.Second
	// startInterval is the interval of status requests until the first answer.
	startInterval = 100 * time.Millisecond
	// defaultTimeout is the timeout of a status request, unless a watchdog needs a shorter one.
	defaultTimeout = 2 * time.Second
	// sendTimeout is the timeout for sending to the service manager.
	sendTimeout = 100 * time.Millisecond
)

// Run reports the state until ctx ends. It returns at once without systemd.
func Run(ctx context.Context, s Supervisor, log logrus.FieldLogger) {
	if os.Getenv("NOTIFY_SOCKET") == "" {
		return
	}
	watchdog, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		log.WithError(err).Warn("Cannot read the watchdog interval of the service manager, sending no WATCHDOG=1")
	}
	n := &notifier{supervisor: s, log: log, interval: defaultInterval, timeout: defaultTimeout, watchdog: watchdog > 0}
	if n.watchdog {
		n.interval = min(n.interval, watchdog/3) // so one report may be late
		n.timeout = min(n.timeout, watchdog/3)
	}
	n.run(ctx)
	_ = n.send(daemon.SdNotifyStopping) // send logs the error
}

type notifier struct {
	supervisor Supervisor
	log        logrus.FieldLogger
	interval   time.Duration
	timeout    time.Duration
	watchdog   bool   // systemd expects WATCHDOG=1
	ready      bool   // READY=1 was sent
	lastLine   string // the last status line sent
	failed     bool   // the last notification failed and was logged
}

func (n *notifier) run(ctx context.Context) {
	for {
		n.reportState(ctx)
		wait := n.interval
		if !n.ready {
			wait = min(wait, startInterval)
		}
		if pause.Sleep(ctx, wait) != nil {
			return
		}
	}
}

// reportState requests the state of the supervisor and sends the changes. Without an
// answer it sends no WATCHDOG=1, so systemd kills and restarts the supervisor.
func (n *notifier) reportState(ctx context.Context) {
	asked, cancel := context.WithTimeout(ctx, n.timeout)
	defer cancel()
	snapshot, err := n.supervisor.Status(asked)
	if err != nil {
		if n.ready && ctx.Err() == nil {
			n.log.WithError(err).Error("Coordinator does not answer, sending no WATCHDOG=1 to the service manager")
		}
		return
	}
	var lines []string
	if !n.ready {
		lines = append(lines, daemon.SdNotifyReady)
	}
	if n.watchdog {
		lines = append(lines, daemon.SdNotifyWatchdog)
	}
	line := "STATUS=" + Line(snapshot)
	if line != n.lastLine {
		lines = append(lines, line)
	}
	if len(lines) > 0 && n.send(strings.Join(lines, "\n")) == nil {
		n.ready, n.lastLine = true, line // else all is sent again
	}
}

func (n *notifier) send(state string) error {
	err := notify(os.Getenv("NOTIFY_SOCKET"), state)
	if err != nil && !n.failed {
		n.log.WithError(err).Warn("Cannot notify the service manager")
	}
	n.failed = err != nil
	return err
}

// notify sends one datagram. It waits at most sendTimeout for a service manager that
// does not read: sending to its full queue blocks.
func notify(socket, state string) error {
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetWriteDeadline(time.Now().Add(sendTimeout)); err != nil {
		return err
	}
	_, err = conn.Write([]byte(state))
	return err
}

// Line returns the state of the supervisor in one line: "3 plugins: 2 running, 1
// crash-loop; 1 status pending".
func Line(s plugin.Snapshot) string {
	count := map[plugin.State]int{}
	for _, v := range s.Plugins {
		count[v.State]++
	}
	var states []string
	for _, state := range plugin.States {
		if n := count[state]; n > 0 {
			states = append(states, fmt.Sprintf("%d %s", n, state))
		}
	}
	line := formatCount(len(s.Plugins), "plugin", "plugins")
	if len(states) > 0 {
		line += ": " + strings.Join(states, ", ")
	}
	if s.Reports.Pending > 0 {
		line += "; " + formatCount(s.Reports.Pending, "status", "statuses") + " pending"
	}
	for _, p := range s.Problems {
		line += "; problem: " + p.What
	}
	return line
}

func formatCount(n int, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, more)
}
