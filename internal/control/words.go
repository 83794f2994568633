package control

import "pluginsupervisor/plugin"

// The status words of SPEC 3, as the wire spells them. WordUnknown is never sent.
const (
	StatusRunning   = "PERSIST_RUNNING"
	StatusFailed    = "PERSIST_FAIL"
	StatusUnknown   = "PERSIST_UNKNOWN"
	StatusInstalled = "ONCE_INSTALLED"
	StatusRemoved   = "REMOVED"
)

// StatusWord returns the wire's word for a status.
func StatusWord(s plugin.Status) string {
	switch s {
	case plugin.StatusRunning:
		return StatusRunning
	case plugin.StatusFailed:
		return StatusFailed
	case plugin.StatusInstalled:
		return StatusInstalled
	case plugin.StatusRemoved:
		return StatusRemoved
	default:
		return StatusUnknown
	}
}

// ParseStatus returns the status of a word of the wire, and false for an unknown word.
func ParseStatus(word string) (plugin.Status, bool) {
	switch word {
	case StatusRunning:
		return plugin.StatusRunning, true
	case StatusFailed:
		return plugin.StatusFailed, true
	case StatusUnknown:
		return plugin.StatusUnknown, true
	case StatusInstalled:
		return plugin.StatusInstalled, true
	case StatusRemoved:
		return plugin.StatusRemoved, true
	default:
		return plugin.StatusUnknown, false
	}
}
