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

// client speaks the admin API of a running server.
type client struct{ base, caFile string }

// serverFlags let the command choose the server it speaks to.
func serverFlags(cmd *cobra.Command, c *client) {
	cmd.Flags().StringVar(&c.base, "server", "http://"+defaultAddress, "`URL` of the running control plane")
	cmd.Flags().StringVar(&c.caFile, "ca-file", "", "PEM `file` with the authorities that are trusted for https; the system's if not given")
}

// call sends a value, if there is one, and decodes the answer, if one is
// wanted. Its error says in the server's words what it refused.
func (c client) call(ctx context.Context, method, path string, send, receive any) error {
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
	return c.do(request, receive)
}

func (c client) url(path string) string { return strings.TrimSuffix(c.base, "/") + path }

func (c client) do(request *http.Request, receive any) error {
	transport := trust.New(http.DefaultTransport.(*http.Transport).Clone(), trust.Authorities{File: c.caFile})
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return fmt.Errorf("ask the control plane: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode/100 != 2 {
		return refusal(response)
	}
	if receive == nil {
		return nil
	}
	if err := json.NewDecoder(response.Body).Decode(receive); err != nil {
		return fmt.Errorf("read the control plane's answer: %w", err)
	}
	return nil
}

func refusal(response *http.Response) error {
	text, err := io.ReadAll(io.LimitReader(response.Body, 64<<10))
	if err != nil {
		return fmt.Errorf("read the control plane's answer: %w", err)
	}
	var said struct{ Message string }
	if json.Unmarshal(text, &said) != nil || said.Message == "" {
		return fmt.Errorf("control plane answered %s", response.Status)
	}
	return fmt.Errorf("refused: %s", said.Message)
}
