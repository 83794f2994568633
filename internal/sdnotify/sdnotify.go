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
	// defaultInterval is how often the state is reported, unless a watchdog needs it more often.
	defaultInterval = 10 * time.Second
	// startInterval is how often the supervisor is asked until its first answer.
	startInterval = 100 * time.Millisecond
	// defaultTimeout is how long an answer may take, unless a watchdog needs it sooner.
	defaultTimeout = 2 * time.Second
	// sendTimeout is how long the service manager may take to receive.
	sendTimeout = 100 * time.Millisecond
)

// Run reports the state until ctx ends. It returns at once without systemd.
func Run(ctx context.Context, s Supervisor, log logrus.FieldLogger) {
	if os.Getenv("NOTIFY_SOCKET") == "" {
		return
	}
	watchdog, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		log.WithError(err).Warn("The service manager's watchdog cannot be served")
	}
	n := &notifier{supervisor: s, log: log, interval: defaultInterval, timeout: defaultTimeout, watchdog: watchdog > 0}
	if n.watchdog {
		n.interval = min(n.interval, watchdog/3) // so one report may be late
		n.timeout = min(n.timeout, watchdog/3)
	}
	n.run(ctx)
	_ = n.send(daemon.SdNotifyStopping) // which was logged
}

type notifier struct {
	supervisor Supervisor
	log        logrus.FieldLogger
	interval   time.Duration
	timeout    time.Duration
	watchdog   bool   // systemd expects WATCHDOG=1
	ready      bool   // READY=1 was sent
	lastLine   string // the last status line sent
	failed     bool   // the last notification failed, which was logged
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

// reportState asks the supervisor for its state and sends what is new. Without
// an answer it sends no WATCHDOG=1, so systemd kills and restarts the supervisor.
func (n *notifier) reportState(ctx context.Context) {
	asked, cancel := context.WithTimeout(ctx, n.timeout)
	defer cancel()
	snapshot, err := n.supervisor.Status(asked)
	if err != nil {
		if n.ready && ctx.Err() == nil {
			n.log.WithError(err).Error("Coordinator does not answer, the service manager is not told that it is well")
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
		n.ready, n.lastLine = true, line // else all of it is sent again
	}
}

func (n *notifier) send(state string) error {
	err := notify(os.Getenv("NOTIFY_SOCKET"), state)
	if err != nil && !n.failed {
		n.log.WithError(err).Warn("The service manager cannot be told")
	}
	n.failed = err != nil
	return err
}

// notify sends one datagram. It does not wait long for a service manager that
// does not read: its queue is short, and a send to a full one blocks.
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

// Line returns the state of the supervisor in one line: "3 plugins: 2 running, 1 crash-loop; 1 status owed".
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
	line := plural(len(s.Plugins), "plugin", "plugins")
	if len(states) > 0 {
		line += ": " + strings.Join(states, ", ")
	}
	if s.Reports.Pending > 0 {
		line += "; " + plural(s.Reports.Pending, "status", "statuses") + " owed"
	}
	for _, p := range s.Problems {
		line += "; " + p.What + " does not work"
	}
	return line
}

func plural(n int, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, more)
}
