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

// PackageList is the answer to GET /api/packages.
type PackageList struct {
	Packages []Package `json:"packages"`
}

func (s *Server) getHosts(w http.ResponseWriter, r *http.Request) error {
	hosts, err := s.store.ListHosts(r.Context())
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, HostList{hosts})
	return nil
}

func (s *Server) getSettings(w http.ResponseWriter, r *http.Request) error {
	set, err := s.store.ReadSettings(r.Context())
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, set)
	return nil
}

// putSettings changes the fields in the body and keeps the others.
func (s *Server) putSettings(w http.ResponseWriter, r *http.Request) error {
	body, err := s.readBody(w, r)
	if err != nil {
		return err
	}
	set, err := s.store.ChangeSettings(r.Context(), func(set *Settings) error { return decodeStrict(body, set) })
	if err != nil {
		return err
	}
	s.log.WithFields(set.fields()).Info("Settings changed")
	writeJSON(w, http.StatusOK, set)
	return nil
}

func (s *Server) getOffers(w http.ResponseWriter, r *http.Request) error {
	offers, err := s.store.ListOffers(r.Context())
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, OfferList{offers})
	return nil
}

func (s *Server) postOffer(w http.ResponseWriter, r *http.Request) error {
	body, err := s.readBody(w, r)
	if err != nil {
		return err
	}
	var o Offer
	if err := decodeStrict(body, &o); err != nil {
		return err
	}
	if o, err = s.makeOffer(r, o); err != nil {
		return err
	}
	writeJSON(w, http.StatusCreated, o)
	return nil
}

// makeOffer checks and stores an operator's offer.
func (s *Server) makeOffer(r *http.Request, o Offer) (Offer, error) {
	o.Made = s.now().UTC()
	if err := o.Check(); err != nil {
		return o, badRequest("%v", err)
	}
	if err := s.store.MakeOffer(r.Context(), o); err != nil {
		return o, err
	}
	s.log.WithFields(logrus.Fields{"plugin": o.Name, "version": o.Version, "host": o.Host}).Info("Offer made")
	return o, nil
}

// deleteOffer withdraws the offer with the query's name, version and host.
func (s *Server) deleteOffer(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	if err := s.withdrawOffer(r, q.Get("name"), q.Get("version"), q.Get("host")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *Server) withdrawOffer(r *http.Request, name, version, host string) error {
	if name == "" {
		return badRequest("name is missing")
	}
	found, err := s.store.WithdrawOffer(r.Context(), name, version, host)
	if err != nil {
		return err
	}
	if !found {
		return requestError{http.StatusNotFound, "offer not found: " + strings.TrimSpace(name+" "+version+" "+host)}
	}
	s.log.WithFields(logrus.Fields{"plugin": name, "version": version, "host": host}).Info("Offer withdrawn")
	return nil
}

func (s *Server) getPackages(w http.ResponseWriter, r *http.Request) error {
	all, err := s.store.ListPackages(r.Context(), r.URL.Query().Get("name"))
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, PackageList{all})
	return nil
}

// postPackage stores a package from a form. It answers 201 for a new package, 200
// for one that exists already.
func (s *Server) postPackage(w http.ResponseWriter, r *http.Request) error {
	p, added, err := s.receiveUpload(w, r)
	if err != nil {
		return err
	}
	code := http.StatusOK
	if added {
		code = http.StatusCreated
	}
	writeJSON(w, code, p)
	return nil
}

// deletePackages removes the packages with the query's name and version, and os
// and arch if given; with force=true also when the version is offered.
func (s *Server) deletePackages(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	err := s.removePackages(r, Removal{
		Name: q.Get("name"), Version: q.Get("version"), OS: q.Get("os"), Arch: q.Get("arch"), Force: q.Get("force") == "true",
	})
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *Server) removePackages(r *http.Request, which Removal) error {
	if which.Name == "" || which.Version == "" {
		return badRequest("name or version is missing")
	}
	removed, err := s.store.RemovePackages(r.Context(), which)
	if err != nil {
		return err
	}
	if removed == 0 {
		return requestError{http.StatusNotFound, "package not found: " + strings.Join(strings.Fields(which.Name+" "+which.Version+" "+which.OS+" "+which.Arch), " ")}
	}
	s.log.WithFields(logrus.Fields{"plugin": which.Name, "version": which.Version, "os": which.OS, "arch": which.Arch, "removed": removed}).
		Info("Packages removed")
	return nil
}

// decodeStrict decodes a body and rejects unknown fields: a typing error must not
// be ignored.
func decodeStrict(body []byte, into any) error {
	if err := decodeJSON(body, into); err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return badRequest("%s", strings.TrimPrefix(err.Error(), "json: "))
	}
	return nil
}
