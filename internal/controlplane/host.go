package controlplane

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"pluginsupervisor/internal/control"
	"pluginsupervisor/plugin"
)

// caller tells who speaks: the host by the id it sends, else by its address (SPEC 3).
func caller(r *http.Request) (Caller, error) {
	address := r.RemoteAddr
	if peer, err := netip.ParseAddrPort(address); err == nil {
		address = peer.Addr().Unmap().String()
	}
	c := Caller{
		ID:      strings.TrimSpace(r.Header.Get(control.HeaderInstanceID)),
		Address: address,
		Agent:   plugin.Cut(strings.ToValidUTF8(r.UserAgent(), "�"), maxText),
	}
	if c.ID == "" {
		c.ID = address
	}
	return c, checkHost(c.ID)
}

// hear reads what every request of a host has: who it is, and a body.
func (s *Server) hear(w http.ResponseWriter, r *http.Request) (Caller, []byte, error) {
	c, err := caller(r)
	if err != nil {
		return c, nil, err
	}
	body, err := s.body(w, r)
	if err == nil {
		err = s.admit(r.Context(), c)
	}
	return c, body, err
}

// newHostsWithin is the span in which new hosts of a peer are counted.
const newHostsWithin = time.Minute

// errNewHosts is when a peer names more new hosts than it may: come back later.
var errNewHosts = errors.New("too many new hosts from this address within a minute")

// newHosts counts the hosts that each peer named first, within one span. Known
// hosts are not counted: they are admitted whatever a flood does.
type newHosts struct {
	mu    sync.Mutex
	began time.Time
	peers map[string]int
}

// add counts one, and reports whether the peer may name it.
func (n *newHosts) add(peer string, now time.Time, most int) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if since := now.Sub(n.began); n.peers == nil || since >= newHostsWithin || since < 0 {
		n.began, n.peers = now, map[string]int{}
	}
	if n.peers[peer] >= most {
		return false
	}
	n.peers[peer]++
	return true
}

// admit refuses a host that was never heard, when its peer named too many such.
func (s *Server) admit(ctx context.Context, c Caller) error {
	known, err := s.store.HasHost(ctx, c.ID)
	if err != nil || known || s.newHosts.add(c.Address, s.now(), s.limits.NewHosts) {
		return err
	}
	return errNewHosts
}

func (s *Server) reportStatus(w http.ResponseWriter, r *http.Request) error {
	c, body, err := s.hear(w, r)
	if err != nil {
		return err
	}
	entries, err := decodeReport(body)
	if err != nil {
		return err
	}
	changes, err := s.store.Report(r.Context(), c, entries, s.now())
	if err != nil {
		return err
	}
	for _, ch := range changes {
		s.log.WithFields(logrus.Fields{"host": ch.Host, "plugin": ch.Plugin, "version": ch.Version, "status": ch.Status}).Info("Plugin changed")
	}
	set, err := s.store.Settings(r.Context())
	if err != nil {
		return err
	}
	mode := plugin.ReportNormal
	if set.Lazy {
		mode = plugin.ReportLazy
	}
	answer(w, http.StatusOK, control.StatusAnswer{
		InstanceID:      c.ID,
		ScanInterval:    control.Seconds(set.Scan),
		PullInterval:    control.Seconds(set.Pull),
		RefreshInterval: control.Seconds(set.Refresh),
		ReportType:      &mode,
	})
	return nil
}

func (s *Server) updateCheck(w http.ResponseWriter, r *http.Request) error {
	c, body, err := s.hear(w, r)
	if err != nil {
		return err
	}
	has, err := decodeUpdate(body)
	if err != nil {
		return err
	}
	if err := s.store.Heard(r.Context(), c, s.now()); err != nil {
		return err
	}
	offers, err := s.store.Offers(r.Context())
	if err != nil {
		return err
	}
	set, err := s.store.Settings(r.Context())
	if err != nil {
		return err
	}
	a := control.UpdateAnswer{InstanceID: c.ID, NextInterval: control.Seconds(set.Update), Plugin: []control.UpdateOffer{}}
	for _, o := range updates(offers, c.ID, has) {
		a.Plugin = append(a.Plugin, control.UpdateOffer{Name: o.Name, Version: o.Version, Timeout: control.Seconds(o.Timeout)})
	}
	answer(w, http.StatusOK, a)
	return nil
}

func (s *Server) metrics(w http.ResponseWriter, r *http.Request) error {
	c, body, err := s.hear(w, r)
	if err != nil {
		return err
	}
	e, err := decodeEvent(body, s.now())
	if err != nil {
		return err
	}
	if err := s.store.AddEvent(r.Context(), c, e); err != nil {
		return err
	}
	answer(w, http.StatusOK, eventAnswer{InstanceID: c.ID})
	return nil
}
