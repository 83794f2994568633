package controlplane

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/sirupsen/logrus"
)

// The admin API, for the command line and for programs: JSON both ways, times
// in RFC 3339, intervals in seconds.

// HostList is the answer to GET /api/hosts.
type HostList struct {
	Hosts []Host `json:"hosts"`
}

// OfferList is the answer to GET /api/offers.
type OfferList struct {
	Offers []Offer `json:"offers"`
}

func (s *Server) getHosts(w http.ResponseWriter, r *http.Request) error {
	hosts, err := s.store.Hosts(r.Context())
	if err != nil {
		return err
	}
	answer(w, http.StatusOK, HostList{hosts})
	return nil
}

func (s *Server) getSettings(w http.ResponseWriter, r *http.Request) error {
	set, err := s.store.Settings(r.Context())
	if err != nil {
		return err
	}
	answer(w, http.StatusOK, set)
	return nil
}

// putSettings changes the fields that the body has and leaves the others as they are.
func (s *Server) putSettings(w http.ResponseWriter, r *http.Request) error {
	body, err := s.body(w, r)
	if err != nil {
		return err
	}
	set, err := s.store.ChangeSettings(r.Context(), func(set *Settings) error { return decodeStrict(body, set) })
	if err != nil {
		return err
	}
	s.log.WithFields(set.fields()).Info("Settings changed")
	answer(w, http.StatusOK, set)
	return nil
}

func (s *Server) getOffers(w http.ResponseWriter, r *http.Request) error {
	offers, err := s.store.Offers(r.Context())
	if err != nil {
		return err
	}
	answer(w, http.StatusOK, OfferList{offers})
	return nil
}

func (s *Server) postOffer(w http.ResponseWriter, r *http.Request) error {
	body, err := s.body(w, r)
	if err != nil {
		return err
	}
	var o Offer
	if err := decodeStrict(body, &o); err != nil {
		return err
	}
	if o, err = s.offer(r, o); err != nil {
		return err
	}
	answer(w, http.StatusCreated, o)
	return nil
}

// offer makes an offer that an operator asked for.
func (s *Server) offer(r *http.Request, o Offer) (Offer, error) {
	o.Made = s.now().UTC()
	if err := o.Check(); err != nil {
		return o, badf("%v", err)
	}
	if err := s.store.MakeOffer(r.Context(), o); err != nil {
		return o, err
	}
	s.log.WithFields(logrus.Fields{"plugin": o.Name, "version": o.Version, "host": o.Host}).Info("Offer made")
	return o, nil
}

// deleteOffer withdraws the offer that the query's name, version and host mean.
func (s *Server) deleteOffer(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	if err := s.withdraw(r, q.Get("name"), q.Get("version"), q.Get("host")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *Server) withdraw(r *http.Request, name, version, host string) error {
	if name == "" {
		return badf("name is missing")
	}
	found, err := s.store.WithdrawOffer(r.Context(), name, version, host)
	if err != nil {
		return err
	}
	if !found {
		return fault{http.StatusNotFound, "no such offer: " + strings.TrimSpace(name+" "+version+" "+host)}
	}
	s.log.WithFields(logrus.Fields{"plugin": name, "version": version, "host": host}).Info("Offer withdrawn")
	return nil
}

// decodeStrict also refuses fields that are not known: an operator's typing
// error must not pass for a change.
func decodeStrict(body []byte, into any) error {
	if err := decode(body, into); err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return badf("%s", strings.TrimPrefix(err.Error(), "json: "))
	}
	return nil
}
