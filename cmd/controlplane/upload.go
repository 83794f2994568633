package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
)

// uploadPackage sends a package, and its manifest unless "", in the same form as
// the page. It streams the package from the disk, without a timeout.
func (c client) uploadPackage(ctx context.Context, file, manifest string, replace bool, receive any) error {
	f, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("open package: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("open package: %w", err)
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("open package: %s is not a file", file)
	}
	var signed []byte
	if manifest != "" {
		if signed, err = os.ReadFile(manifest); err != nil {
			return fmt.Errorf("read manifest: %w", err)
		}
	}
	// The form is made without the package, which is then sent between its halves.
	var form bytes.Buffer
	w := multipart.NewWriter(&form)
	before, err := writeForm(w, &form, filepath.Base(file), string(signed), replace)
	if err != nil {
		return fmt.Errorf("make form: %w", err)
	}
	head, tail := form.Bytes()[:before], form.Bytes()[before:]
	body := io.MultiReader(bytes.NewReader(head), io.LimitReader(f, info.Size()), bytes.NewReader(tail))
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url("/api/packages"), body)
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	request.ContentLength = int64(form.Len()) + info.Size()
	request.Header.Set("Content-Type", w.FormDataContentType())
	request.Header.Set("Expect", "100-continue") // so that a rejection comes before the whole body is sent
	return c.sendRequest(request, receive)
}

// writeForm writes the form and returns the offset of the package in it.
func writeForm(w *multipart.Writer, form *bytes.Buffer, file, manifest string, replace bool) (before int, err error) {
	if replace {
		if err := w.WriteField("replace", "true"); err != nil {
			return 0, err
		}
	}
	if manifest != "" {
		if err := w.WriteField("manifest", manifest); err != nil {
			return 0, err
		}
	}
	if _, err := w.CreateFormFile("package", file); err != nil {
		return 0, err
	}
	before = form.Len()
	return before, w.Close()
}
