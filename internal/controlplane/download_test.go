package controlplane

import (
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// getURL sends a request with these headers, pairs of name and value.
func (f fleet) getURL(method, path string, headers ...string) (*http.Response, string) {
	f.t.Helper()
	r, err := http.NewRequest(method, f.url+path, nil)
	if err != nil {
		f.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		f.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	return answer, string(text)
}

func TestDownload(t *testing.T) {
	f := newFleet(t)
	content := string(packPlugin(t, "log", "1.0", "", "", strings.Repeat("x", 1000)))
	p := f.addPackage("package", content)
	listed := f.listRecords(`{}`)[0].URL
	u, err := url.Parse(listed)
	if err != nil || u.Path != p.urlPath() {
		t.Fatalf("CP-06 listed %s: %v", listed, err)
	}
	etag := `"` + p.SHA256 + `"`
	half := content[len(content)/2:]
	for _, tc := range []struct {
		name, method string
		headers      []string
		code         int
		body         string
	}{
		{"all of it", "GET", nil, 200, content},
		{"only the head", "HEAD", nil, 200, ""},
		{"the rest of it", "GET", []string{"Range", "bytes=" + strconv.Itoa(len(content)/2) + "-"}, 206, half},
		{"the rest of the same", "GET", []string{"Range", "bytes=" + strconv.Itoa(len(content)/2) + "-", "If-Range", etag}, 206, half},
		{"the rest of another", "GET", []string{"Range", "bytes=" + strconv.Itoa(len(content)/2) + "-", "If-Range", `"other"`}, 200, content},
		{"beyond it", "GET", []string{"Range", "bytes=" + strconv.Itoa(len(content)) + "-"}, 416, ""},
		{"what is known", "GET", []string{"If-None-Match", etag}, 304, ""},
		{"another than known", "GET", []string{"If-None-Match", `"other"`}, 200, content},
	} {
		t.Run("CP-06 "+tc.name, func(t *testing.T) {
			answer, body := f.getURL(tc.method, p.urlPath(), tc.headers...)
			if answer.StatusCode != tc.code || tc.code < 300 && body != tc.body {
				t.Fatalf("answered %s with %d bytes", answer.Status, len(body))
			}
			if tc.code >= 400 {
				return
			}
			h := answer.Header
			if h.Get("ETag") != etag || !strings.Contains(h.Get("Cache-Control"), "immutable") {
				t.Errorf("headers %v", h)
			}
			if tc.code < 300 && (h.Get("Content-Type") != "application/zip" || h.Get("Accept-Ranges") != "bytes") {
				t.Errorf("headers %v", h)
			}
		})
	}
	t.Run("CP-06 signed later", func(t *testing.T) {
		if answer, _ := f.getURL("GET", p.urlPath()+".sig"); answer.StatusCode != 404 {
			t.Errorf("answered %s, want 404", answer.Status)
		}
		f.uploadPackage("package", content, "manifest", "signed\n")
		answer, body := f.getURL("GET", p.urlPath()+".sig")
		if answer.StatusCode != 200 || body != "signed\n" || !strings.HasPrefix(answer.Header.Get("Content-Type"), "text/plain") ||
			answer.Header.Get("Cache-Control") != "no-cache" {
			t.Errorf("answered %s %q %v", answer.Status, body, answer.Header)
		}
	})
	t.Run("CP-06 nothing else is served", func(t *testing.T) {
		for _, path := range []string{
			"/packages/", "/packages/log", "/packages/log/1.0/", "/packages/log/1.0/lock", "/packages/log/1.0/..%2Flock",
			"/packages/log/1.0/" + p.SHA256, "/packages/log/1.0/" + p.SHA256 + ".sig", "/packages/log/2.0/" + p.SHA256 + ".zip",
			"/packages/gol/1.0/" + p.SHA256 + ".zip", "/packages/log/1.0/" + strings.Repeat("0", 64) + ".zip",
			"/packages/log/1.0/%2e%2e%2f%2e%2e%2f" + p.SHA256 + ".zip", "/packages/..%2f..%2fetc/passwd/" + p.SHA256 + ".zip",
			"/packages/log/1.0/" + strings.ToUpper(p.SHA256) + ".zip", "/packages/log/1.0/.zip", "/packages/log/1.0/%00.zip",
		} {
			if answer, _ := f.getURL("GET", path); answer.StatusCode != 404 {
				t.Errorf("%s answered %s, want 404", path, answer.Status)
			}
		}
	})
	t.Run("CP-06 a lost file is 500, and restored by another upload", func(t *testing.T) {
		if err := os.Remove(filepath.Join(f.database+"-packages", p.SHA256)); err != nil {
			t.Fatal(err)
		}
		if answer, _ := f.getURL("GET", p.urlPath()); answer.StatusCode != 500 {
			t.Errorf("answered %s, want 500", answer.Status)
		}
		if code, text := f.uploadPackage("package", content); code != 200 {
			t.Errorf("upload answered %d %s, want 200", code, text)
		}
		if answer, body := f.getURL("GET", p.urlPath()); answer.StatusCode != 200 || body != content {
			t.Errorf("answered %s", answer.Status)
		}
	})
	t.Run("CP-06 a replacement has another URL", func(t *testing.T) {
		other := f.addPackage("package", string(packPlugin(t, "log", "1.0", "", "", "other")), "replace", "true")
		if answer, _ := f.getURL("GET", p.urlPath()); answer.StatusCode != 404 {
			t.Errorf("the old one answered %s, want 404", answer.Status)
		}
		if answer, _ := f.getURL("GET", other.urlPath()); answer.StatusCode != 200 {
			t.Errorf("the new one answered %s, want 200", answer.Status)
		}
		if got := f.listRecords(`{}`); len(got) != 1 || got[0].SHA256 != other.SHA256 || got[0].Manifest != "" {
			t.Errorf("list %+v", got)
		}
	})
}
