package controlplane

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// childFileSize is the variable with the limit of a file of the child, in bytes.
const childFileSize = "CONTROLPLANE_TEST_FILE_SIZE"

// limitFiles simulates a full disk for files beyond the number of bytes.
func limitFiles(bytes string) error {
	var limit syscall.Rlimit
	if _, err := fmt.Sscan(bytes, &limit.Cur); err != nil {
		return err
	}
	limit.Max = limit.Cur
	return syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit)
}

func TestKillDuringUpload(t *testing.T) {
	database := filepath.Join(t.TempDir(), "fleet.db")
	cmd, url := startChild(t, database)
	content := packPlugin(t, "log", "1.0", "", "", "kept")
	kind, body := multipartBody(t, "package", string(content), "manifest", "m")
	code, text := sendRequest(t, http.MethodPost, url+"/api/packages", body, setHeader("Content-Type", kind))
	if code != 201 {
		t.Fatalf("answered %d %s, want 201", code, text)
	}
	kept := listPackageFiles(t, database)

	kind, body = multipartBody(t, "package", strings.Repeat("x", 1<<20))
	c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "POST /api/packages HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n", kind, len(body))
	if _, err := io.Copy(c, strings.NewReader(body[:600<<10])); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "a part of the package to be on the disk", func() bool {
		for _, name := range listPackageFiles(t, database) {
			info, err := os.Stat(filepath.Join(database+"-packages", name))
			if err == nil && name != kept[0] && info.Size() > 0 {
				return true
			}
		}
		return false
	})
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	// A file without a committed row.
	orphan := filepath.Join(database+"-packages", strings.Repeat("0", 64))
	if err := os.WriteFile(orphan, nil, 0o600); err != nil {
		t.Fatal(err)
	}

	_, url = startChild(t, database)
	if got := listPackageFiles(t, database); len(got) != 1 || got[0] != kept[0] {
		t.Errorf("CP-06 files after kill -9: %v, want %v", got, kept)
	}
	answer, err := http.Get(url + "/packages/log/1.0/" + kept[0] + ".zip")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if got, err := io.ReadAll(answer.Body); err != nil || !bytes.Equal(got, content) {
		t.Errorf("CP-04 the acknowledged package is served as %s, %d bytes: %v", answer.Status, len(got), err)
	}
}

func TestFullDisk(t *testing.T) {
	database := filepath.Join(t.TempDir(), "fleet.db")
	t.Setenv(childFileSize, fmt.Sprint(2<<20))
	_, url := startChild(t, database)
	upload := func(content string) (int, string) {
		kind, body := multipartBody(t, "package", content)
		return sendRequest(t, http.MethodPost, url+"/api/packages", body, setHeader("Content-Type", kind))
	}
	code, text := upload(strings.Repeat("x", 3<<20))
	if code != http.StatusInsufficientStorage || !strings.Contains(text, "disk of the control plane is full") {
		t.Errorf("CP-06 answered %d %s, want 507 for a full disk", code, text)
	}
	waitFor(t, "CP-06 the removal of the partial file", func() bool { return len(listPackageFiles(t, database)) == 0 })
	if code, text := upload(string(packPlugin(t, "log", "1.0", "", "", ""))); code != 201 {
		t.Errorf("CP-06 a smaller package answered %d %s, want 201", code, text)
	}
}

func TestStuckUploadIsCutOff(t *testing.T) {
	limits := DefaultLimits()
	limits.Read = time.Second
	address, _ := startServer(t, limits)
	kind, body := multipartBody(t, "package", strings.Repeat("x", 1<<10))
	r := openStuckRequest(t, address, fmt.Sprintf("POST /api/packages HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s",
		kind, len(body), body[:512]))
	answer, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusRequestTimeout {
		t.Errorf("CP-13 answered %s, want 408", answer.Status)
	}
}

// deadlines is a connection that counts its read deadlines.
type deadlines struct {
	http.ResponseWriter
	set int
}

func (d *deadlines) SetReadDeadline(time.Time) error {
	d.set++
	return nil
}

func TestPacedBodySetsADeadlinePerMiB(t *testing.T) {
	var d deadlines
	body := &pacedBody{ReadCloser: io.NopCloser(bytes.NewReader(make([]byte, 3<<20))), rc: http.NewResponseController(&d), perMiB: time.Second}
	if n, err := io.Copy(io.Discard, body); n != 3<<20 || err != nil {
		t.Fatalf("read %d: %v", n, err)
	}
	if d.set != 4 { // the last for io.EOF
		t.Errorf("CP-13 %d deadlines for 3 MiB, want 4", d.set)
	}
}
