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

	"pluginsupervisor/internal/config"
	"pluginsupervisor/internal/inherit"
	"pluginsupervisor/internal/logger"
	"pluginsupervisor/supervisor"
)

func newRunCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run the supervisor until SIGTERM or SIGINT",
		Long: `Run the supervisor until SIGTERM or SIGINT. Plugins that it started keep
running when it ends.

It exits 0 when it was told to end, 1 when it could not go on, 2 on a wrong
configuration. There is no reload: starting it again is safe. It does not start
while the existing agent runs on the same root (docs/drop-in.md).`,
		Args: checkArguments(cobra.NoArgs),
	}
	settings := addSettings(cmd)
	force := cmd.Flags().Bool("force", false, "start although the existing agent runs on the same root")
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
		cmd.Root().SetErr(out) // so what ends the process is written behind the log
		if inherited != nil {
			log.WithError(inherited).Warn("Plugins get the descriptors that the supervisor was started with")
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
			err = errors.Join(err, errors.New("stop it and whatever starts it again (systemctl stop aliyun.service; assist_daemon --stop), or use --force; see Handing over in docs/drop-in.md"))
		}
		return err
	}
	return cmd
}

// tuneRuntime has the garbage collector trade some CPU, of which a supervisor uses
// next to none, for memory, which it holds on every host; and it settles for two
// CPUs at once, so that the runtime needs not look each second how many there
// are. GOGC and GOMAXPROCS in the environment go first.
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

// withSignals is a context that ends with the first SIGTERM or SIGINT. A second
// one ends the process at once; SIGHUP is no request to end, nor to reload.
func withSignals(ctx context.Context, log logrus.FieldLogger, out *logger.Queue) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	over := make(chan struct{})
	go func() {
		told := false
		for {
			select {
			case <-over:
				return
			case s := <-signals:
				switch {
				case s == syscall.SIGHUP:
					log.Warn("SIGHUP ignored: there is no reload, start again to read the configuration")
				case told:
					log.WithField("signal", s.String()).Warn("Told to end a second time, ends at once")
					_ = out.Close(logger.FlushWithin) // nothing is left to say so to
					os.Exit(int(exitFailed))
				default:
					told = true
					log.WithField("signal", s.String()).Info("Told to end")
					cancel()
				}
			}
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(over)
		cancel()
	}
}
