package controlplane

import (
	"net/http"
	"strings"
	"testing"
)

func TestRemovePackages(t *testing.T) {
	f := newFleet(t)
	x64 := f.addPackage("package", string(packPlugin(t, "log", "1.0", "linux", "x64", "")))
	f.addPackage("package", string(packPlugin(t, "log", "1.0", "linux", "arm", "")))
	next := f.addPackage("package", string(packPlugin(t, "log", "2.0", "linux", "arm", "")))
	offer := func(body string) {
		t.Helper()
		if code, text := f.sendRequest(http.MethodPost, "/api/offers", "", body); code != 201 {
			t.Fatalf("offer answered %d %s, want 201", code, text)
		}
	}
	offer(`{"name":"log","version":"2.0","host":"only-this"}`)
	for _, step := range []struct {
		name, query string
		code        int
		message     string
		left        []Package // nil: as before
	}{
		{"nameless", "version=1.0", 400, "name or version is missing", nil},
		{"without a version", "name=log", 400, "name or version is missing", nil},
		{"another version", "name=log&version=3.0", 404, "package not found: log 3.0", nil},
		{"another os", "name=log&version=1.0&os=windows", 404, "package not found: log 1.0 windows", nil},
		{"of one arch", "name=log&version=1.0&arch=arm", 204, "", []Package{x64, next}},
		{"of all", "name=log&version=1.0", 204, "", []Package{next}},
		{"offered", "name=log&version=2.0", 409, "log 2.0 is offered: withdraw the offer first", []Package{next}},
		{"offered, of one arch", "name=log&version=2.0&arch=arm", 409, "is offered", []Package{next}},
		{"offered, but forced", "name=log&version=2.0&force=true", 204, "", []Package{}},
		{"again", "name=log&version=2.0&force=true", 404, "package not found", []Package{}},
	} {
		t.Run("CP-06 "+step.name, func(t *testing.T) {
			code, text := f.sendRequest(http.MethodDelete, "/api/packages?"+step.query, "", "")
			if code != step.code || !strings.Contains(text, step.message) {
				t.Errorf("answered %d %s, want %d and %s", code, text, step.code, step.message)
			}
			if step.left == nil {
				return
			}
			if err := f.checkFiles(step.left...); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestPackageForms(t *testing.T) {
	f := newFleet(t)
	send := func(path, kind, body string) (int, string) {
		return sendRequest(t, http.MethodPost, f.url+path, body, setHeader("Content-Type", kind))
	}
	kind, body := multipartBody(t, "package", string(packPlugin(t, "log", "1.0", "linux", "", "<b>")), "manifest", "m")
	if code, text := send("/packages", kind, body); code != 303 {
		t.Fatalf("CP-06 upload answered %d %s, want 303", code, text)
	}
	p := f.listRecords(`{}`)[0]
	_, page := f.sendRequest(http.MethodGet, "/", "", "")
	page = collapseSpaces(page)
	for what, want := range map[string]string{
		"plugin":    `<th scope="row">log</th>`,
		"version":   `<a href="/packages/log/1.0/` + p.SHA256 + `.zip" title="Download">1.0</a>`,
		"for":       `<td>linux, any arch</td>`,
		"digest":    `<code title="` + p.SHA256 + `">` + p.SHA256[:12] + `</code>`,
		"signed":    `.zip.sig">signed</a>`,
		"to offer":  `<datalist id="versions"><option value="1.0">log 1.0</option></datalist>`,
		"its name":  `<datalist id="names"><option value="log"></option></datalist>`,
		"to remove": `aria-label="Remove log 1.0 for linux all"`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("CP-06 %s: page lacks %s", what, want)
		}
	}
	kind, body = multipartBody(t, "package", "not a zip", "manifest", "")
	if code, text := send("/packages", kind, body); code != 400 || !strings.Contains(text, `role="alert">package is not a zip file`) {
		t.Errorf("CP-06 bad upload answered %d %s", code, text)
	}
	const plain = "application/x-www-form-urlencoded"
	if code, _ := send("/offers", plain, encodeForm("name", "log", "version", "1.0")); code != 303 {
		t.Fatalf("offer answered %d, want 303", code)
	}
	which := encodeForm("name", "log", "version", "1.0", "os", "linux", "arch", "all")
	if code, text := send("/packages/remove", plain, which); code != 409 || !strings.Contains(text, "log 1.0 is offered") {
		t.Errorf("CP-06 removing what is offered answered %d %s", code, text)
	}
	send("/offers/withdraw", plain, encodeForm("name", "log", "version", "1.0"))
	if code, text := send("/packages/remove", plain, which); code != 303 {
		t.Errorf("CP-06 removing answered %d %s, want 303", code, text)
	}
	if err := f.checkFiles(); err != nil {
		t.Error(err)
	}
	if _, page := f.sendRequest(http.MethodGet, "/", "", ""); !strings.Contains(page, "No package has been uploaded yet.") {
		t.Error("CP-06 the page does not show that no package was uploaded")
	}
	kind, body = multipartBody(t, "package", string(packPlugin(t, "log", "1.0", "", "", "")))
	code, _ := sendRequest(t, http.MethodPost, f.url+"/packages", body, func(r *http.Request) {
		r.Header.Set("Content-Type", kind)
		r.Header.Set("Sec-Fetch-Site", "cross-site")
	})
	if code != 403 {
		t.Errorf("CP-02 another site's upload answered %d, want 403", code)
	}
}
