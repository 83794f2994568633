package pkgcheck

import (
	"archive/zip"
	"context"
	"fmt"
	"io"
)

// ReadFiles calls each for every file of the package with its content. It returns the
// first error of each, or the cause of ctx. Reading content that is damaged, or more
// than declared, is an *Error.
func (p *Package) ReadFiles(ctx context.Context, each func(f *zip.File, content io.Reader) error) error {
	for _, f := range p.Files {
		if err := readContent(ctx, f, each); err != nil {
			return err
		}
	}
	return nil
}

func readContent(ctx context.Context, f *zip.File, each func(*zip.File, io.Reader) error) error {
	r, err := f.Open()
	if err != nil {
		return contentError(f, err)
	}
	defer r.Close()
	return each(f, &content{ctx: ctx, r: r, f: f})
}

// CheckContent reads every file of the package and discards the content.
func (p *Package) CheckContent(ctx context.Context) error {
	return p.ReadFiles(ctx, func(_ *zip.File, content io.Reader) error {
		_, err := io.Copy(io.Discard, content)
		return err
	})
}

// content reads one file of a package. Package zip returns an error when there is more
// than the list of entries declares, so that Limits hold for the content too.
type content struct {
	ctx context.Context // of the call of ReadFiles
	r   io.Reader
	f   *zip.File
}

func (c *content) Read(b []byte) (int, error) {
	if c.ctx.Err() != nil {
		return 0, context.Cause(c.ctx)
	}
	n, err := c.r.Read(b)
	if err != nil && err != io.EOF {
		return n, contentError(c.f, err)
	}
	return n, err
}

// contentError returns err as an *Error about a file, unless the disk failed.
func contentError(f *zip.File, err error) error {
	if isDiskError(err) {
		return fmt.Errorf("read package: %w", err)
	}
	return newError(BadEntry, "package entry %q: %w", shortenName(f.Name), err)
}
