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

	"pluginsupervisor/internal/controlplane/packagestore"
)

const (
	maxManifest = 64 << 10 // bytes
	maxFraming  = 64 << 10 // bytes of an upload beside its package and manifest
)

// uploadForm holds the fields of an upload, which come in any order.
type uploadForm struct {
	in       *packagestore.Incoming // nil before the package field
	manifest string
	replace  bool
}

// receiveUpload stores the package of the form in the request's body. The package
// is written to the disk and checked there; a rejected or incomplete one is
// removed (CP-06).
func (s *Server) receiveUpload(w http.ResponseWriter, r *http.Request) (p Package, added bool, err error) {
	most := s.limits.Package + maxManifest + maxFraming
	if r.ContentLength > most { // before the client sends it for nothing
		return p, false, s.packageTooLarge()
	}
	select {
	case s.uploads <- struct{}{}:
		defer func() { <-s.uploads }()
	default:
		return p, false, ErrBusy
	}
	rc := http.NewResponseController(w)
	// The time for the answer begins after the upload. On an error there is no deadline.
	defer func() { _ = rc.SetWriteDeadline(time.Now().Add(s.limits.Write)) }()
	r.Body = http.MaxBytesReader(w, &pacedBody{ReadCloser: r.Body, rc: rc, perMiB: s.limits.Read}, most)
	form, err := r.MultipartReader()
	if err != nil {
		return p, false, badRequest("body is not multipart/form-data")
	}
	var u uploadForm
	defer func() {
		if u.in == nil {
			return
		}
		if err := u.in.Close(); err != nil {
			s.log.WithError(err).Error("Cannot remove the file of an upload")
		}
	}()
	if err := s.readUploadForm(form, &u); err != nil {
		return p, false, s.uploadError(err)
	}
	if p, err = newPackage(r.Context(), u.in, s.now().UTC()); err != nil {
		return p, false, err
	}
	p.Manifest = u.manifest
	p, added, err = s.store.AddPackage(r.Context(), p, u.in, u.replace)
	if err != nil {
		return p, false, s.diskError(err)
	}
	s.log.WithFields(logrus.Fields{
		"plugin": p.Name, "version": p.Version, "os": p.OS, "arch": p.Arch, "sha256": p.SHA256, "size": p.Size, "added": added,
	}).Info("Package uploaded")
	return p, added, nil
}

// readUploadForm reads the whole form: only then the upload is complete.
func (s *Server) readUploadForm(form *multipart.Reader, u *uploadForm) error {
	for {
		part, err := form.NextPart()
		if err == io.EOF { // a wrapped one means that the body is incomplete
			break
		}
		if err != nil {
			return err
		}
		if err := s.readUploadField(part, u); err != nil {
			return err
		}
	}
	if u.in == nil {
		return badRequest("package is missing")
	}
	return nil
}

func (s *Server) readUploadField(part *multipart.Part, u *uploadForm) (err error) {
	switch name := part.FormName(); name {
	case "package":
		if u.in != nil {
			return badRequest("package is given twice")
		}
		content := bufio.NewReader(part)
		if _, err := content.Peek(1); errors.Is(err, io.EOF) { // no file chosen in the page's form
			return badRequest("package is missing")
		}
		u.in, err = s.store.files.Receive(content, s.limits.Package)
		return err
	case "manifest":
		u.manifest, err = readText(part, name, maxManifest)
	case "replace":
		var value string
		value, err = readText(part, name, 16)
		u.replace = value == "true"
	default:
		return badRequest("unknown field %.40q", name)
	}
	return err
}

func readText(part io.Reader, name string, most int) (string, error) {
	b, err := io.ReadAll(io.LimitReader(part, int64(most)+1))
	switch {
	case err != nil:
		return "", err
	case len(b) > most:
		return "", requestError{http.StatusRequestEntityTooLarge, fmt.Sprintf("%s has more than %d bytes", name, most)}
	case !utf8.Valid(b):
		return "", badRequest("%s is not text in UTF-8", name)
	}
	return string(b), nil
}

func (s *Server) packageTooLarge() error {
	return requestError{http.StatusRequestEntityTooLarge, fmt.Sprintf("package has more than %d bytes", s.limits.Package)}
}

// uploadError returns the error of an incomplete upload for the client.
func (s *Server) uploadError(err error) error {
	var f requestError
	var large *http.MaxBytesError
	var disk *os.PathError // never a network error
	switch {
	case errors.As(err, &f):
		return f
	case errors.Is(err, packagestore.ErrTooLarge), errors.As(err, &large):
		return s.packageTooLarge()
	case errors.As(err, &disk):
		return s.diskError(err)
	case errors.Is(err, io.EOF):
		return badRequest("body is incomplete")
	default:
		return bodyError(err, s.limits)
	}
}

// diskError logs a full disk and returns the error for the client.
func (s *Server) diskError(err error) error {
	if !errors.Is(err, packagestore.ErrFull) {
		return err
	}
	s.log.WithError(err).Error("Disk full, package not stored")
	return requestError{http.StatusInsufficientStorage, "the disk of the control plane is full"}
}

// pacedBody sets a read deadline for each MiB of a body that may be too large for
// one deadline.
type pacedBody struct {
	io.ReadCloser
	rc     *http.ResponseController
	perMiB time.Duration
	left   int
}

func (p *pacedBody) Read(b []byte) (int, error) {
	if p.left <= 0 {
		if err := p.rc.SetReadDeadline(time.Now().Add(p.perMiB)); err != nil {
			return 0, fmt.Errorf("set deadline: %w", err)
		}
		p.left = 1 << 20
	}
	n, err := p.ReadCloser.Read(b[:min(len(b), p.left)])
	p.left -= n
	return n, err
}
