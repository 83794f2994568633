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

// page is the operators' page: one document with its style and script inside.
type page struct {
	html   *template.Template
	policy string // Content-Security-Policy: nothing but that style and script runs
}

func newPage() *page {
	funcs := template.FuncMap{
		"cut":     cut,
		"summary": summary,
		"label":   label,
		"size":    size,
		"style":   func() template.CSS { return template.CSS(pageCSS) },
		"script":  func() template.JS { return template.JS(pageJS) },
	}
	return &page{
		html: template.Must(template.New("page").Funcs(funcs).Parse(pageHTML)),
		policy: fmt.Sprintf("default-src 'none'; style-src '%s'; script-src '%s'; img-src data:; connect-src 'self'; "+
			"form-action 'self'; base-uri 'none'; frame-ancestors 'none'", hash(pageCSS), hash(pageJS)),
	}
}

func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

// How much of a large fleet one page shows.
const (
	shownHosts    = 200
	shownPlugins  = 20 // of a host
	shownPackages = 200
	shownLatest   = 15 // changes, and events
)

// view is what the page shows.
type view struct {
	now          time.Time
	Hosts        []hostView
	Counts       counts // of all hosts, also those beyond shownHosts
	Changes      []Change
	Events       []Event
	Offers       []Offer
	Settings     Settings
	Packages     []packageView
	MorePackages int       // that the page leaves out
	Names        []string  // of plugins and
	IDs          []string  // of hosts, to choose from in the forms
	Versions     []Package // one of each name and version, likewise

	OfferForm    offerForm
	PackageForm  packageForm
	SettingsForm settingsForm
}

type counts struct{ Hosts, Running, Failed, Other int }

type hostView struct {
	Host
	Failed  int
	Plugins []pluginView
	More    int // plugins that the page leaves out
}

type pluginView struct {
	HostPlugin
	Offered string // the version it is told to change to, "" for none
}

type packageView struct {
	Package
	Path string // where it is served
}

// The forms as they were filled in; Error is why that was refused.
type (
	packageForm  struct{ Upload, Remove string } // why that was refused; files cannot be filled in again
	offerForm    struct{ Name, Version, Timeout, Host, Error string }
	settingsForm struct {
		Scan, Pull, Refresh, Update string
		Lazy                        bool
		Error                       string
	}
)

// view reads all that the page shows.
func (s *Server) view(ctx context.Context) (v view, err error) {
	v.now = s.now()
	hosts, hostsErr := s.store.Hosts(ctx)
	packages, packagesErr := s.store.Packages(ctx, "")
	var errs [4]error
	v.Offers, errs[0] = s.store.Offers(ctx)
	v.Settings, errs[1] = s.store.Settings(ctx)
	v.Changes, errs[2] = s.store.Changes(ctx, shownLatest)
	v.Events, errs[3] = s.store.Events(ctx, shownLatest)
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
		v.Packages = append(v.Packages, packageView{p, p.path()})
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

// newHostView shows shownPlugins of a host, those that failed before others.
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
		if o := updates(offers, h.ID, []control.UpdateSubject{{Name: p.Name, Version: p.Version}}); len(o) > 0 && p.Status != plugin.StatusRemoved {
			pv.Offered = o[0].Version
		}
		hv.Plugins = append(hv.Plugins, pv)
	}
	return hv
}

// More is how many hosts the page leaves out.
func (v view) More() int { return v.Counts.Hosts - len(v.Hosts) }

// Ago is the moment t, said as how long ago it was.
func (v view) Ago(t time.Time) stamp { return newStamp(t, ago(v.now.Sub(t))) }

// For is the moment t, said as how long something has lasted since.
func (v view) For(t time.Time) stamp { return newStamp(t, span(v.now.Sub(t))) }

func (s *Server) showPage(w http.ResponseWriter, r *http.Request) error {
	v, err := s.view(r.Context())
	if err != nil {
		return err
	}
	return s.render(w, http.StatusOK, v)
}

func (s *Server) render(w http.ResponseWriter, code int, v view) error {
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
	_, _ = html.WriteTo(w) // an error is the browser's going away
	return nil
}
