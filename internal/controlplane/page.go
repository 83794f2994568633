package controlplane

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"time"

	"pluginsupervisor/internal/control"
	"pluginsupervisor/plugin"
)

//go:embed page/page.html
var pageHTML string

//go:embed page/page.css
var pageCSS string

//go:embed page/page.js
var pageJS string

// page is the operators' page: one document with its style and script.
type page struct {
	html   *template.Template
	policy string // Content-Security-Policy: allows that style and script only
}

func newPage() *page {
	funcs := template.FuncMap{
		"cut":     shortenText,
		"summary": summarizeEvent,
		"label":   eventLabel,
		"size":    formatSize,
		"style":   func() template.CSS { return template.CSS(pageCSS) },
		"script":  func() template.JS { return template.JS(pageJS) },
	}
	return &page{
		html: template.Must(template.New("page").Funcs(funcs).Parse(pageHTML)),
		policy: fmt.Sprintf("default-src 'none'; style-src '%s'; script-src '%s'; img-src data:; connect-src 'self'; "+
			"form-action 'self'; base-uri 'none'; frame-ancestors 'none'", hashSource(pageCSS), hashSource(pageJS)),
	}
}

func hashSource(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

// Limits of the rows that the page shows of a large fleet.
const (
	shownHosts    = 200
	shownPlugins  = 20 // of a host
	shownPackages = 200
	shownLatest   = 15 // changes, and events
)

// view holds the data of the page.
type view struct {
	now          time.Time
	Hosts        []hostView
	Counts       counts // of all hosts, also those beyond shownHosts
	Changes      []Change
	Events       []Event
	Offers       []Offer
	Settings     Settings
	Packages     []packageView
	MorePackages int       // not shown
	Names        []string  // of plugins, to choose from in the forms
	IDs          []string  // of hosts, to choose from in the forms
	Versions     []Package // one of each name and version, to choose from in the forms

	OfferForm    offerForm
	PackageForm  packageForm
	SettingsForm settingsForm
}

type counts struct{ Hosts, Running, Failed, Other int }

type hostView struct {
	Host
	Failed  int
	Plugins []pluginView
	More    int // plugins not shown
}

type pluginView struct {
	HostPlugin
	Offered string // the version offered to the host, "" for none
}

type packageView struct {
	Package
	Path string // where it is served
}

// The forms as they were filled in; Error is the reason of a rejection.
type (
	packageForm  struct{ Upload, Remove string } // errors of the two forms; a file cannot be filled in again
	offerForm    struct{ Name, Version, Timeout, Host, Error string }
	settingsForm struct {
		Scan, Pull, Refresh, Update string
		Lazy                        bool
		Error                       string
	}
)

// loadView reads the data of the page.
func (s *Server) loadView(ctx context.Context) (v view, err error) {
	v.now = s.now()
	hosts, hostsErr := s.store.ListHosts(ctx)
	packages, packagesErr := s.store.ListPackages(ctx, "")
	var errs [4]error
	v.Offers, errs[0] = s.store.ListOffers(ctx)
	v.Settings, errs[1] = s.store.ReadSettings(ctx)
	v.Changes, errs[2] = s.store.ListChanges(ctx, shownLatest)
	v.Events, errs[3] = s.store.ListEvents(ctx, shownLatest)
	if err := errors.Join(append(errs[:], hostsErr, packagesErr)...); err != nil {
		return v, err
	}
	v.Counts.Hosts = len(hosts)
	names := map[string]bool{}
	for i, h := range hosts {
		for _, p := range h.Plugins {
			switch p.Status {
			case plugin.StatusRunning:
				v.Counts.Running++
			case plugin.StatusFailed:
				v.Counts.Failed++
			default:
				v.Counts.Other++
			}
			if !names[p.Name] && len(names) < shownHosts {
				names[p.Name] = true
				v.Names = append(v.Names, p.Name)
			}
		}
		if i < shownHosts {
			v.Hosts = append(v.Hosts, newHostView(h, v.Offers))
			v.IDs = append(v.IDs, h.ID)
		}
	}
	v.MorePackages = max(0, len(packages)-shownPackages)
	for _, p := range packages[:len(packages)-v.MorePackages] {
		v.Packages = append(v.Packages, packageView{p, p.urlPath()})
		if !names[p.Name] {
			names[p.Name] = true
			v.Names = append(v.Names, p.Name)
		}
		if last := len(v.Versions) - 1; last < 0 || v.Versions[last].Name != p.Name || v.Versions[last].Version != p.Version {
			v.Versions = append(v.Versions, p)
		}
	}
	set := v.Settings
	v.SettingsForm = settingsForm{
		Scan: set.Scan.String(), Pull: set.Pull.String(), Refresh: set.Refresh.String(), Update: set.Update.String(), Lazy: set.Lazy,
	}
	return v, nil
}

// newHostView returns a host with at most shownPlugins plugins, failed ones with
// priority.
func newHostView(h Host, offers []Offer) hostView {
	hv := hostView{Host: h, More: max(0, len(h.Plugins)-shownPlugins)}
	for _, p := range h.Plugins {
		if p.Status == plugin.StatusFailed {
			hv.Failed++
		}
	}
	failed, others := min(hv.Failed, shownPlugins), shownPlugins-min(hv.Failed, shownPlugins)
	for _, p := range h.Plugins {
		left := &others
		if p.Status == plugin.StatusFailed {
			left = &failed
		}
		if *left == 0 {
			continue
		}
		*left--
		pv := pluginView{HostPlugin: p}
		if o := selectOffers(offers, h.ID, []control.UpdateSubject{{Name: p.Name, Version: p.Version}}); len(o) > 0 && p.Status != plugin.StatusRemoved {
			pv.Offered = o[0].Version
		}
		hv.Plugins = append(hv.Plugins, pv)
	}
	return hv
}

// More returns the number of hosts not shown.
func (v view) More() int { return v.Counts.Hosts - len(v.Hosts) }

// Ago returns the time t as "3 min ago".
func (v view) Ago(t time.Time) timestamp { return newTimestamp(t, formatAge(v.now.Sub(t))) }

// For returns the time since t as "3 min".
func (v view) For(t time.Time) timestamp { return newTimestamp(t, formatSpan(v.now.Sub(t))) }

func (s *Server) showPage(w http.ResponseWriter, r *http.Request) error {
	v, err := s.loadView(r.Context())
	if err != nil {
		return err
	}
	return s.renderPage(w, http.StatusOK, v)
}

func (s *Server) renderPage(w http.ResponseWriter, code int, v view) error {
	var html bytes.Buffer
	if err := s.page.html.Execute(&html, v); err != nil {
		return fmt.Errorf("render page: %w", err)
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", s.page.policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_, _ = html.WriteTo(w) // fails only when the browser is gone
	return nil
}
