// SPDX-License-Identifier: Apache-2.0

package stomp

import (
	"bytes"
	"unicode/utf8"

	"github.com/parley-ipc/parley/internal/broker"
	wire "github.com/parley-ipc/parley/internal/wire/stomp"
)

// nameBytesMax bounds names of exchanges and queues and routing keys: AMQP's short strings.
const nameBytesMax = 255

// destinationKind is the first part of a destination.
type destinationKind uint8

const (
	kindQueue    destinationKind = iota + 1 // /queue/N or bare N: declared, default exchange
	kindAMQQueue                            // /amq/queue/N: must exist, default exchange
	kindTopic                               // /topic/K: the topic exchange
	kindExchange                            // /exchange/X or /exchange/X/K
	kindTemp                                // /temp-queue/T: only as reply-to of SEND
	kindReply                               // /reply-queue/N: default exchange, N may hold slashes
)

// String returns the word that the ERROR texts use.
func (k destinationKind) String() string {
	switch k {
	case kindQueue:
		return "queue"
	case kindAMQQueue:
		return "amqqueue"
	case kindTopic:
		return "topic"
	case kindExchange:
		return "exchange"
	case kindTemp:
		return "temp_queue"
	case kindReply:
		return "reply_queue"
	}
	return ""
}

// Prefixes of destinations; what follows each is a name.
const (
	prefixQueue    = "/queue/"
	prefixAMQQueue = "/amq/queue/"
	prefixTopic    = "/topic/"
	prefixExchange = "/exchange/"
	prefixTemp     = "/temp-queue/"
	prefixReply    = "/reply-queue/"
)

// destination is a parsed destination. Its slices are borrowed from the header, or from scratch
// when %2F was decoded.
type destination struct {
	kind destinationKind
	// exchange is empty but for /exchange; /topic gets its exchange from the options.
	exchange []byte
	// key is the queue's name, or the routing key.
	key []byte
}

// parseDestination reads a destination (RabbitMQ's STOMP mapping). A slash inside a name is %2F,
// the only escape there is.
func parseDestination(text []byte) (destination, *fault) {
	if len(text) == 0 {
		return destination{}, newFault("Invalid destination", "Destination cannot be blank")
	}
	d := destination{kind: kindQueue, key: text}
	if bytes.IndexByte(text, '/') >= 0 {
		var rest []byte
		d.kind, rest = splitKind(text)
		if d.kind == 0 {
			return destination{}, unknownDestination(text)
		}
		exchange, key, ok := splitNames(d.kind, rest)
		if !ok {
			return destination{}, invalidDestination(d.kind, rest)
		}
		d.exchange, d.key = exchange, key
	}
	d.exchange, d.key = decodeSlash(d.exchange), decodeSlash(d.key)
	if len(d.exchange) > nameBytesMax || len(d.key) > nameBytesMax || !utf8.Valid(text) {
		return destination{}, invalidDestination(d.kind, text[:min(len(text), nameBytesMax)])
	}
	return d, nil
}

// splitKind takes the first part off; rest begins with its slash, or is empty.
func splitKind(text []byte) (kind destinationKind, rest []byte) {
	for _, k := range [...]struct {
		prefix string
		kind   destinationKind
	}{
		{prefixQueue, kindQueue},
		{prefixTopic, kindTopic},
		{prefixExchange, kindExchange},
		{prefixReply, kindReply},
		{prefixAMQQueue, kindAMQQueue},
		{prefixTemp, kindTemp},
	} {
		word := k.prefix[:len(k.prefix)-1]
		if len(text) >= len(word) && string(text[:len(word)]) == word &&
			(len(text) == len(word) || text[len(word)] == '/') {
			return k.kind, text[len(word):]
		}
	}
	return 0, nil
}

// splitNames takes "/name", or for an exchange "/name" or "/name/key", apart.
func splitNames(kind destinationKind, rest []byte) (exchange, key []byte, ok bool) {
	if len(rest) < len("/n") {
		return nil, nil, false
	}
	name := rest[1:]
	slash := bytes.IndexByte(name, '/')
	switch {
	case kind == kindReply:
		return nil, name, true
	case kind == kindExchange && slash < 0:
		return name, nil, true
	case kind == kindExchange:
		exchange, key = name[:slash], name[slash+1:]
		return exchange, key, len(exchange) > 0 && len(key) > 0 && bytes.IndexByte(key, '/') < 0
	}
	return nil, name, slash < 0
}

// decodeSlash undoes %2F.
func decodeSlash(name []byte) []byte {
	if bytes.IndexByte(name, '%') < 0 {
		return name
	}
	name = bytes.ReplaceAll(name, []byte("%2F"), []byte("/"))
	return bytes.ReplaceAll(name, []byte("%2f"), []byte("/"))
}

// appendName appends a name as part of a destination, in the version's escapes: /, % and octets
// outside printable ASCII as %XX.
func appendName[T ~string | ~[]byte](b []byte, v wire.Version, name T) []byte {
	const hex = "0123456789ABCDEF"
	for i := range len(name) {
		switch c := name[i]; {
		case c == '/' || c == '%' || c < ' ' || c > 127:
			b = append(b, '%', hex[c>>4], hex[c&15])
		case c == ':' && v >= wire.V11:
			b = append(b, '\\', 'c')
		case c == '\\' && v >= wire.V11:
			b = append(b, '\\', '\\')
		default:
			b = append(b, c)
		}
	}
	return b
}

// appendDestination appends the header destination of a MESSAGE, rebuilt from where the message was
// published. topic is the exchange of /topic.
func appendDestination(b []byte, v wire.Version, topic []byte, m *broker.Message) []byte {
	exchange, key := m.Exchange, m.Key
	b = append(b, "destination:"...)
	switch {
	case len(exchange) == 0:
		b = append(b, prefixQueue...)
	case string(exchange) == string(topic):
		b = append(b, prefixTopic...)
	default:
		b = append(b, prefixExchange...)
		b = appendName(b, v, exchange)
		if len(key) > 0 {
			b = append(b, '/')
		}
	}
	b = appendName(b, v, key)
	return append(b, '\n')
}

// replyAddress returns the address that other protocols answer to: for /queue, /amq/queue and
// /reply-queue the name (default exchange, that key), else the text as it stands.
func replyAddress(text []byte) []byte {
	kind, rest := splitKind(text)
	if kind == kindQueue || kind == kindAMQQueue || kind == kindReply {
		if _, name, ok := splitNames(kind, rest); ok {
			return decodeSlash(name)
		}
	}
	return text
}

// isDestination says whether a reply address is a STOMP destination already.
func isDestination(text []byte) bool {
	kind, _ := splitKind(text)
	return kind != 0
}
