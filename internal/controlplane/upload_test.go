package controlplane

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"pluginsupervisor/internal/pkgcheck/pkgchecktest"
)

func TestUpload(t *testing.T) {
	f := newFleet(t)
	first := string(packPlugin(t, "log", "1.0", "Linux", "X64", "first"))
	p := f.addPackage("package", first, "manifest", "signed text\n")
	if p.Name != "log" || p.Version != "1.0" || p.OS != "linux" || p.Arch != "x64" || p.Size != int64(len(first)) || p.Manifest != "signed text\n" {
		t.Errorf("CP-06 kept %+v", p)
	}
	if err := f.checkFiles(p); err != nil {
		t.Error(err)
	}
	second := string(packPlugin(t, "log", "1.0", "linux", "x64", "second"))
	for _, step := range []struct {
		name    string
		form    []string
		code    int
		message string
		count   int // packages afterwards
	}{
		{"the same again", []string{"package", first}, 200, `"manifest":"signed text\n"`, 1},
		{"the same, manifest and all", []string{"manifest", "signed text\n", "package", first}, 200, p.SHA256, 1},
		{"another manifest", []string{"manifest", "x", "package", first}, 409, "exists with another manifest", 1},
		{"another manifest, replacing", []string{"manifest", "x", "package", first, "replace", "true"}, 200, `"manifest":"x"`, 1},
		{"other content", []string{"package", second}, 409, "log 1.0 for linux/x64 exists with other content", 1},
		{"other content, not replacing", []string{"package", second, "replace", "false"}, 409, "other content", 1},
		{"other content, replacing", []string{"replace", "true", "package", second}, 201, `"version":"1.0"`, 1},
		{"a manifest it lacked", []string{"package", second, "manifest", "later"}, 200, `"manifest":"later"`, 1},
		{"for another arch", []string{"package", string(packPlugin(t, "log", "1.0", "linux", "arm", ""))}, 201, `"arch":"arm"`, 2},
		{"for all", []string{"package", string(packPlugin(t, "log", "1.0", "", "", ""))}, 201, `"os":"both","arch":"all"`, 3},
		{"in a folder of its name", []string{"package", string(zipEntries(t, entry{"log-2.0/", "", fs.ModeDir | 0o755},
			entry{"log-2.0/config.json", packageConfig("log", "2.0", "", ""), 0o644}, entry{"log-2.0/run", "", 0o755}))}, 201, `"version":"2.0"`, 4},
	} {
		t.Run("CP-06 "+step.name, func(t *testing.T) {
			code, text := f.uploadPackage(step.form...)
			if code != step.code || !strings.Contains(text, step.message) {
				t.Errorf("answered %d %s, want %d and %s", code, text, step.code, step.message)
			}
			if got := f.listFiles(); len(got) != step.count {
				t.Errorf("files %v, want %d", got, step.count)
			}
		})
	}
}

