package vocabulary

import (
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// phrase is a private word or phrase, or a form of it.
type phrase struct {
	pattern string // a regular expression between word boundaries; case is ignored
	plain   string // what to say instead
	// without is text that makes the phrase right when it is in the same line.
	without string
	// program limits the phrase to texts of programs.
	program bool
}

// phrases holds what no text for users contains. Names of the same words are
// in nameWords.
var phrases = []phrase{
	{pattern: `ended|(its|their) end|plugin's end|process's end`, plain: "exited, stopped, killed, finished"},
	{pattern: `told|tells?|heard|hears?`, plain: "reported, returned, notified, received, last seen"},
	{pattern: `owed|owing|owes?`, plain: "pending"},
	{pattern: `refused versions?|versions? (is |are |was |were )?refused|refused for (a|the)`, plain: "blocked"},
	{pattern: `weak`, plain: "unverified"},
	{pattern: `what holds|configuration that holds`, plain: "the effective configuration"},
	{pattern: `operators?'s? (words?|wish|wishes|orders?)`, plain: "command, request"},
	{pattern: `life|lives`, plain: "run, instance, process, start"},
	{pattern: `mends?|mended|mending|br(ing|ings|ought) (it |them )?back`, plain: "restart"},
	{pattern: `obeys?|obeyed`, plain: "apply"},
	{pattern: `looked|sight|seen again|looks? again|looks? at`, plain: "check, inspect, observe"},
	{pattern: `care[sd]? for|attend(s|ed|ing)? to|(take|takes|took|taken|taking) (up|over)`, plain: "handle, service, replace"},
	{pattern: `adopt(s|ed|ion|ing)?`, plain: "re-attach", program: true},
	{pattern: `vouche?[sd]?|vouches|probation|debut`, plain: "heartbeatFresh, unproven, first run"},
	{pattern: `rounds|(a|each|every|next|this|one) round`, plain: "scan, pull, inventory"},
	{pattern: `crews?|employ(s|ed|ing)?`, plain: "workers, spawn"},
	{pattern: `rooms?`, plain: "space"},
	{pattern: `leaf`, plain: "process group", without: "cgroup"},
	{pattern: `vigils?|agenda`, plain: "deadline, schedule"},
	{pattern: `judge[sd]?|farewell|confess(ion|es|ed)?|tid(y|ies|ied)|step(s|ped)? aside`, plain: "check, remove, finish"},
	{pattern: `depot|planes?|narrator|rigged`, plain: "package store, server, printer"},
	{pattern: `what it costs|sum of (the )?tests|(a|with) sum`, plain: "cost, summary"},
	{pattern: `nobody|somebody|everybody|whoever`, plain: "no process, another process, each host, any client"},
	{pattern: `is (what|how)|of what`, plain: "name the thing"},
	{pattern: `lets go wrong|goes wrong in|was seen to be true`, plain: "is verified"},
	{pattern: `from the first instruction`, plain: "before the plugin's first instruction runs"},
	{pattern: `the version (before the one )?that runs`, plain: "the running version"},
	{pattern: `leaves? nothing of it|which must not be there|noticed by scan`, plain: "see the rewrites"},
	{pattern: `as was known later|no end in|may not be executed|nobody listens`, plain: "see the rewrites"},
	{pattern: `is odd|will be tried again|works again|something runs of`, plain: "warning, retrying, recovered"},
	{pattern: `therefore otherwise|to be had|could not tell|really happened`, plain: "see the rewrites"},
}

// allowedPhrases holds standard phrases that contain a private word.
var allowedPhrases = regexp.MustCompile(`(?i)\b(control[- ]planes?|data planes?|go mod tidy|looked up|round[- ]trips?|life ?cycles?|connection refused|is what it is|user: nobody)\b`)

var phrasePatterns = compilePhrases()

func compilePhrases() []*regexp.Regexp {
	var all []*regexp.Regexp
	for _, p := range phrases {
		all = append(all, regexp.MustCompile(`(?i)\b(?:`+p.pattern+`)\b`))
	}
	return all
}

// wordFault is one private word in a text or a name.
type wordFault struct{ found, plain string }

// findPhrases returns the private words and phrases of a line of text, which a
// program prints or a document holds.
func findPhrases(line string, program bool) []wordFault {
	rest := allowedPhrases.ReplaceAllString(line, "\x00")
	var faults []wordFault
	for i, p := range phrases {
		if p.program && !program || p.without != "" && strings.Contains(strings.ToLower(line), p.without) {
			continue
		}
		for _, found := range phrasePatterns[i].FindAllString(rest, -1) {
			faults = append(faults, wordFault{strings.ToLower(found), p.plain})
		}
	}
	return faults
}

// nameWord is a word that no exported name contains.
type nameWord struct {
	word, plain string
	folders     string // a regular expression of the folders where it is private, empty for all
}

const demo = `/demo$|^internal/tools/`

var nameWords = []nameWord{
	{word: "ended", plain: "exited, stopped, finished"},
	{word: "told", plain: "reported"},
	{word: "tell", plain: "report"},
	{word: "tells", plain: "reports"},
	{word: "heard", plain: "received, seen"},
	{word: "hear", plain: "receive"},
	{word: "owed", plain: "pending"},
	{word: "owing", plain: "pending"},
	{word: "owe", plain: "enqueue"},
	{word: "weak", plain: "unverified"},
	{word: "refused", plain: "blocked", folders: `^plugin$`},
	{word: "wish", plain: "request"},
	{word: "life", plain: "run, instance"},
	{word: "lives", plain: "runs, instances"},
	{word: "mend", plain: "restart"},
	{word: "mending", plain: "restart"},
	{word: "meet", plain: "add"},
	{word: "lose", plain: "forget"},
	{word: "learn", plain: "updateInstalled"},
	{word: "obey", plain: "apply"},
	{word: "look", plain: "check, inspect"},
	{word: "looked", plain: "checked"},
	{word: "sight", plain: "observation"},
	{word: "sighting", plain: "observed"},
	{word: "attend", plain: "handle"},
	{word: "vouched", plain: "heartbeatFresh"},
	{word: "probation", plain: "unproven"},
	{word: "debut", plain: "firstRun"},
	{word: "round", plain: "scan, pull"},
	{word: "rounds", plain: "scans, pulls"},
	{word: "crew", plain: "workers"},
	{word: "employ", plain: "spawn"},
	{word: "together", plain: "burst"},
	{word: "broke", plain: "waitingForBudget"},
	{word: "leaf", plain: "processGroup"},
	{word: "room", plain: "space"},
	{word: "vigil", plain: "deadline"},
	{word: "agenda", plain: "schedule"},
	{word: "spot", plain: "target"},
	{word: "judge", plain: "check"},
	{word: "agree", plain: "checkIdentity"},
	{word: "farewell", plain: "stopAndUninstall"},
	{word: "confession", plain: "gapEntry"},
	{word: "tidy", plain: "prune"},
	{word: "renew", plain: "recreate"},
	{word: "drop", plain: "removeNew", folders: `^internal/(native|install|transaction)(/|$)`},
	{word: "depot", plain: "packagestore"},
	{word: "supply", plain: "packagesource"},
	{word: "plane", plain: "controlPlane"},
	{word: "stage", plain: "env", folders: demo},
	{word: "play", plain: "scenario", folders: demo},
	{word: "eyes", plain: "observer", folders: demo},
	{word: "narrator", plain: "printer", folders: demo},
	{word: "rig", plain: "testbed", folders: demo},
	{word: "naive", plain: "sampledaemon", folders: demo},
	{word: "sum", plain: "summary", folders: demo},
	{word: "nobody", plain: "no process"},
	{word: "somebody", plain: "another process"},
	{word: "everybody", plain: "each host"},
	{word: "whoever", plain: "any client"},
}

// allowedNames holds pairs of words that an exported name may contain although
// one of them is in nameWords.
var allowedNames = [][2]string{{"drop", "in"}, {"control", "plane"}, {"data", "plane"}, {"round", "trip"}, {"cgroup", "leaf"}}

// findNameWords returns the private words of a name in camel case. In
// internal/cgroup, leaf is the standard term.
func findNameWords(folder, name string) []wordFault {
	words := splitName(name)
	var faults []wordFault
	for i, w := range words {
		at := slices.IndexFunc(nameWords, func(n nameWord) bool { return n.word == w })
		if at < 0 || w == "leaf" && folder == "internal/cgroup" {
			continue
		}
		if in := nameWords[at].folders; in != "" && !regexp.MustCompile(in).MatchString(folder) {
			continue
		}
		if i > 0 && slices.Contains(allowedNames, [2]string{words[i-1], w}) ||
			i+1 < len(words) && slices.Contains(allowedNames, [2]string{w, words[i+1]}) {
			continue
		}
		faults = append(faults, wordFault{w, nameWords[at].plain})
	}
	return faults
}

// splitName returns the words of a name in camel case, in lower case.
func splitName(name string) []string {
	var words []string
	runes := []rune(name)
	start := 0
	for i := 1; i <= len(runes); i++ {
		if i < len(runes) && runes[i] != '_' {
			upper := unicode.IsUpper(runes[i])
			begins := upper && !unicode.IsUpper(runes[i-1]) || upper && i+1 < len(runes) && unicode.IsLower(runes[i+1])
			if !begins {
				continue
			}
		}
		if word := strings.Trim(string(runes[start:i]), "_"); word != "" {
			words = append(words, strings.ToLower(word))
		}
		start = i
	}
	return words
}
