package main

import (
	"archive/zip"
	"fmt"
	"os"

	"github.com/rogpeppe/go-internal/testscript"
)

// packPlugin makes a package: pack FILE NAME VERSION TEXT
func packPlugin(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 4 {
		ts.Fatalf("usage: pack FILE NAME VERSION TEXT")
	}
	f, err := os.Create(ts.MkAbs(args[0]))
	ts.Check(err)
	defer f.Close()
	w := zip.NewWriter(f)
	for name, text := range map[string]string{
		"config.json": fmt.Sprintf(`{"name":%q,"version":%q,"osType":"linux","arch":"all","runPath":"run"}`, args[1], args[2]),
		"run":         args[3],
	} {
		h := &zip.FileHeader{Name: name}
		h.SetMode(0o755)
		part, err := w.CreateHeader(h)
		ts.Check(err)
		_, err = part.Write([]byte(text))
		ts.Check(err)
	}
	ts.Check(w.Close())
}
