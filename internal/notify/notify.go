// Package notify tells systemd how the supervisor is (sd_notify(3), EV-20):
// READY=1 once it supervises, WATCHDOG=1 only while its Coordinator answers,
// STATUS= in one line, STOPPING=1 at the end. Without systemd it does nothing.
package notify

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/sirupsen/logrus"

	"pluginsupervisor/internal/pause"
	"pluginsupervisor/plugin"
)

// Supervisor is who is asked.
type Supervisor interface {
	Status(ctx context.Context) (plugin.Snapshot, error)
}

// Variables are what systemd puts into the environment for the supervisor
// alone; a plugin that inherited them would speak in its name.
func Variables() []string {
	return []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "MAINPID", "INVOCATION_ID", "JOURNAL_STREAM"}
}

const (
	// everySo is how often the status line is looked at where no watchdog asks for more.
	everySo = 10 * time.Second
	// firstLook is how often the supervisor is asked until it answers.
	firstLook = 100 * time.Millisecond
	// answerWithin bounds the wait for an answer; a watchdog's half if that is less.
	answerWithin = 2 * time.Second
)

// Run tells systemd until ctx ends. It returns at once where nobody listens.
func Run(ctx context.Context, s Supervisor, log logrus.FieldLogger) {
	if os.Getenv("NOTIFY_SOCKET") == "" {
		return
	}
	watchdog, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		log.WithError(err).Warn("The service manager's watchdog cannot be served")
	}
	n := &notifier{supervisor: s, log: log, every: everySo, within: answerWithin, watchdog: watchdog > 0}
	if n.watchdog {
		n.every = min(n.every, watchdog/3) // one may come late
		n.within = min(n.within, watchdog/3)
	}
	n.run(ctx)
	n.tell(daemon.SdNotifyStopping)
}

type notifier struct {
	supervisor    Supervisor
	log           logrus.FieldLogger
	every, within time.Duration
	watchdog      bool
	ready         bool
	said          string // the last status line
	silent        bool   // the socket refused, and that was logged
}

func (n *notifier) run(ctx context.Context) {
	for {
		n.look(ctx)
		wait := n.every
		if !n.ready {
			wait = min(wait, firstLook)
		}
		if pause.Sleep(ctx, wait) != nil {
			return
		}
	}
}

// look asks the supervisor, and tells what is new. One that does not answer
// gets no WATCHDOG=1: systemd then ends it and starts it again.
func (n *notifier) look(ctx context.Context) {
	asking, cancel := context.WithTimeout(ctx, n.within)
	defer cancel()
	snapshot, err := n.supervisor.Status(asking)
	if err != nil {
		if n.ready && ctx.Err() == nil {
			n.log.WithError(err).Error("Coordinator does not answer, the service manager is not told that it is well")
		}
		return
	}
	var lines []string
	if !n.ready {
		n.ready = true
		lines = append(lines, daemon.SdNotifyReady)
	}
	if n.watchdog {
		lines = append(lines, daemon.SdNotifyWatchdog)
	}
	if line := "STATUS=" + Line(snapshot); line != n.said {
		n.said = line
		lines = append(lines, line)
	}
	if len(lines) > 0 {
		n.tell(strings.Join(lines, "\n"))
	}
}

func (n *notifier) tell(state string) {
	_, err := daemon.SdNotify(false, state)
	if err != nil && !n.silent {
		n.log.WithError(err).Warn("The service manager cannot be told")
	}
	n.silent = err != nil
}

// Line is the supervisor in one line: "3 plugins: 2 running, 1 crash-loop; 1 status owed".
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
	if s.Reports.Owed > 0 {
		line += "; " + plural(s.Reports.Owed, "status", "statuses") + " owed"
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
