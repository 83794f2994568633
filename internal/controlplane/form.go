package controlplane

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// The forms of the page. A successful one redirects to the page, so that a reload
// repeats nothing; a rejected one is shown again as it was filled in, with the
// reason.

func (s *Server) submitOffer(w http.ResponseWriter, r *http.Request) error {
	if err := s.parseForm(w, r); err != nil {
		return err
	}
	form := offerForm{
		Name: formValue(r, "name"), Version: formValue(r, "version"), Timeout: formValue(r, "timeout"), Host: formValue(r, "host"),
	}
	timeout, err := ParseSeconds(form.Timeout)
	if err != nil {
		err = badRequest("timeout: %v", err)
	} else {
		_, err = s.makeOffer(r, Offer{Name: form.Name, Version: form.Version, Timeout: timeout, Host: form.Host})
	}
	return s.finishForm(w, r, "offers", err, func(v *view, why string) {
		form.Error = why
		v.OfferForm = form
	})
}

func (s *Server) submitWithdrawal(w http.ResponseWriter, r *http.Request) error {
	if err := s.parseForm(w, r); err != nil {
		return err
	}
	err := s.withdrawOffer(r, r.PostFormValue("name"), r.PostFormValue("version"), r.PostFormValue("host"))
	return s.finishForm(w, r, "offers", err, func(v *view, why string) { v.OfferForm.Error = why })
}

func (s *Server) submitPackage(w http.ResponseWriter, r *http.Request) error {
	_, _, err := s.receiveUpload(w, r)
	return s.finishForm(w, r, "packages", err, func(v *view, why string) { v.PackageForm.Upload = why })
}

func (s *Server) submitRemoval(w http.ResponseWriter, r *http.Request) error {
	if err := s.parseForm(w, r); err != nil {
		return err
	}
	err := s.removePackages(r, Removal{
		Name: r.PostFormValue("name"), Version: r.PostFormValue("version"), OS: r.PostFormValue("os"), Arch: r.PostFormValue("arch"),
	})
	return s.finishForm(w, r, "packages", err, func(v *view, why string) { v.PackageForm.Remove = why })
}

func (s *Server) submitSettings(w http.ResponseWriter, r *http.Request) error {
	if err := s.parseForm(w, r); err != nil {
		return err
	}
	form := settingsForm{
		Scan: formValue(r, "scan"), Pull: formValue(r, "pull"), Refresh: formValue(r, "refresh"), Update: formValue(r, "update"),
		Lazy: formValue(r, "reports") == "lazy",
	}
	err := s.changeSettings(r.Context(), form)
	return s.finishForm(w, r, "settings", err, func(v *view, why string) {
		form.Error = why
		v.SettingsForm = form
	})
}

func (s *Server) changeSettings(ctx context.Context, form settingsForm) error {
	wanted := Settings{Lazy: form.Lazy}
	for _, f := range []struct {
		name, text string
		to         *Seconds
	}{
		{"scan", form.Scan, &wanted.Scan},
		{"pull", form.Pull, &wanted.Pull},
		{"refresh", form.Refresh, &wanted.Refresh},
		{"update", form.Update, &wanted.Update},
	} {
		var err error
		if *f.to, err = ParseSeconds(f.text); err != nil {
			return badRequest("%s: %v", f.name, err)
		}
	}
	set, err := s.store.ChangeSettings(ctx, func(set *Settings) error {
		*set = wanted
		return nil
	})
	if err == nil {
		s.log.WithFields(set.fields()).Info("Settings changed")
	}
	return err
}

func (s *Server) parseForm(w http.ResponseWriter, r *http.Request) error {
	r.Body = http.MaxBytesReader(w, r.Body, s.limits.Body)
	return bodyError(r.ParseForm(), s.limits)
}

// finishForm redirects to a part of the page. When the form was rejected it shows
// the page again, as refill fills in the form and the reason.
func (s *Server) finishForm(w http.ResponseWriter, r *http.Request, part string, err error, refill func(v *view, why string)) error {
	var f requestError
	switch {
	case err == nil:
		http.Redirect(w, r, "/#"+part, http.StatusSeeOther)
		return nil
	case !errors.As(err, &f):
		return err
	}
	v, err := s.loadView(r.Context())
	if err != nil {
		return fmt.Errorf("show form again: %w", err)
	}
	refill(&v, f.text)
	return s.renderPage(w, f.code, v)
}

func formValue(r *http.Request, name string) string { return strings.TrimSpace(r.PostFormValue(name)) }
