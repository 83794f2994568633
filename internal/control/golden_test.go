package control

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"runtime"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"pluginsupervisor/internal/platform"
	"pluginsupervisor/plugin"
)

// recordedRequest is one entry of testdata/recorded.json.
type recordedRequest struct {
	Name    string            `json:"name"`
	Path    string            `json:"path"`
	Headers map[string]string `json:"headers"`
	Body    string            `json:"body"`
}

// recordedHost returns the facts about the host where the requests were recorded.
func recordedHost() Common {
	return describeHost(fstest.MapFS{
		"etc/os-release": {Data: []byte("PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nVERSION_ID=\"12\"\nID=debian\n")},
	}, platform.Names{
		System: "Linux", Release: "6.18.44-fc-v657", Version: "#1 SMP PREEMPT_DYNAMIC @0", Machine: "x86_64",
	}, "amd64", "i-fakeinstance001")
}

func sendReport(es ...plugin.ReportEntry) func(context.Context, *Client) error {
	return func(ctx context.Context, c *Client) error {
		_, err := c.Report(ctx, plugin.Report{Entries: es})
		return err
	}
}

func sendCheck(ps ...plugin.Plugin) func(context.Context, *Client) error {
	return func(ctx context.Context, c *Client) error {
		_, err := c.CheckUpdates(ctx, ps)
		return err
	}
}

func sendEvent(e plugin.Event) func(context.Context, *Client) error {
	return func(ctx context.Context, c *Client) error { return c.Send(ctx, e) }
}

func executeEvent(ms int64, name, version, resource string) plugin.Event {
	return plugin.Event{ID: plugin.EventExecute, At: time.UnixMilli(ms), Keywords: map[string]string{
		"pluginName": name, "pluginVersion": version, "pluginType": "Persist", "resource": resource,
		"exitCode": "0", "errorCode": "", "localArch": "x64", "localOsType": "linux",
	}}
}

// localList returns the recorded inventory, made from records in other letter
// case (LR-02).
func localList(t *testing.T) plugin.Event {
	e, err := plugin.NewLocalListEvent(time.UnixMilli(1795403030007), []plugin.Plugin{
		{Name: "o1", Version: "1.0", OS: "Linux", Arch: "X64"},
		{Name: "p_up", Version: "2.0", OS: "LINUX", Arch: "ALL"},
	}, platform.Arch("x86_64"), platform.OS("linux"))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// TestRecorded compares requests with those recorded from the existing program
// (LR-02).
func TestRecorded(t *testing.T) {
	updated := plugin.NewUpdateEvent(time.UnixMilli(1795403020879), plugin.Change{Name: "p_up", Version: "2.0"},
		plugin.ChangeResult{Outcome: plugin.Outcome{
			Output: "p_up v2.0 args=[--upgrade] PLUGIN_DIR=BASE/plugin/p_up/2.0 PRE_PLUGIN_DIR=BASE/plugin/p_up/1.0\n",
		}})
	const running, failed, installed, removed = plugin.StatusRunning, plugin.StatusFailed, plugin.StatusInstalled, plugin.StatusRemoved
	calls := map[string]func(context.Context, *Client) error{
		"report start":   sendReport(plugin.ReportEntry{Name: "p_dead", Version: "2.0", Status: running}),
		"report upgrade": sendReport(plugin.ReportEntry{Name: "p_up", Version: "2.0", Status: running, SysTag: plugin.SysTagAdd}),
		"report remove persist": sendReport(
			plugin.ReportEntry{Name: "p_up", Version: "2.0", Status: removed, SysTag: plugin.SysTagRemove}),
		"report remove once": sendReport(plugin.ReportEntry{Name: "o_once", Version: "1.0", Status: removed}),
		"report pull": sendReport(
			plugin.ReportEntry{Name: "p_healthy", Version: "1.1", Status: running},
			plugin.ReportEntry{Name: "p_dead", Version: "2.0", Status: failed},
			plugin.ReportEntry{Name: "p_garbage", Version: "4.0", Status: running}),
		"report scan": sendReport(
			plugin.ReportEntry{Name: "once_ok", Version: "1.0", Status: installed},
			plugin.ReportEntry{Name: "p_healthy", Version: "1.1", Status: running},
			plugin.ReportEntry{Name: "p_garbage", Version: "4.0", Status: running}),
		"report scan refused": sendReport(
			plugin.ReportEntry{Name: "o1", Version: "1.0", Status: installed},
			plugin.ReportEntry{Name: "p_up", Version: "2.0", Status: running}),
		"update check":                  sendCheck(plugin.Plugin{Name: "p_up", Version: "1.0"}),
		"update check, nothing offered": sendCheck(plugin.Plugin{Name: "p_up", Version: "2.0"}),
		"event execute":                 sendEvent(executeEvent(1795402604885, "p_dead", "2.0", "LocalInstalled")),
		"event execute online":          sendEvent(executeEvent(1795402673992, "p_up", "2.0", "Online")),
		"event update":                  sendEvent(updated),
		"event locallist":               sendEvent(localList(t)),
	}
	for _, want := range readRecorded(t) {
		t.Run(want.Name, func(t *testing.T) {
			call, ok := calls[want.Name]
			if !ok {
				t.Fatalf("no call for the recorded request %q", want.Name)
			}
			server, got := startServer(t, answerWith(200, "{}"))
			c := newClient(t, Config{URL: server.URL, Version: "2.2.3.578"})
			c.common, c.os, c.arch = recordedHost(), "linux", "x64"
			if err := call(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			r := <-got
			sent := recordedRequest{Name: want.Name, Path: r.Path, Body: r.Body, Headers: map[string]string{
				"Content-Type": r.Header.Get("Content-Type"), "User-Agent": r.Header.Get("User-Agent"),
			}}
			want.Headers["User-Agent"] = strings.Replace(want.Headers["User-Agent"], "amd64", runtime.GOARCH, 1)
			var compact bytes.Buffer // compact bodies do not change
			if err := json.Compact(&compact, []byte(want.Body)); err != nil {
				t.Fatal(err)
			}
			want.Body = compact.String()
			if diff := cmp.Diff(want, sent); diff != "" || r.Method != "POST" {
				t.Errorf("%s, recorded (-) and sent (+):\n%s", r.Method, diff)
			}
		})
	}
}

func readRecorded(t *testing.T) []recordedRequest {
	b, err := os.ReadFile("testdata/recorded.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Requests []recordedRequest `json:"requests"`
	}
	if err := json.Unmarshal(b, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Requests) == 0 {
		t.Fatal("testdata/recorded.json holds no requests")
	}
	return file.Requests
}
