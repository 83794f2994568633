package controlplane

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"

	"github.com/google/uuid"
	"github.com/sirupsen/logrus"

	"pluginsupervisor/internal/control"
	"pluginsupervisor/internal/platform"
	"pluginsupervisor/internal/record"
)

type listAnswer struct {
	Code       int               `json:"code"`
	RequestID  string            `json:"requestId"`
	InstanceID string            `json:"instanceId"`
	PluginList []json.RawMessage `json:"pluginList"` // as Package.encodeListing returns them; never null
}

// answerPackageList lists all packages that match the query, the newest version
// first: a host takes the first one for its machine.
func (s *Server) answerPackageList(w http.ResponseWriter, r *http.Request) error {
	c, body, err := s.readHostRequest(w, r)
	if err != nil {
		return err
	}
	wanted, err := decodeQuery(body)
	if err != nil {
		return err
	}
	if err := s.store.RecordContact(r.Context(), c, s.now()); err != nil {
		return err
	}
	all, err := s.store.ListPackages(r.Context(), wanted.PluginName)
	if err != nil {
		return err
	}
	records, err := s.encodeRecords(all, wanted, s.links.baseURL(r))
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, listAnswer{RequestID: uuid.NewString(), InstanceID: c.ID, PluginList: records})
	return nil
}

// decodeQuery reads the body of a list request.
func decodeQuery(body []byte) (control.PackageQuery, error) {
	var q control.PackageQuery
	if err := decodeJSON(body, &q); err != nil {
		return q, err
	}
	for _, f := range [...]struct{ name, value string }{
		{"osType", q.OSType}, {"pluginName", q.PluginName}, {"version", q.Version}, {"arch", q.Arch},
	} {
		if len(f.value) > maxText {
			return q, badRequest("%s has %d bytes, at most %d allowed", f.name, len(f.value), maxText)
		}
	}
	return q, nil
}

// matchesQuery reports whether the query asks for the package. A package for any
// system matches every machine (SPEC 1).
func (p Package) matchesQuery(q control.PackageQuery) bool {
	return (q.PluginName == "" || q.PluginName == p.Name) &&
		(q.Version == "" || q.Version == p.Version) &&
		(q.OSType == "" || platform.FitsOS(p.OS, q.OSType)) &&
		(q.Arch == "" || platform.FitsArch(p.Arch, q.Arch))
}

// maxRecords is the largest total of records in one answer, in bytes: clients
// read no more than control.MaxAnswer.
const maxRecords = control.MaxAnswer - 64<<10

func (s *Server) encodeRecords(all []Package, wanted control.PackageQuery, base url.URL) ([]json.RawMessage, error) {
	records, size := []json.RawMessage{}, 0
	for _, p := range all {
		if !p.matchesQuery(wanted) {
			continue
		}
		text, err := p.encodeListing(base)
		if err != nil {
			return nil, fmt.Errorf("list %s %s: %w", p.Name, p.Version, err)
		}
		if size += len(text) + 1; size > maxRecords {
			s.log.WithFields(logrus.Fields{"asked": wanted.PluginName, "listed": len(records)}).Warn("Package list cut, too many packages for one answer")
			break
		}
		records = append(records, text)
	}
	return records, nil
}

// encodeListing returns the package as a host records it (SPEC 1), with its URL,
// and its digest, manifest and size for verification.
func (p Package) encodeListing(base url.URL) (json.RawMessage, error) {
	rec, err := record.Decode(p.record)
	if err != nil {
		return nil, err
	}
	rec.URL = base.JoinPath(p.urlPath()).String()
	text, err := rec.Encode()
	if err != nil {
		return nil, err
	}
	more, err := json.Marshal(struct {
		SHA256   string `json:"sha256"`
		Manifest string `json:"manifest"`
		Size     int64  `json:"size"`
	}{p.SHA256, p.Manifest, p.Size})
	if err != nil {
		return nil, err
	}
	return append(append(text[:len(text)-1], ','), more[1:]...), nil // joins the two objects
}
