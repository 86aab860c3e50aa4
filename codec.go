// SPDX-License-Identifier: Apache-2.0

package parley

import (
	"encoding/json"
	"fmt"
)

// Codec turns values into bodies and back. It must be safe for concurrent use.
type Codec interface {
	// ContentType is the MIME type of what Encode returns.
	ContentType() string
	Encode(v any) ([]byte, error)
	// Decode sets what v points to. body must not be kept.
	Decode(body []byte, v any) error
}

// JSON returns the default codec.
func JSON() Codec { return jsonCodec{} }

type jsonCodec struct{}

func (jsonCodec) ContentType() string { return "application/json" }

func (jsonCodec) Encode(v any) ([]byte, error) { return json.Marshal(v) }

// Decode takes an empty body as the zero value: a caller that has nothing to say sends none.
func (jsonCodec) Decode(body []byte, v any) error {
	if len(body) == 0 {
		return nil
	}
	return json.Unmarshal(body, v)
}

// encode returns body and content type of a value; bytes and text are nobody's to convert.
func encode(c Codec, v any) (body []byte, contentType string, err error) {
	switch v := v.(type) {
	case []byte:
		return v, "application/octet-stream", nil
	case string:
		return []byte(v), "text/plain; charset=utf-8", nil
	}
	if c == nil {
		c = jsonCodec{}
	}
	body, err = c.Encode(v)
	if err != nil {
		return nil, "", &Error{Code: CodeBadRequest, Message: "encode: " + err.Error(), cause: err}
	}
	return body, c.ContentType(), nil
}

// decode is the reverse of encode. []byte values keep body, which the caller gives up.
func decode[T any](c Codec, body []byte) (v T, err error) {
	switch p := any(&v).(type) {
	case *[]byte:
		*p = body
		return v, nil
	case *string:
		*p = string(body)
		return v, nil
	}
	if c == nil {
		c = jsonCodec{}
	}
	if err := c.Decode(body, &v); err != nil {
		return v, fmt.Errorf("decode %T: %w", v, err)
	}
	return v, nil
}
