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

// pathDetect is the path of the existing agent's first request: it checks whether
// this is a control plane.
const pathDetect = "/luban/api/connection_detect"

// detectConnection answers "ok", which the existing agent expects.
func detectConnection(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, "ok") // fails only when the client is gone
	return nil
}

// identifyCaller returns the host that makes the request: by the id it sends,
// else by its address (SPEC 3).
func (s *Server) identifyCaller(r *http.Request) (Caller, error) {
	c := Caller{ID: instanceID(r.Header), Agent: plugin.TruncateText(strings.ToValidUTF8(r.UserAgent(), "�"), maxText)}
	c.Address, _ = s.links.clientAddress(r)
	if c.ID == "" {
		c.ID = c.Address
	}
	return c, checkHost(c.ID)
}

// The existing agent sends the id of a managed host in its own header, and
// unknownID for each host whose id it could not find.
const (
	headerManagedID = "X-Acs-Instance-Id"
	unknownID       = "unknown"
)

// instanceID returns the id that a host sends, or "".
func instanceID(h http.Header) string {
	for _, name := range []string{control.HeaderInstanceID, headerManagedID} {
		if id := strings.TrimSpace(h.Get(name)); id != "" && id != unknownID {
			return id
		}
	}
	return ""
}

// readHostRequest returns the host that makes the request and the body.
func (s *Server) readHostRequest(w http.ResponseWriter, r *http.Request) (Caller, []byte, error) {
	c, err := s.identifyCaller(r)
	if err != nil {
		return c, nil, err
	}
	body, err := s.readBody(w, r)
	if err == nil {
		err = s.admitHost(r.Context(), c)
	}
	return c, body, err
}

// newHostsWindow is the time in which new hosts of a peer are counted.
const newHostsWindow = time.Minute

// errNewHosts is returned when a peer reports too many new hosts: retry later.
var errNewHosts = errors.New("too many new hosts from this address within a minute; try again later")

// newHosts counts the new hosts of each peer in one window. Known hosts are not
// counted: a flood does not lock them out.
type newHosts struct {
	mu          sync.Mutex
	windowStart time.Time
	peers       map[string]int
}

// countHost counts a new host of the peer and reports whether it is allowed.
func (n *newHosts) countHost(peer string, now time.Time, most int) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if since := now.Sub(n.windowStart); n.peers == nil || since >= newHostsWindow || since < 0 {
		n.windowStart, n.peers = now, map[string]int{}
	}
	if n.peers[peer] >= most {
		return false
	}
	n.peers[peer]++
	return true
}

// admitHost returns errNewHosts for an unknown host of a peer with too many of them.
func (s *Server) admitHost(ctx context.Context, c Caller) error {
	known, err := s.store.HasHost(ctx, c.ID)
	if err != nil || known || s.newHosts.countHost(c.Address, s.now(), s.limits.NewHosts) {
		return err
	}
	return errNewHosts
}

func (s *Server) receiveReport(w http.ResponseWriter, r *http.Request) error {
	c, body, err := s.readHostRequest(w, r)
	if err != nil {
		return err
	}
	entries, err := decodeReport(body)
	if err != nil {
		return err
	}
	changes, err := s.store.RecordReport(r.Context(), c, entries, s.now())
	if err != nil {
		return err
	}
	for _, ch := range changes {
		s.log.WithFields(logrus.Fields{"host": ch.Host, "plugin": ch.Plugin, "version": ch.Version, "status": ch.Status}).Info("Plugin changed")
	}
	set, err := s.store.ReadSettings(r.Context())
	if err != nil {
		return err
	}
	mode := plugin.ReportNormal
	if set.Lazy {
		mode = plugin.ReportLazy
	}
	writeJSON(w, http.StatusOK, control.StatusAnswer{
		InstanceID:      c.ID,
		ScanInterval:    control.Seconds(set.Scan),
		PullInterval:    control.Seconds(set.Pull),
		RefreshInterval: control.Seconds(set.Refresh),
		ReportType:      &mode,
	})
	return nil
}

func (s *Server) answerUpdateCheck(w http.ResponseWriter, r *http.Request) error {
	c, body, err := s.readHostRequest(w, r)
	if err != nil {
		return err
	}
	has, err := decodeUpdate(body)
	if err != nil {
		return err
	}
	if err := s.store.RecordContact(r.Context(), c, s.now()); err != nil {
		return err
	}
	offers, err := s.store.ListOffers(r.Context())
	if err != nil {
		return err
	}
	set, err := s.store.ReadSettings(r.Context())
	if err != nil {
		return err
	}
	a := control.UpdateAnswer{InstanceID: c.ID, NextInterval: control.Seconds(set.Update), Plugin: []control.UpdateOffer{}}
	for _, o := range selectOffers(offers, c.ID, has) {
		a.Plugin = append(a.Plugin, control.UpdateOffer{Name: o.Name, Version: o.Version, Timeout: control.Seconds(o.hostTimeout())})
	}
	writeJSON(w, http.StatusOK, a)
	return nil
}

func (s *Server) receiveEvent(w http.ResponseWriter, r *http.Request) error {
	c, body, err := s.readHostRequest(w, r)
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
	writeJSON(w, http.StatusOK, eventAnswer{InstanceID: c.ID})
	return nil
}
