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
	trustForwarded                 bool   // refused
	maxPackage                     uint16 // MiB
	keep                           keep
	newHosts                       uint16
}

func serveCommand() *cobra.Command {
	o := serveOptions{keep: keep(controlplane.DefaultLimits().Keep)}
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the server until SIGTERM or SIGINT",
		Long: `Run the server: hosts report to it, and GET / is the operators' page.

There is no login yet: whoever reaches the address may change everything.
Listen on loopback, and let hosts come through a tunnel or a proxy that checks
who they are.

Behind a proxy, name it with --trusted-proxy: its X-Forwarded-For says which
host speaks, when the host sends no id, and its X-Forwarded-Proto and
X-Forwarded-Host where hosts reach the server. What others write there is
ignored.

Uploaded packages are kept in a folder beside the database, of its name and
"-packages". Hosts get them where they reached the server, or below
--public-url.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			log, err := newLogger(cmd.ErrOrStderr(), o.logFormat, o.logLevel)
			if err != nil {
				return err
			}
			logger.KeepWithoutReader()
			out := logger.QueueLog(log)
			defer func() { _ = out.Close(logger.FlushWithin) }() // nothing is left to say so to
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGTERM, syscall.SIGINT)
			defer stop()
			context.AfterFunc(ctx, stop) // a second signal ends the process at once
			return serve(ctx, o, log)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.address, "listen", defaultAddress, "`address` to listen on; port 0 takes a free one")
	f.StringVar(&o.database, "database", "controlplane.db", "SQLite `file`, created if missing")
	f.StringVar(&o.publicURL, "public-url", "", "base `URL` that hosts get packages from; where they reached the server if not given. On loopback, people may use its name, too")
	f.IPNetSliceVar(&o.trustedProxies, "trusted-proxy", nil, "`CIDR` of a proxy whose X-Forwarded-For, -Proto and -Host are believed, as 10.0.0.0/8; may be repeated")
	f.Lookup("trusted-proxy").DefValue = "" // none, rather than []
	f.StringVar(&o.tlsCert, "tls-cert", "", "PEM `file` with the server's certificate chain, for TLS; read again when it changes")
	f.StringVar(&o.tlsKey, "tls-key", "", "PEM `file` with the key of --tls-cert; read again when it changes")
	f.BoolVar(&o.trustForwarded, "trust-forwarded", false, "")
	_ = f.MarkHidden("trust-forwarded") // replaced by --trusted-proxy; links says so
	f.Uint16Var(&o.maxPackage, "max-package", uint16(controlplane.DefaultLimits().Package>>20), "largest package that may be uploaded, in `MiB`")
	f.Var(&o.keep, "keep", "how long silent hosts and removed plugins are kept, as in `30d` or 12h; 0 for ever")
	f.Uint16Var(&o.newHosts, "new-hosts", uint16(controlplane.DefaultLimits().NewHosts), "how many new `hosts` one address may report within a minute; further ones are answered 429")
	f.StringVar(&o.addressFile, "address-file", "", "`file` to write host:port to once listening; removed at the end")
	f.StringVar(&o.logFormat, "log-format", "text", "text or json")
	f.StringVar(&o.logLevel, "log-level", "info", "debug, info, warning or error")
	return cmd
}

func serve(ctx context.Context, o serveOptions, log *logrus.Logger) (err error) {
	links, err := o.links()
	if err != nil {
		return err
	}
	limits := controlplane.DefaultLimits()
	limits.Package = int64(o.maxPackage) << 20
	limits.Keep, limits.NewHosts = time.Duration(o.keep), int(o.newHosts)
	// One from an earlier run would send readers to the wrong place.
	if err := removeAddress(o.addressFile); err != nil {
		return err
	}
	listener, page, err := o.listen(log)
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
	log.WithFields(logrus.Fields{"url": page, "database": o.database}).Info("Control plane listens")
	if a, ok := listener.Addr().(*net.TCPAddr); ok && !a.IP.IsLoopback() {
		log.WithField("address", address).Warn("No login protects this address: whoever reaches it may change everything")
	}
	err = controlplane.NewServer(store, log, limits, links).Serve(ctx, listener)
	log.Info("Control plane stopped")
	return err
}

// keep is a time as --keep has it: a duration as Go writes it, or whole days.
type keep time.Duration

func (k *keep) Type() string { return "time" }

func (k *keep) String() string {
	d := time.Duration(*k)
	if days := d / (24 * time.Hour); d > 0 && d%(24*time.Hour) == 0 {
		return fmt.Sprintf("%dd", days)
	}
	return d.String()
}

// Set implements pflag.Value.
func (k *keep) Set(text string) error {
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
	*k = keep(d)
	return nil
}

func (o serveOptions) links() (controlplane.Links, error) {
	links := controlplane.Links{Proxies: o.trustedProxies}
	if o.trustForwarded {
		return links, errors.New("--trust-forwarded believed any sender and is gone: name the proxy with --trusted-proxy, as in --trusted-proxy 127.0.0.1/32")
	}
	if o.publicURL == "" {
		return links, nil
	}
	u, err := url.Parse(o.publicURL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return links, fmt.Errorf("public URL %q: want http:// or https://, a host, and perhaps a path", o.publicURL)
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
		return nil, fmt.Errorf("log format %q: text or json", format)
	}
	parsed, err := logrus.ParseLevel(level)
	if err != nil {
		return nil, fmt.Errorf("log level %q: debug, info, warning or error", level)
	}
	log.SetLevel(parsed)
	return log, nil
}
