// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/parley-ipc/parley"
)

const (
	portREST = "8080"
	// restAnswerTime bounds one request to the REST door.
	restAnswerTime = time.Minute
	// restAnswerBytes bounds an answer of the REST door: a contract is a MiB, escaped twice that.
	restAnswerBytes = 8 << 20
)

// restDoor is where the hub speaks HTTP; the user and the virtual host are those of --url.
type restDoor struct{ address string }

func (d *restDoor) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&d.address, "rest", "",
		"the REST door, `http://HOST:PORT`; default port 8080 of the host in --url, whose user and\n"+
			"virtual host count in any case")
}

// restQuery is a request to the REST door.
type restQuery struct {
	method string
	// path is behind /v1 or /v1/vhosts/{v}, escaped, with a query if there is one.
	path string
	body []byte // JSON; nil: none
}

// ask sends a request, and decodes the answer into what `into` points to, unless that is nil. A problem
// is a *parley.Error, with the problem as its details.
func (d *restDoor) ask(ctx context.Context, a *app, q restQuery, into any) error {
	d.address = a.beside(d.address, "http://", portREST)
	ctx, cancel := context.WithTimeout(ctx, restAnswerTime)
	defer cancel()
	r, err := d.request(ctx, a, q)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		if where, ok := errors.AsType[*url.Error](err); ok { // its text has the address twice
			err = where.Err
		}
		return &parley.Error{
			Code: parley.CodeUnreachable, Message: fmt.Sprintf("%s: %v", d.address, err),
		}
	}
	defer res.Body.Close()
	data, err := io.ReadAll(io.LimitReader(res.Body, restAnswerBytes))
	switch {
	case err != nil:
		return err
	case res.StatusCode/100 != 2:
		return restFault(res.Status, data)
	case into == nil:
		return nil
	}
	return json.Unmarshal(data, into)
}

func (d *restDoor) request(ctx context.Context, a *app, q restQuery) (*http.Request, error) {
	to, err := url.Parse(d.address)
	if err != nil || to.Host == "" {
		return nil, usagef("--rest %q is not http://HOST:PORT", d.address)
	}
	hub, err := url.Parse(a.url)
	if err != nil {
		return nil, usagef("--url is not parley://USER:PASSWORD@HOST:PORT/VHOST")
	}
	base := strings.TrimSuffix(d.address, "/") + "/v1"
	if vhost := strings.TrimPrefix(hub.EscapedPath(), "/"); vhost != "" {
		base += "/vhosts/" + vhost
	}
	r, err := http.NewRequestWithContext(ctx, q.method, base+q.path, bytes.NewReader(q.body))
	if err != nil {
		return nil, usageError{err}
	}
	if q.body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if hub.User != nil {
		password, _ := hub.User.Password()
		r.SetBasicAuth(hub.User.Username(), password)
	}
	return r, nil
}

// restFault is the problem that an answer is (RFC 9457).
func restFault(status string, data []byte) error {
	var problem struct{ Code, Detail, Title string }
	if err := json.Unmarshal(data, &problem); err != nil || problem.Code == "" {
		return &parley.Error{Code: parley.CodeInternal, Message: status}
	}
	text := problem.Detail
	if text == "" {
		text = problem.Title
	}
	return &parley.Error{Code: parley.Code(problem.Code), Message: text, Details: data}
}
