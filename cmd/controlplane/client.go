package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"pluginsupervisor/internal/trust"
)

// client is a client of the admin API of a running server.
type client struct{ base, caFile string }

// serverFlags adds the flags that choose the server.
func serverFlags(cmd *cobra.Command, c *client) {
	cmd.Flags().StringVar(&c.base, "server", "http://"+defaultAddress, "`URL` of the running control plane")
	cmd.Flags().StringVar(&c.caFile, "ca-file", "", "PEM `file` with the certificate authorities to trust for https (default: those of the system)")
}

// callAPI sends a value, unless nil, and decodes the answer, unless receive is nil.
// A rejected request returns the server's message.
func (c client) callAPI(ctx context.Context, method, path string, send, receive any) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	var body bytes.Buffer
	if send != nil {
		if err := json.NewEncoder(&body).Encode(send); err != nil {
			return fmt.Errorf("encode request: %w", err)
		}
	}
	request, err := http.NewRequestWithContext(ctx, method, c.url(path), &body)
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	request.Header.Set("Content-Type", "application/json; charset=utf-8")
	return c.sendRequest(request, receive)
}

func (c client) url(path string) string { return strings.TrimSuffix(c.base, "/") + path }

func (c client) sendRequest(request *http.Request, receive any) error {
	transport := trust.New(http.DefaultTransport.(*http.Transport).Clone(), trust.Authorities{File: c.caFile})
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return fmt.Errorf("cannot reach the control plane at %s; is it running, or is --server different? %w", c.base, err)
	}
	defer response.Body.Close()
	if response.StatusCode/100 != 2 {
		return readError(response)
	}
	if receive == nil {
		return nil
	}
	if err := json.NewDecoder(response.Body).Decode(receive); err != nil {
		return fmt.Errorf("read the control plane's answer: %w", err)
	}
	return nil
}

func readError(response *http.Response) error {
	text, err := io.ReadAll(io.LimitReader(response.Body, 64<<10))
	if err != nil {
		return fmt.Errorf("read the control plane's answer: %w", err)
	}
	var answer struct{ Message string }
	if json.Unmarshal(text, &answer) != nil || answer.Message == "" {
		return fmt.Errorf("control plane answered %s", response.Status)
	}
	return fmt.Errorf("request rejected: %s", answer.Message)
}
