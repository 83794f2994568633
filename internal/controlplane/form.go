package controlplane

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// The forms of the page: what passes leads back to the page by a redirect, so
// that a reload repeats nothing; what does not is shown again as it was filled
// in, with the reason.

func (s *Server) formOffer(w http.ResponseWriter, r *http.Request) error {
	if err := s.parseForm(w, r); err != nil {
		return err
	}
	form := offerForm{
		Name: field(r, "name"), Version: field(r, "version"), Timeout: field(r, "timeout"), Host: field(r, "host"),
	}
	timeout, err := ParseSeconds(form.Timeout)
	if err != nil {
		err = badf("timeout: %v", err)
	} else {
		_, err = s.offer(r, Offer{Name: form.Name, Version: form.Version, Timeout: timeout, Host: form.Host})
	}
	return s.afterForm(w, r, "offers", err, func(v *view, why string) {
		form.Error = why
		v.OfferForm = form
	})
}

func (s *Server) formWithdraw(w http.ResponseWriter, r *http.Request) error {
	if err := s.parseForm(w, r); err != nil {
		return err
	}
	err := s.withdraw(r, r.PostFormValue("name"), r.PostFormValue("version"), r.PostFormValue("host"))
	return s.afterForm(w, r, "offers", err, func(v *view, why string) { v.OfferForm.Error = why })
}

func (s *Server) formPackage(w http.ResponseWriter, r *http.Request) error {
	_, _, err := s.upload(w, r)
	return s.afterForm(w, r, "packages", err, func(v *view, why string) { v.PackageForm.Upload = why })
}

func (s *Server) formRemove(w http.ResponseWriter, r *http.Request) error {
	if err := s.parseForm(w, r); err != nil {
		return err
	}
	err := s.remove(r, Removal{
		Name: r.PostFormValue("name"), Version: r.PostFormValue("version"), OS: r.PostFormValue("os"), Arch: r.PostFormValue("arch"),
	})
	return s.afterForm(w, r, "packages", err, func(v *view, why string) { v.PackageForm.Remove = why })
}

func (s *Server) formSettings(w http.ResponseWriter, r *http.Request) error {
	if err := s.parseForm(w, r); err != nil {
		return err
	}
	form := settingsForm{
		Scan: field(r, "scan"), Pull: field(r, "pull"), Refresh: field(r, "refresh"), Update: field(r, "update"),
		Lazy: field(r, "reports") == "lazy",
	}
	err := s.changeSettings(r.Context(), form)
	return s.afterForm(w, r, "settings", err, func(v *view, why string) {
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
			return badf("%s: %v", f.name, err)
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
	return bodyFault(r.ParseForm(), s.limits)
}

// afterForm goes back to a part of the page, or shows it again with what refill
// puts in when the form itself was at fault.
func (s *Server) afterForm(w http.ResponseWriter, r *http.Request, part string, err error, refill func(v *view, why string)) error {
	var f fault
	switch {
	case err == nil:
		http.Redirect(w, r, "/#"+part, http.StatusSeeOther)
		return nil
	case !errors.As(err, &f):
		return err
	}
	v, err := s.view(r.Context())
	if err != nil {
		return fmt.Errorf("show form again: %w", err)
	}
	refill(&v, f.text)
	return s.render(w, f.code, v)
}

func field(r *http.Request, name string) string { return strings.TrimSpace(r.PostFormValue(name)) }
