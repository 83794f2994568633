package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"

	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"pluginsupervisor/internal/config"
	"pluginsupervisor/internal/inherit"
	"pluginsupervisor/internal/logger"
	"pluginsupervisor/supervisor"
)

func newRunCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run the supervisor until SIGTERM or SIGINT",
		Long: `Run the supervisor until SIGTERM or SIGINT. Plugins keep running when it stops; the
next start re-attaches to them.

Exit status: 0 after SIGTERM or SIGINT, 1 on a failure, 2 on a wrong configuration.
There is no reload: restart it to read the configuration. It does not start while
the existing agent runs on the same root (docs/drop-in.md).`,
		Args: checkArguments(cobra.NoArgs),
	}
	settings := addSettings(cmd)
	force := cmd.Flags().Bool("force", false, "start even if the existing agent runs on the same root")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		inherited := inherit.Drop()
		cfg, warnings, err := settings.loadConfig(cmd)
		if err != nil {
			return err
		}
		log, err := newLogger(cfg.Log, cmd.ErrOrStderr())
		if err != nil {
			return withExitCode(exitUsage, err)
		}
		logger.KeepWithoutReader()
		out := logger.QueueLog(log)
		cmd.Root().SetErr(out) // the last error is written behind the log
		if inherited != nil {
			log.WithError(inherited).Warn("Cannot close inherited file descriptors: plugins inherit them")
		}
		tuneRuntime()
		ctx, stop := withSignals(cmd.Context(), log, out)
		defer stop()
		options := []supervisor.Option{
			supervisor.WithConfig(cfg, warnings...), supervisor.WithLogger(log), supervisor.WithSubreaper(), supervisor.WithServiceManager(),
		}
		if *force {
			options = append(options, supervisor.WithExistingAgent())
		}
		s, err := supervisor.New(options...)
		if err != nil {
			return err
		}
		err = s.Run(ctx)
		if errors.Is(err, supervisor.ErrExistingAgent) {
			err = errors.Join(err, errors.New("stop it and the service that restarts it (systemctl stop aliyun.service; assist_daemon --stop), or use --force; see Handing over in docs/drop-in.md"))
		}
		return err
	}
	return cmd
}

// tuneRuntime makes the garbage collector use more CPU, of which the supervisor needs
// little, to save memory. It sets GOMAXPROCS to at most two, which also stops the
// runtime from checking the number of CPUs each second. GOGC and GOMAXPROCS of the
// environment take precedence.
func tuneRuntime() {
	const percent, cpus = 50, 2
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(min(cpus, runtime.GOMAXPROCS(0)))
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(percent)
	}
}

func newLogger(cfg config.Log, to io.Writer) (*logrus.Logger, error) {
	log := logrus.New()
	log.SetOutput(to)
	level, err := logrus.ParseLevel(cfg.Level)
	if err != nil {
		return nil, fmt.Errorf("log.level: %w", err)
	}
	log.SetLevel(level)
	if cfg.Format == "json" {
		log.SetFormatter(&logrus.JSONFormatter{})
	} else {
		log.SetFormatter(&logrus.TextFormatter{FullTimestamp: true, ForceColors: logger.IsTerminal(to)})
	}
	return log, nil
}

// withSignals returns a context that ends with the first SIGTERM or SIGINT. A second
// one exits the process immediately. SIGHUP is ignored.
func withSignals(ctx context.Context, log logrus.FieldLogger, out *logger.Queue) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	done := make(chan struct{})
	go func() {
		stopping := false
		for {
			select {
			case <-done:
				return
			case s := <-signals:
				switch {
				case s == syscall.SIGHUP:
					log.Warn("SIGHUP ignored: there is no reload, restart the supervisor to read the configuration")
				case stopping:
					log.WithField("signal", signalName(s)).Warn("Second signal, exiting now")
					_ = out.Close(logger.FlushWithin) // there is no other place to report it
					os.Exit(int(exitFailed))
				default:
					stopping = true
					log.WithField("signal", signalName(s)).Info("Shutting down")
					cancel()
				}
			}
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(done)
		cancel()
	}
}

// signalName returns the name of a signal, such as SIGTERM.
func signalName(s os.Signal) string {
	if number, ok := s.(syscall.Signal); ok {
		return unix.SignalName(number)
	}
	return s.String()
}
