package controlplane

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"pluginsupervisor/internal/control"
	"pluginsupervisor/plugin"
)

// pathDetect is where the existing agent asks whether this is a control plane,
// before it asks anything else.
const pathDetect = "/luban/api/connection_detect"

// detectConnection answers the one word that the existing agent takes.
func detectConnection(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, "ok") // an error is the client's going away
	return nil
}

// caller returns who speaks: the host by the id it sends, else by its address
// (SPEC 3).
func (s *Server) caller(r *http.Request) (Caller, error) {
	c := Caller{ID: instanceID(r.Header), Agent: plugin.TruncateText(strings.ToValidUTF8(r.UserAgent(), "�"), maxText)}
	c.Address, _ = s.links.client(r)
	if c.ID == "" {
		c.ID = c.Address
	}
	return c, checkHost(c.ID)
}

// The existing agent names a managed host in a header of its own, and a host
// that it could not find the id of by a word that all such hosts share.
const (
	headerManagedID = "X-Acs-Instance-Id"
	unknownID       = "unknown"
)

// instanceID returns the id that a host says it has, or "".
func instanceID(h http.Header) string {
	for _, name := range []string{control.HeaderInstanceID, headerManagedID} {
		if id := strings.TrimSpace(h.Get(name)); id != "" && id != unknownID {
			return id
		}
	}
	return ""
}

// hear reads what every request of a host has: who it is, and a body.
func (s *Server) hear(w http.ResponseWriter, r *http.Request) (Caller, []byte, error) {
	c, err := s.caller(r)
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
		a.Plugin = append(a.Plugin, control.UpdateOffer{Name: o.Name, Version: o.Version, Timeout: control.Seconds(o.timeout())})
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
