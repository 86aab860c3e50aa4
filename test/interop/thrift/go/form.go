// SPDX-License-Identifier: Apache-2.0

package main

import (
	"compress/zlib"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"

	"github.com/apache/thrift/lib/go/thrift"
)

// A form is how messages travel: a protocol in a transport.
type form struct{ protocol, transport string }

func (f form) protocols(conf *thrift.TConfiguration) (thrift.TProtocolFactory, error) {
	switch f.protocol {
	case "binary":
		return thrift.NewTBinaryProtocolFactoryConf(conf), nil
	case "compact":
		return thrift.NewTCompactProtocolFactoryConf(conf), nil
	case "json":
		return thrift.NewTJSONProtocolFactory(), nil
	case "header":
		return thrift.NewTHeaderProtocolFactoryConf(conf), nil
	case "header-compact":
		id := thrift.THeaderProtocolCompact
		conf.THeaderProtocolID = &id
		return deflating{thrift.NewTHeaderProtocolFactoryConf(conf)}, nil
	default:
		return nil, fmt.Errorf("no protocol %q", f.protocol)
	}
}

// deflating makes protocols with a header whose messages are compressed.
type deflating struct{ thrift.TProtocolFactory }

// GetProtocol implements thrift.TProtocolFactory.
func (f deflating) GetProtocol(t thrift.TTransport) thrift.TProtocol {
	p := f.TProtocolFactory.GetProtocol(t)
	if header, ok := p.(*thrift.THeaderProtocol); ok {
		if err := header.AddTransform(thrift.TransformZlib); err != nil {
			panic(err) // it knows zlib
		}
	}
	return p
}

// transports wraps what a connection carries; HTTP wraps nothing.
func (f form) transports(conf *thrift.TConfiguration) (thrift.TTransportFactory, error) {
	const size = 4096
	switch f.transport {
	case "buffered":
		return thrift.NewTBufferedTransportFactory(size), nil
	case "framed":
		return thrift.NewTFramedTransportFactoryConf(thrift.NewTTransportFactory(), conf), nil
	case "zlib":
		return thrift.NewTZlibTransportFactory(zlib.DefaultCompression), nil
	case "http":
		return thrift.NewTTransportFactory(), nil
	default:
		return nil, fmt.Errorf("no transport %q", f.transport)
	}
}

// dial opens a client's connection to o.addr.
func dial(o options, conf *thrift.TConfiguration) (thrift.TTransport, error) {
	if o.ca != "" {
		pem, err := os.ReadFile(o.ca)
		if err != nil {
			return nil, err
		}
		conf.TLSConfig = &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12}
		conf.TLSConfig.RootCAs.AppendCertsFromPEM(pem)
	}
	factory, err := o.form.transports(conf)
	if err != nil {
		return nil, err
	}
	transport, err := factory.GetTransport(plain(o, conf))
	if err != nil {
		return nil, err
	}
	return transport, transport.Open()
}

// plain returns what carries octets to o.addr.
func plain(o options, conf *thrift.TConfiguration) thrift.TTransport {
	switch {
	case o.form.transport == "http":
		scheme := "http://"
		if conf.TLSConfig != nil {
			scheme = "https://"
		}
		client := &http.Client{
			Timeout: patience, Transport: &http.Transport{TLSClientConfig: conf.TLSConfig},
		}
		// It fails for a wrong URL alone.
		t, err := thrift.NewTHttpClientWithOptions(scheme+o.addr+"/",
			thrift.THttpClientOptions{Client: client})
		if err != nil {
			panic(err)
		}
		return t
	case conf.TLSConfig != nil:
		return thrift.NewTSSLSocketConf(o.addr, conf)
	default:
		return thrift.NewTSocketConf(o.addr, conf)
	}
}
