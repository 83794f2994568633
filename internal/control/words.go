package control

import "pluginsupervisor/plugin"

// The statuses of SPEC 3, as the wire has them. WordUnknown is never sent.
const (
	WordRunning   = "PERSIST_RUNNING"
	WordFailed    = "PERSIST_FAIL"
	WordUnknown   = "PERSIST_UNKNOWN"
	WordInstalled = "ONCE_INSTALLED"
	WordRemoved   = "REMOVED"
)

// Word is the wire's word for a status.
func Word(s plugin.Status) string {
	switch s {
	case plugin.StatusRunning:
		return WordRunning
	case plugin.StatusFailed:
		return WordFailed
	case plugin.StatusInstalled:
		return WordInstalled
	case plugin.StatusRemoved:
		return WordRemoved
	default:
		return WordUnknown
	}
}

// ParseWord is the status a word of the wire stands for; false if it is none
// of the wire's words.
func ParseWord(word string) (plugin.Status, bool) {
	switch word {
	case WordRunning:
		return plugin.StatusRunning, true
	case WordFailed:
		return plugin.StatusFailed, true
	case WordUnknown:
		return plugin.StatusUnknown, true
	case WordInstalled:
		return plugin.StatusInstalled, true
	case WordRemoved:
		return plugin.StatusRemoved, true
	default:
		return plugin.StatusUnknown, false
	}
}
