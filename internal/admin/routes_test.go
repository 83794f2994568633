package admin

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pluginsupervisor/internal/logger"
	"pluginsupervisor/internal/testenv"
	"pluginsupervisor/plugin"
)

func TestClientReadsStatusAndPlugins(t *testing.T) {
	want := sampleSnapshot()
	c := Dial(serveAPI(t, fakeSupervisor{snapshot: want}))
	got, err := c.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
	list, err := c.ListPlugins(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(ListOf(want), list); diff != "" {
		t.Errorf("plugins (-want +got):\n%s", diff)
	}
	if len(list.Plugins) != 3 || list.Plugins[1] != (Installed{"crash", "2.0", plugin.Persist, plugin.StateCrashLoop, false}) {
		t.Errorf("plugins: %+v", list.Plugins)
	}
}

func TestNoSupervisor(t *testing.T) {
	dir := socketDir(t)
	dead := filepath.Join(dir, "dead.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: dead, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	_ = l.Close()
	for _, path := range []string{dead, filepath.Join(dir, "none.sock"), filepath.Join(dir, "no", "folder")} {
		if _, err := Dial(path).Status(t.Context()); !errors.Is(err, ErrNoSupervisor) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: error %v, want %v with the path", path, err, ErrNoSupervisor)
		}
	}
}

func TestClientReturnsTheServersError(t *testing.T) {
	for name, c := range map[string]struct {
		fake fakeSupervisor
		want string
	}{
		"failed": {fakeSupervisor{err: errFailed}, errFailed.Error()},
		"stuck":  {fakeSupervisor{stuck: true}, "the supervisor did not answer within 2s"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Dial(serveAPI(t, c.fake)).Status(context.Background())
			if err == nil || !strings.Contains(err.Error(), c.want) || errors.Is(err, ErrNoSupervisor) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

func TestErrorsAreJSON(t *testing.T) {
	path := serveAPI(t, fakeSupervisor{snapshot: sampleSnapshot()})
	for _, c := range []struct {
		request string
		code    int
	}{
		{"GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n", http.StatusOK},
		{"HEAD /v1/status HTTP/1.1\r\nHost: x\r\n\r\n", http.StatusOK},
		{"GET / HTTP/1.1\r\nHost: x\r\n\r\n", http.StatusNotFound},
		{"GET /v1/nothing HTTP/1.1\r\nHost: x\r\n\r\n", http.StatusNotFound},
		{"POST /v1/status HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", http.StatusMethodNotAllowed},
		{"DELETE /v1/plugins HTTP/1.1\r\nHost: x\r\n\r\n", http.StatusMethodNotAllowed},
	} {
		name := strings.SplitN(c.request, " HTTP", 2)[0]
		conn := dialSocket(t, path)
		if _, err := fmt.Fprint(conn, c.request); err != nil {
			t.Fatal(err)
		}
		req, err := http.NewRequest(strings.Fields(c.request)[0], "http://x/", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(bufio.NewReader(conn), req)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if resp.StatusCode != c.code {
			t.Errorf("%s: %d, want %d", name, resp.StatusCode, c.code)
		}
		var f errorBody
		if req.Method != http.MethodHead {
			if err := json.NewDecoder(resp.Body).Decode(&f); err != nil {
				t.Errorf("%s: body is not JSON: %v", name, err)
			}
		}
		if (f.Error != "") != (c.code != http.StatusOK) {
			t.Errorf("%s: error %q with code %d", name, f.Error, c.code)
		}
		_ = resp.Body.Close()
	}
}

func TestSocketOfAnotherUser(t *testing.T) {
	if os.Getuid() == 0 {
		// TestOtherUserIsRejected covers the client of another user.
		testenv.SkipWithout(t, testenv.PlainUser, "nothing is forbidden to root")
	}
	path := serveAPI(t, fakeSupervisor{})
	if err := os.Chmod(path, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := Dial(path).Status(t.Context()); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("error %v, want %v", err, fs.ErrPermission)
	}
}

// A client that connects and sends nothing does not delay the shutdown.
func TestServeStopsWithASilentClient(t *testing.T) {
	t.Parallel()
	path := filepath.Join(socketDir(t), "s.sock")
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, l, NewHandler(fakeSupervisor{}, ""), logger.Silent()) }()
	silent := dialSocket(t, path)
	if _, err := Dial(path).Status(ctx); err != nil { // so that the silent client was accepted before
		t.Fatal(err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Serve: %v", err)
	}
	if _, err := silent.Read(make([]byte, 1)); !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the connection is still open: %v", err)
	}
	if _, err := Dial(path).Status(context.Background()); !errors.Is(err, ErrNoSupervisor) {
		t.Errorf("after the shutdown: error %v, want %v", err, ErrNoSupervisor)
	}
}
