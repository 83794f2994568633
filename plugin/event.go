package plugin

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Event is something that happened; it is reported to the control plane once.
type Event struct {
	ID       string            `json:"id"` // agent.plugin.update, agent.plugin.locallist, agent.plugin.execute
	At       time.Time         `json:"at"`
	Keywords map[string]string `json:"keywords"`
}

// The events of SPEC 3.
const (
	EventUpdate    = "agent.plugin.update"
	EventLocalList = "agent.plugin.locallist"
	EventExecute   = "agent.plugin.execute"
)

// NewLocalListEvent returns the inventory of SPEC 3: parallel arrays, os and arch
// in lower case (LR-02). The caller leaves removed plugins out (LR-01).
func NewLocalListEvent(at time.Time, ps []Plugin, localArch, localOS string) (Event, error) {
	list := struct {
		Arch    []string `json:"arch"`
		Name    []string `json:"name"`
		OS      []string `json:"os"`
		Version []string `json:"version"`
	}{[]string{}, []string{}, []string{}, []string{}}
	for _, p := range ps {
		list.Arch = append(list.Arch, strings.ToLower(p.Arch))
		list.Name = append(list.Name, p.Name)
		list.OS = append(list.OS, strings.ToLower(p.OS))
		list.Version = append(list.Version, p.Version)
	}
	b, err := json.Marshal(list)
	if err != nil {
		return Event{}, fmt.Errorf("encode plugin list: %w", err)
	}
	return Event{ID: EventLocalList, At: at, Keywords: map[string]string{
		"pluginList": string(b), "localArch": localArch, "localOsType": localOS,
	}}, nil
}

// MaxEventOutput is the limit of a verb's output in an update event, in bytes (SPEC 3).
const MaxEventOutput = 1024

// NewUpdateEvent returns the event with the result of a change (UP-07): status 0 ok, 1 failed, 2
// timed out; output cut to MaxEventOutput.
func NewUpdateEvent(at time.Time, c Change, u ChangeResult) Event {
	status, message := "0", ""
	switch {
	case u.TimedOut:
		status = "2"
	case u.Err != nil:
		status = "1"
	}
	if u.Err != nil {
		message = u.Err.Error()
	}
	return Event{ID: EventUpdate, At: at, Keywords: map[string]string{
		"name": c.Name, "version": c.Version,
		"exitCode": strconv.Itoa(u.ExitCode), "status": status,
		"errMsg": message, "output": TruncateText(u.Output, MaxEventOutput),
	}}
}

// TruncateText shortens s to at most n bytes without splitting a character (SC-16).
func TruncateText(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
