// Package links checks that the documents name files that exist: each relative
// link, and each path in backquotes that looks like a file of the repository.
// Its test runs it over all Markdown files.
package links

import (
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strings"
)

var (
	// link is [text](target), without a scheme.
	link = regexp.MustCompile(`\]\(([^)\s#:]+)(?:#[^)]*)?\)`)
	// file is `folder/file.ext`: a path in backquotes with a folder.
	file = regexp.MustCompile("`((?:cmd|actors|internal|messages|plugin|pluginkit|docs|examples|\\.ci|\\.githooks)/[A-Za-z0-9_./-]+)`")
)

// Check returns, for each document, the files it names and that do not exist.
func Check(root fs.FS, documents []string) ([]string, error) {
	var faults []string
	for _, document := range documents {
		text, err := fs.ReadFile(root, document)
		if err != nil {
			return nil, fmt.Errorf("read document: %w", err)
		}
		for _, m := range link.FindAllSubmatch(text, -1) {
			target := path.Join(path.Dir(document), string(m[1]))
			if !pathExists(root, target) {
				faults = append(faults, fmt.Sprintf("%s links to %s, which does not exist", document, m[1]))
			}
		}
		for _, m := range file.FindAllSubmatch(text, -1) {
			target := strings.TrimSuffix(string(m[1]), "/")
			if !pathExists(root, target) && !pathExists(root, path.Join(path.Dir(document), target)) {
				faults = append(faults, fmt.Sprintf("%s names %s, which does not exist", document, target))
			}
		}
	}
	return faults, nil
}

func pathExists(root fs.FS, name string) bool {
	if strings.HasPrefix(name, "../") {
		return false
	}
	_, err := fs.Stat(root, name)
	return err == nil
}
