package control

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"runtime"
	"time"

	"github.com/sirupsen/logrus"

	"pluginsupervisor/internal/platform"
	"pluginsupervisor/plugin"
)

// Client sends requests to one control plane. It is safe for concurrent use.
type Client struct {
	base      *url.URL
	header    http.Header
	tokenFile string
	timeout   time.Duration
	http      *http.Client
	common    Common
	os, arch  string // as the wire spells them
	log       logrus.FieldLogger
}

// New returns a client. It checks the configuration and its files, and sends
// nothing. The error names the file or the value that is wrong.
func New(cfg Config, log logrus.FieldLogger) (*Client, error) {
	base, err := cfg.baseURL()
	if err != nil {
		return nil, err
	}
	if err := errors.Join(checkHeader("instance id", cfg.InstanceID), checkHeader("version", cfg.Version)); err != nil {
		return nil, err
	}
	if cfg.TokenFile != "" {
		if _, err := readToken(cfg.TokenFile); err != nil {
			return nil, err
		}
		if base.Scheme == "http" && !isLoopback(base.Hostname()) {
			log.WithField("url", base.String()).Warn("Token is sent to the control plane without encryption; use an https URL")
		}
	}
	timeout := cfg.Timeout
	if timeout <= 0 {
		timeout = DefaultTimeout
	}
	transport := cfg.Transport
	if transport == nil {
		if transport, err = newTransport(cfg, timeout); err != nil {
			return nil, err
		}
	}
	header := http.Header{}
	header.Set("Content-Type", ContentType)
	header.Set("User-Agent", runtime.GOOS+"_"+runtime.GOARCH+"/"+cfg.Version)
	if cfg.InstanceID != "" {
		header.Set(HeaderInstanceID, cfg.InstanceID)
	}
	return &Client{
		base:      base,
		header:    header,
		tokenFile: cfg.TokenFile,
		timeout:   timeout,
		http: &http.Client{
			Transport: transport,
			// A redirect is not followed: the report would not reach the control plane.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		common: describeHost(os.DirFS("/"), platform.Uname(), runtime.GOARCH, cfg.InstanceID),
		os:     platform.LocalOS(),
		arch:   platform.LocalArch(),
		log:    log,
	}, nil
}

// Close closes the idle connections. Requests in flight continue.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Report sends one report. An error means that it may not have arrived. When
// the answer cannot be read, Answer.Understood holds the reason (SC-19).
func (c *Client) Report(ctx context.Context, r plugin.Report) (plugin.Answer, error) {
	answer, err := c.sendRequest(ctx, PathReport, newReport(r))
	if err != nil {
		return plugin.Answer{}, fmt.Errorf("report status: %w", err)
	}
	return readStatus(answer), nil
}

// newReport returns a report in its wire form. Names and versions are cut
// (SC-16); plugins of unknown status are left out (SPEC 3).
func newReport(r plugin.Report) StatusReport {
	report := StatusReport{Plugin: []StatusEntry{}}
	for _, e := range r.Entries {
		if e.Status == plugin.StatusUnknown {
			continue
		}
		report.Plugin = append(report.Plugin, StatusEntry{
			Name:       plugin.TruncateText(e.Name, MaxReportName),
			Status:     StatusWord(e.Status),
			Version:    plugin.TruncateText(e.Version, MaxReportVersion),
			SysTagType: e.SysTag,
		})
	}
	return report
}

// CheckUpdates asks for newer versions of the plugins. The error wraps
// plugin.ErrUnreadableAnswer when the answer could not be read (UP-04).
func (c *Client) CheckUpdates(ctx context.Context, ps []plugin.Plugin) (plugin.Updates, error) {
	check := UpdateCheck{OS: c.os, Arch: c.arch, Plugin: []UpdateSubject{}}
	for _, p := range ps {
		check.Plugin = append(check.Plugin, UpdateSubject{Name: p.Name, Version: p.Version})
	}
	answer, err := c.sendRequest(ctx, PathUpdate, check)
	if err != nil {
		return plugin.Updates{}, fmt.Errorf("check for updates: %w", err)
	}
	updates, err := readUpdates(answer)
	if err != nil {
		return plugin.Updates{}, fmt.Errorf("check for updates: %w", err)
	}
	return updates, nil
}

// Send sends one event. The body of a 2xx answer is ignored, unless it is a web
// page (SC-26).
func (c *Client) Send(ctx context.Context, e plugin.Event) error {
	event, err := newEvent(c.common, e)
	if err == nil {
		_, err = c.sendRequest(ctx, PathEvent, event)
	}
	if err != nil {
		return fmt.Errorf("send event %s: %w", e.ID, err)
	}
	return nil
}
