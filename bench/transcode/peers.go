// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"testing/fstest"

	"github.com/cloudwego/dynamicgo/conv"
	"github.com/cloudwego/dynamicgo/conv/j2t"
	"github.com/cloudwego/dynamicgo/conv/t2j"
	dynamic "github.com/cloudwego/dynamicgo/thrift"
	"github.com/cloudwego/gopkg/bufiox"
	"github.com/cloudwego/kitex/pkg/generic"
	kitex "github.com/cloudwego/kitex/pkg/generic/thrift"

	"github.com/parley-ipc/parley/internal/contract"
	"github.com/parley-ipc/parley/internal/wire/thrift"
)

//go:embed orders.thrift
var idl string

const (
	idlName    = "orders.thrift"
	methodName = "place"
)

// peer converts the arguments of place, or its struct. Each call writes to a buffer of its own that it
// uses again, where the peer's interface lets it.
type peer struct {
	name, version string
	// toThrift converts JSON to the binary protocol, toJSON back. What they return is good until the
	// next call.
	toThrift, toJSON func(in []byte) ([]byte, error)
	// bare says that its Thrift is the struct itself, without the struct of arguments around it.
	bare bool
}

// peers returns all of them.
func peers() ([]peer, error) {
	var all []peer
	for _, make := range []func() (peer, error){parley, dynamicgo, kitexDynamic, kitexGeneric} {
		p, err := make()
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}

func parley() (peer, error) {
	fsys := fstest.MapFS{idlName: {Data: []byte(idl)}}
	program, err := contract.Load(fsys, idlName, contract.Options{})
	if err != nil {
		return peer{}, err
	}
	c, err := contract.New("orders", program, contract.Settings{})
	if err != nil {
		return peer{}, err
	}
	m := c.Operations("Orders").Method([]byte(methodName))
	var t contract.Transcoder
	var out []byte
	return peer{
		name: "parley",
		toThrift: func(in []byte) ([]byte, error) {
			var err error
			out, err = t.ArgumentsFromJSON(out[:0], m, thrift.Binary, in)
			return out, err
		},
		toJSON: func(in []byte) ([]byte, error) {
			out, err = t.ArgumentsToJSON(out[:0], m, thrift.Binary, in)
			return out, err
		},
	}, nil
}

// dynamicgo is the library alone, with what it has compiled.
func dynamicgo() (peer, error) {
	ctx := context.Background()
	service, err := dynamic.NewDescritorFromContent(ctx, idlName, idl, nil, false)
	if err != nil {
		return peer{}, err
	}
	desc := service.Functions()[methodName].Request().Struct().Fields()[0].Type()
	read, write := j2t.NewBinaryConv(conv.Options{}), t2j.NewBinaryConv(conv.Options{})
	var out []byte
	return peer{
		name:    "dynamicgo",
		version: versionOf("github.com/cloudwego/dynamicgo"),
		bare:    true,
		toThrift: func(in []byte) ([]byte, error) {
			out = out[:0]
			err := read.DoInto(ctx, desc, in, &out)
			return out, err
		},
		toJSON: func(in []byte) ([]byte, error) {
			out = out[:0]
			err := write.DoInto(ctx, desc, in, &out)
			return out, err
		},
	}, nil
}

// kitexGeneric is the codec of Kitex's generic call with JSON.
func kitexGeneric() (peer, error) {
	provider, err := generic.NewThriftContentWithAbsIncludePathProvider(
		idlName, map[string]string{idlName: idl})
	if err != nil {
		return peer{}, err
	}
	return kitexPeer("Kitex", provider, func(*kitex.JSONReaderWriter) {})
}

// kitexDynamic is the same with dynamicgo below it, an option of Kitex.
func kitexDynamic() (peer, error) {
	provider, err := generic.NewThriftContentWithAbsIncludePathProviderWithDynamicGo(
		idlName, map[string]string{idlName: idl})
	if err != nil {
		return peer{}, err
	}
	return kitexPeer("Kitex with dynamicgo", provider, func(rw *kitex.JSONReaderWriter) {
		rw.WriteJSON.SetDynamicGo(&conv.Options{}, &conv.Options{EnableThriftBase: true})
		rw.ReadJSON.SetDynamicGo(&conv.Options{}, &conv.Options{ConvertException: true})
	})
}

// kitexPeer writes as a client of Kitex does and reads as its server does: a string each.
func kitexPeer(name string, p generic.DescriptorProvider, set func(*kitex.JSONReaderWriter)) (peer, error) {
	ctx := context.Background()
	desc, ok := <-p.Provide()
	if !ok {
		return peer{}, errors.New(name + " has no descriptor")
	}
	rw := kitex.NewJsonReaderWriter(desc)
	set(rw)
	var out []byte
	return peer{
		name:    name,
		version: versionOf("github.com/cloudwego/kitex"),
		toThrift: func(in []byte) ([]byte, error) {
			out = out[:0]
			w := bufiox.NewBytesWriter(&out)
			if err := rw.Write(ctx, w, string(in), methodName, true, nil); err != nil {
				return nil, err
			}
			return out, w.Flush()
		},
		toJSON: func(in []byte) ([]byte, error) {
			text, err := rw.Read(ctx, methodName, false, len(in), bufiox.NewBytesReader(in))
			if err != nil {
				return nil, err
			}
			s, ok := text.(string)
			if !ok {
				return nil, fmt.Errorf("%s read a %T", name, text)
			}
			return []byte(s), nil
		},
	}, nil
}
