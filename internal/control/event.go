package control

import (
	"encoding/json"
	"fmt"

	"pluginsupervisor/plugin"
)

// Event is the body of an event.
type Event struct {
	EventID     string `json:"eventId"`
	Category    string `json:"category"`
	SubCategory string `json:"subCategory"`
	EventLevel  string `json:"eventLevel"`
	EventTime   int64  `json:"eventTime"` // Unix milliseconds
	Common      string `json:"common"`    // a Common, as JSON
	Keywords    string `json:"keywords"`  // a flat map of strings with sorted keys, as JSON
}

// Common holds the facts about the host that every event carries.
type Common struct {
	Arch          string `json:"arch"` // as Go spells it: amd64
	InstanceID    string `json:"instanceId"`
	OSVersion     string `json:"osVersion"`    // system_version_machine, from uname
	VirtualType   string `json:"virtualType"`  // kvm, vmware …, or unknown
	Distribution  string `json:"distribution"` // debian 12
	KernelVersion string `json:"kernelVersion"`
}

// newEvent returns an event in its wire form.
func newEvent(common Common, e plugin.Event) (Event, error) {
	host, err := json.Marshal(common)
	if err != nil {
		return Event{}, fmt.Errorf("encode host: %w", err)
	}
	keywords := e.Keywords
	if keywords == nil {
		keywords = map[string]string{}
	}
	words, err := json.Marshal(keywords)
	if err != nil {
		return Event{}, fmt.Errorf("encode keywords: %w", err)
	}
	return Event{
		EventID:    e.ID,
		Category:   "PLUGIN",
		EventLevel: "INFO",
		EventTime:  e.At.UnixMilli(),
		Common:     string(host),
		Keywords:   string(words),
	}, nil
}
