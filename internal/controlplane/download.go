package controlplane

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// minDownloadRate is the rate below which a download is cut off, in bytes a second.
const minDownloadRate = 32 << 10

// servePackage serves SHA256.zip of a plugin's version, whole or in ranges, and
// the signed manifest as SHA256.zip.sig. The bytes of a name never change; a
// manifest may be added later.
func (s *Server) servePackage(w http.ResponseWriter, r *http.Request) error {
	file, isManifest := strings.CutSuffix(r.PathValue("file"), ".sig")
	digest, isZip := strings.CutSuffix(file, ".zip")
	p, found, err := s.store.findPackage(r.Context(), r.PathValue("name"), r.PathValue("version"), digest)
	switch {
	case err != nil:
		return err
	case !found || !isZip:
		return requestError{http.StatusNotFound, "package not found"}
	case isManifest && p.Manifest == "":
		return requestError{http.StatusNotFound, "package is not signed"}
	}
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	if isManifest {
		h.Set("Content-Type", "text/plain; charset=utf-8")
		h.Set("Cache-Control", "no-cache")
		h.Set("ETag", fmt.Sprintf(`"%x"`, sha256.Sum256([]byte(p.Manifest))))
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(p.Manifest))
		return nil
	}
	content, err := s.store.files.OpenFile(p.SHA256)
	if err != nil {
		return fmt.Errorf("open package: %w", err)
	}
	defer content.Close()
	allowed := s.limits.Write + time.Duration(p.Size/minDownloadRate)*time.Second
	if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(allowed)); err != nil {
		return fmt.Errorf("set deadline: %w", err)
	}
	h.Set("Content-Type", "application/zip")
	h.Set("Content-Disposition", fmt.Sprintf(`attachment; filename="%s-%s.zip"`, p.Name, p.Version))
	h.Set("Cache-Control", "max-age=31536000, immutable")
	h.Set("ETag", `"`+p.SHA256+`"`)
	http.ServeContent(w, r, "", p.Uploaded, content)
	return nil
}

func (s *Store) findPackage(ctx context.Context, name, version, digest string) (p Package, found bool, err error) {
	has, err := queryRows(ctx, s.read, scanPackage, selectPackages+`WHERE name = ? AND version = ? AND sha256 = ?`, name, version, digest)
	if err != nil {
		return p, false, fmt.Errorf("read package: %w", err)
	}
	if len(has) == 0 {
		return p, false, nil
	}
	return has[0], true, nil
}
