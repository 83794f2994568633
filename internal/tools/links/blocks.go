package links

import (
	"fmt"
	"strings"
)

// block is a fenced block of code of a document.
type block struct {
	owner    string // NAME of <!-- output: NAME --> on the line before, empty for none
	source   string // "FILE FUNCTION" of <!-- source: FILE FUNCTION --> there, empty for none
	language string
	text     string
	from, to int // of text in the document
}

const (
	fence        = "```"
	ownerPrefix  = "<!-- output: "
	sourcePrefix = "<!-- source: "
)

// parseBlocks returns the fenced blocks of a document.
func parseBlocks(document string) []block {
	var all []block
	var b block
	open, before, at := false, "", 0
	for line := range strings.SplitAfterSeq(document, "\n") {
		text := strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(text, fence) && !open:
			open, b = true, block{language: text[len(fence):], from: at + len(line)}
			if owner, found := strings.CutPrefix(before, ownerPrefix); found {
				b.owner = strings.TrimSuffix(owner, " -->")
			}
			if source, found := strings.CutPrefix(before, sourcePrefix); found {
				b.source = strings.TrimSuffix(source, " -->")
			}
		case text == fence:
			open, b.to = false, at
			b.text = document[b.from:b.to]
			all = append(all, b)
		}
		before, at = text, at+len(line)
	}
	return all
}

// SetBlock returns the document with text in each block that stands below
// <!-- output: NAME -->. It is an error when there is none.
func SetBlock(document, name, text string) (string, error) {
	all := parseBlocks(document)
	found := false
	for i := len(all) - 1; i >= 0; i-- {
		if b := all[i]; b.owner == name {
			document, found = document[:b.from]+text+document[b.to:], true
		}
	}
	if !found {
		return "", fmt.Errorf("no block below %s%s -->", ownerPrefix, name)
	}
	return document, nil
}

// UnownedBlocks returns the first lines of the blocks that show output and that no
// test keeps true: neither the block nor the whole document says by which test
// it is written. A block with a language shows no output.
func UnownedBlocks(document string) []string {
	if strings.Contains(document, "<!-- Written by: go test ") {
		return nil
	}
	var lines []string
	for _, b := range parseBlocks(document) {
		if b.language == "" && b.owner == "" {
			first, _, _ := strings.Cut(strings.TrimSpace(b.text), "\n")
			lines = append(lines, first)
		}
	}
	return lines
}
