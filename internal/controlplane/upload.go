package controlplane

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"time"
	"unicode/utf8"

	"github.com/sirupsen/logrus"

	"pluginsupervisor/internal/controlplane/depot"
)

const (
	maxManifest = 64 << 10 // bytes
	maxFraming  = 64 << 10 // bytes of an upload beside its package and manifest
)

// upload is what one upload is to bring, in fields of a form in any order.
type upload struct {
	in       *depot.Incoming // nil until there is one
	manifest string
	replace  bool
}

// upload takes a package from the form in the request's body and keeps it. The
// package goes straight to the disk and is checked there; what is refused, or
// does not arrive whole, leaves nothing (CP-06).
func (s *Server) upload(w http.ResponseWriter, r *http.Request) (p Package, added bool, err error) {
	most := s.limits.Package + maxManifest + maxFraming
	if r.ContentLength > most { // told before it is sent in vain
		return p, false, s.tooLarge()
	}
	select {
	case s.uploads <- struct{}{}:
		defer func() { <-s.uploads }()
	default:
		return p, false, ErrBusy
	}
	rc := http.NewResponseController(w)
	// The time for the answer begins only at the end. An error means that it has none.
	defer func() { _ = rc.SetWriteDeadline(time.Now().Add(s.limits.Write)) }()
	r.Body = http.MaxBytesReader(w, &paced{ReadCloser: r.Body, rc: rc, each: s.limits.Read}, most)
	form, err := r.MultipartReader()
	if err != nil {
		return p, false, badf("body is no multipart/form-data")
	}
	var u upload
	defer func() {
		if u.in == nil {
			return
		}
		if err := u.in.Close(); err != nil {
			s.log.WithError(err).Error("Upload cannot be cleared away")
		}
	}()
	if err := s.receive(form, &u); err != nil {
		return p, false, s.uploadFault(err)
	}
	if p, err = newPackage(r.Context(), u.in, s.now().UTC()); err != nil {
		return p, false, err
	}
	p.Manifest = u.manifest
	p, added, err = s.store.AddPackage(r.Context(), p, u.in, u.replace)
	if err != nil {
		return p, false, s.diskFault(err)
	}
	s.log.WithFields(logrus.Fields{
		"plugin": p.Name, "version": p.Version, "os": p.OS, "arch": p.Arch, "sha256": p.SHA256, "size": p.Size, "added": added,
	}).Info("Package uploaded")
	return p, added, nil
}

// receive reads the form to its end: only then all of it has arrived.
func (s *Server) receive(form *multipart.Reader, u *upload) error {
	for {
		part, err := form.NextPart()
		if err == io.EOF { // one that is wrapped is an early end
			break
		}
		if err != nil {
			return err
		}
		if err := s.field(part, u); err != nil {
			return err
		}
	}
	if u.in == nil {
		return badf("package is missing")
	}
	return nil
}

func (s *Server) field(part *multipart.Part, u *upload) (err error) {
	switch name := part.FormName(); name {
	case "package":
		if u.in != nil {
			return badf("package is there twice")
		}
		content := bufio.NewReader(part)
		if _, err := content.Peek(1); errors.Is(err, io.EOF) { // a page's form with no file chosen
			return badf("package is missing")
		}
		u.in, err = s.store.depot.Receive(content, s.limits.Package)
		return err
	case "manifest":
		u.manifest, err = text(part, name, maxManifest)
	case "replace":
		var word string
		word, err = text(part, name, 16)
		u.replace = word == "true"
	default:
		return badf("field %.40q is not known", name)
	}
	return err
}

func text(part io.Reader, name string, most int) (string, error) {
	b, err := io.ReadAll(io.LimitReader(part, int64(most)+1))
	switch {
	case err != nil:
		return "", err
	case len(b) > most:
		return "", fault{http.StatusRequestEntityTooLarge, fmt.Sprintf("%s has more than %d bytes", name, most)}
	case !utf8.Valid(b):
		return "", badf("%s is not text in UTF-8", name)
	}
	return string(b), nil
}

func (s *Server) tooLarge() error {
	return fault{http.StatusRequestEntityTooLarge, fmt.Sprintf("package has more than %d bytes", s.limits.Package)}
}

// uploadFault says in a fault why an upload did not arrive.
func (s *Server) uploadFault(err error) error {
	var f fault
	var large *http.MaxBytesError
	var disk *os.PathError // with which no network error comes
	switch {
	case errors.As(err, &f):
		return f
	case errors.Is(err, depot.ErrTooLarge), errors.As(err, &large):
		return s.tooLarge()
	case errors.As(err, &disk):
		return s.diskFault(err)
	case errors.Is(err, io.EOF):
		return badf("body ends early")
	default:
		return bodyFault(err, s.limits)
	}
}

// diskFault lets an operator know when it is the disk that refuses a package.
func (s *Server) diskFault(err error) error {
	if !errors.Is(err, depot.ErrFull) {
		return err
	}
	s.log.WithError(err).Error("No room for a package")
	return fault{http.StatusInsufficientStorage, "the control plane has no room for the package on its disk"}
}

// paced gives each MiB of a body, which may be too large for one deadline, time
// of its own to arrive.
type paced struct {
	io.ReadCloser
	rc   *http.ResponseController
	each time.Duration
	left int
}

func (p *paced) Read(b []byte) (int, error) {
	if p.left <= 0 {
		if err := p.rc.SetReadDeadline(time.Now().Add(p.each)); err != nil {
			return 0, fmt.Errorf("set deadline: %w", err)
		}
		p.left = 1 << 20
	}
	n, err := p.ReadCloser.Read(b[:min(len(b), p.left)])
	p.left -= n
	return n, err
}
