package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/url"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"

	"pluginsupervisor/internal/controlplane"
	"pluginsupervisor/internal/durable"
	"pluginsupervisor/internal/logger"
)

type serveOptions struct {
	address, database, addressFile string
	logFormat, logLevel            string
	publicURL                      string
	tlsCert, tlsKey                string
	trustedProxies                 []net.IPNet
	trustForwarded                 bool   // rejected
	maxPackage                     uint16 // MiB
	keep                           retention
	newHosts                       uint16
}

func serveCommand() *cobra.Command {
	o := serveOptions{keep: retention(controlplane.DefaultLimits().Keep)}
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the server until SIGTERM or SIGINT",
		Long: `Run the server: hosts report to it, and GET / is the operators' page.

There is no login yet: any client that reaches the address can change all data.
Listen on loopback, and connect hosts through a tunnel or a proxy that
authenticates them.

Behind a proxy, set --trusted-proxy: its X-Forwarded-For gives the address of a
host that sends no id; its X-Forwarded-Proto and X-Forwarded-Host give the URL
by which hosts reach the server. These headers are ignored from other senders.

Uploaded packages are stored in the folder DATABASE-packages. Hosts download
them from the URL by which they reached the server, or from --public-url.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			log, err := newLogger(cmd.ErrOrStderr(), o.logFormat, o.logLevel)
			if err != nil {
				return err
			}
			logger.KeepWithoutReader()
			out := logger.QueueLog(log)
			defer func() { _ = out.Close(logger.FlushWithin) }() // no log is left for the error
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGTERM, syscall.SIGINT)
			defer stop()
			context.AfterFunc(ctx, stop) // a second signal kills the process
			return serve(ctx, o, log)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.address, "listen", defaultAddress, "`address` to listen on; port 0 takes a free one")
	f.StringVar(&o.database, "database", "controlplane.db", "SQLite `file`, created if missing")
	f.StringVar(&o.publicURL, "public-url", "", "base `URL` of package downloads (default: the URL by which a host reached the server); its name may also be used for the page on loopback")
	f.IPNetSliceVar(&o.trustedProxies, "trusted-proxy", nil, "`CIDR` of a proxy whose X-Forwarded-For, -Proto and -Host are trusted, such as 10.0.0.0/8; may be repeated")
	f.Lookup("trusted-proxy").DefValue = "" // none, rather than []
	f.StringVar(&o.tlsCert, "tls-cert", "", "PEM `file` with the server's certificate chain, for TLS; reloaded when it changes")
	f.StringVar(&o.tlsKey, "tls-key", "", "PEM `file` with the key of --tls-cert; reloaded when it changes")
	f.BoolVar(&o.trustForwarded, "trust-forwarded", false, "")
	_ = f.MarkHidden("trust-forwarded") // replaced by --trusted-proxy, as parseLinks reports
	f.Uint16Var(&o.maxPackage, "max-package", uint16(controlplane.DefaultLimits().Package>>20), "largest package that may be uploaded, in `MiB`")
	f.Var(&o.keep, "keep", "time to keep silent hosts and removed plugins, such as `30d` or 12h; 0 keeps them forever")
	f.Uint16Var(&o.newHosts, "new-hosts", uint16(controlplane.DefaultLimits().NewHosts), "maximum of new `hosts` from one address within a minute; more are answered 429")
	f.StringVar(&o.addressFile, "address-file", "", "`file` to write host:port to when listening; removed on exit")
	f.StringVar(&o.logFormat, "log-format", "text", "text or json")
	f.StringVar(&o.logLevel, "log-level", "info", "debug, info, warning or error")
	return cmd
}

func serve(ctx context.Context, o serveOptions, log *logrus.Logger) (err error) {
	links, err := o.parseLinks()
	if err != nil {
		return err
	}
	limits := controlplane.DefaultLimits()
	limits.Package = int64(o.maxPackage) << 20
	limits.Keep, limits.NewHosts = time.Duration(o.keep), int(o.newHosts)
	// A file of an earlier run holds a wrong address.
	if err := removeAddress(o.addressFile); err != nil {
		return err
	}
	listener, page, err := o.openListener(log)
	if err != nil {
		return err
	}
	defer listener.Close()
	store, err := controlplane.Open(ctx, o.database)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()

	address := listener.Addr().String()
	if o.addressFile != "" {
		if err := durable.WriteFile(o.addressFile, []byte(address+"\n"), 0o644, nil); err != nil {
			return fmt.Errorf("write address file: %w", err)
		}
		defer func() { err = errors.Join(err, removeAddress(o.addressFile)) }()
	}
	log.WithFields(logrus.Fields{"url": page, "database": o.database}).Info("Control plane is listening")
	if a, ok := listener.Addr().(*net.TCPAddr); ok && !a.IP.IsLoopback() {
		log.WithField("address", address).Warn("No login protects this address: any client that reaches it can change everything")
	}
	err = controlplane.NewServer(store, log, limits, links).Serve(ctx, listener)
	log.Info("Control plane stopped")
	return err
}

// retention is the value of --keep: a duration in Go's form, or whole days.
type retention time.Duration

func (k *retention) Type() string { return "time" }

func (k *retention) String() string {
	d := time.Duration(*k)
	if days := d / (24 * time.Hour); d > 0 && d%(24*time.Hour) == 0 {
		return fmt.Sprintf("%dd", days)
	}
	return d.String()
}

// Set implements pflag.Value.
func (k *retention) Set(text string) error {
	var d time.Duration
	var err error
	if days, found := strings.CutSuffix(text, "d"); found {
		var n uint64
		n, err = strconv.ParseUint(days, 10, 15)
		d = time.Duration(n) * 24 * time.Hour
	} else {
		d, err = time.ParseDuration(text)
	}
	if err != nil || d < 0 {
		return errors.New("want a time such as 30d or 12h, or 0")
	}
	*k = retention(d)
	return nil
}

func (o serveOptions) parseLinks() (controlplane.Links, error) {
	links := controlplane.Links{Proxies: o.trustedProxies}
	if o.trustForwarded {
		return links, errors.New("--trust-forwarded trusted any sender and was removed: set the proxy with --trusted-proxy, such as --trusted-proxy 127.0.0.1/32")
	}
	if o.publicURL == "" {
		return links, nil
	}
	u, err := url.Parse(o.publicURL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return links, fmt.Errorf("public URL %q is not valid: want http:// or https://, a host, and optionally a path", o.publicURL)
	}
	links.Public = u
	return links, nil
}

func removeAddress(path string) error {
	if path == "" {
		return nil
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove address file: %w", err)
	}
	return nil
}

func newLogger(to io.Writer, format, level string) (*logrus.Logger, error) {
	log := logrus.New()
	log.SetOutput(to)
	switch format {
	case "text":
		log.SetFormatter(&logrus.TextFormatter{FullTimestamp: true, ForceColors: logger.IsTerminal(to)})
	case "json":
		log.SetFormatter(&logrus.JSONFormatter{})
	default:
		return nil, fmt.Errorf("log format %q is not known: want text or json", format)
	}
	parsed, err := logrus.ParseLevel(level)
	if err != nil {
		return nil, fmt.Errorf("log level %q is not known: want debug, info, warning or error", level)
	}
	log.SetLevel(parsed)
	return log, nil
}