func TestRejectedUploadsLeaveNothing(t *testing.T) {
	f := newFleetWith(t, func(s *Server) { s.limits.Package = 64 << 10 })
	with := func(config string) string {
		return string(zipEntries(t, entry{"config.json", config, 0o644}, entry{"run", "", 0o755}))
	}
	good := entry{"config.json", packageConfig("log", "1", "", ""), 0o644}
	for _, tc := range []struct {
		name    string
		form    []string
		code    int
		message string
	}{
		{"no package", []string{"manifest", "m"}, 400, "package is missing"},
		{"an empty package", []string{"package", ""}, 400, "package is missing"},
		{"two packages", []string{"package", with(good.text), "package", with(good.text)}, 400, "package is given twice"},
		{"another field", []string{"pakage", "x"}, 400, `unknown field "pakage"`},
		{"no zip", []string{"package", "#!/bin/sh"}, 400, "package is not a zip file"},
		{"a short one", []string{"package", "PK"}, 400, "package is not a zip file"},
		{"a cut zip", []string{"package", with(good.text)[:80]}, 400, "package is not a zip file"},
		{"a zip too large", []string{"package", strings.Repeat("x", 64<<10+1)}, 413, "package has more than 65536 bytes"},
		{"a body too large", []string{"package", strings.Repeat("x", 1<<20)}, 413, "package has more than 65536 bytes"},
		{"a manifest too large", []string{"manifest", strings.Repeat("m", 64<<10+1), "package", with(good.text)}, 413, "manifest has more than 65536 bytes"},
		{"a manifest of bytes", []string{"package", with(good.text), "manifest", "\xff"}, 400, "manifest is not text"},
	} {
		t.Run("CP-06 "+tc.name, func(t *testing.T) {
			code, text := f.uploadPackage(tc.form...)
			text = strings.ReplaceAll(text, `\"`, `"`)
			if code != tc.code || !strings.Contains(text, tc.message) {
				t.Errorf("answered %d %s, want %d and %q", code, text, tc.code, tc.message)
			}
			if err := f.checkFiles(); err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("CP-06 no form", func(t *testing.T) {
		if code, text := f.sendRequest(http.MethodPost, "/api/packages", "", "{}"); code != 400 || !strings.Contains(text, "multipart/form-data") {
			t.Errorf("answered %d %s", code, text)
		}
	})
	t.Run("CP-06 a form that ends early", func(t *testing.T) {
		kind, body := multipartBody(t, "package", with(good.text))
		code, text := sendRequest(t, http.MethodPost, f.url+"/api/packages", body[:len(body)-10], setHeader("Content-Type", kind))
		if code != 400 || !strings.Contains(text, "body is incomplete") {
			t.Errorf("answered %d %s", code, text)
		}
		if err := f.checkFiles(); err != nil {
			t.Error(err)
		}
	})
}

// CP-06: a package that hosts reject is rejected at upload, with the host's error.
func TestRejectedPackages(t *testing.T) {
	f := newFleet(t)
	for _, r := range pkgchecktest.Refusals(t) {
		t.Run(strings.ReplaceAll(r.Name, "CL-", "CP-06 CL-"), func(t *testing.T) {
			code, text := f.uploadPackage("package", string(r.Package))
			var answer struct{ Message string }
			if err := json.Unmarshal([]byte(text), &answer); err != nil {
				t.Fatalf("%v: %s", err, text)
			}
			if want := pkgchecktest.Words(t, r.Package); code != 400 || answer.Message != want || !strings.Contains(want, r.Says) {
				t.Errorf("answered %d %q, want 400 and %q with %q", code, answer.Message, want, r.Says)
			}
			if err := f.checkFiles(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestAcceptedPackages(t *testing.T) {
	f := newFleet(t)
	for _, a := range pkgchecktest.Acceptances(t) {
		t.Run("CP-06 "+a.Name, func(t *testing.T) {
			if code, text := f.uploadPackage("package", string(a.Package), "replace", "true"); code != 201 {
				t.Errorf("answered %d %s, want 201", code, text)
			}
		})
	}
}

func TestClientDisconnectsDuringUpload(t *testing.T) {
	f := newFleet(t)
	kind, body := multipartBody(t, "package", strings.Repeat("x", 1<<20))
	c, err := net.Dial("tcp", strings.TrimPrefix(f.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "POST /api/packages HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n", kind, len(body))
	if _, err := io.Copy(c, strings.NewReader(body[:512<<10])); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the package to begin to arrive", func() bool { return len(f.listFiles()) == 1 })
	c.Close()
	waitFor(t, "CP-06 what arrived to go", func() bool { return len(f.listFiles()) == 0 })
}

func TestConcurrentUploads(t *testing.T) {
	f := newFleetWith(t, func(s *Server) { s.uploads = make(chan struct{}, 16) })
	t.Run("CP-06 of the same", func(t *testing.T) {
		kind, body := multipartBody(t, "package", string(packPlugin(t, "same", "1", "", "", "")))
		created := sendUploads(t, f, 8, func(int) (string, string) { return kind, body })
		if created[201] != 1 || created[200] != 7 {
			t.Errorf("answered %v", created)
		}
	})
	t.Run("CP-06 of others for the same version", func(t *testing.T) {
		got := sendUploads(t, f, 8, func(i int) (string, string) {
			return multipartBody(t, "package", string(packPlugin(t, "other", "1", "", "", fmt.Sprint(i))))
		})
		if got[201] != 1 || got[409] != 7 {
			t.Errorf("answered %v", got)
		}
	})
	t.Run("CP-06 replacing each other", func(t *testing.T) {
		got := sendUploads(t, f, 8, func(i int) (string, string) {
			return multipartBody(t, "package", string(packPlugin(t, "other", "1", "", "", fmt.Sprint("again ", i))), "replace", "true")
		})
		if got[201] != 8 {
			t.Errorf("answered %v", got)
		}
	})
	if got := f.listFiles(); len(got) != 2 {
		t.Errorf("CP-06 files %v, want those of 2 packages", got)
	}
	t.Run("CP-13 more than allowed at once", func(t *testing.T) {
		f := newFleetWith(t, func(s *Server) { s.uploads = make(chan struct{}) })
		if code, text := f.uploadPackage("package", string(packPlugin(t, "a", "1", "", "", ""))); code != 429 {
			t.Errorf("answered %d %s, want 429", code, text)
		}
	})
}

// sendUploads sends n uploads at once and counts the answers by status code.
func sendUploads(t *testing.T, f fleet, n int, form func(i int) (contentType, body string)) map[int]int {
	t.Helper()
	codes := make([]int, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			kind, body := form(i)
			answer, err := http.Post(f.url+"/api/packages", kind, bytes.NewBufferString(body))
			if err != nil {
				t.Error(err)
				return
			}
			answer.Body.Close()
			codes[i] = answer.StatusCode
		})
	}
	all.Wait()
	count := map[int]int{}
	for _, code := range codes {
		count[code]++
	}
	return count
}
