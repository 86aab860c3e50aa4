// SPDX-License-Identifier: Apache-2.0

package thrift

// Skip reads over a value of that type, with every check that reading it has. Its recursion ends at
// MaxDepth.
func (r *Reader) Skip(t Type) error {
	switch t {
	case Struct:
		return r.skipStruct()
	case List, Set:
		return r.skipList()
	case Map:
		return r.skipMap()
	default:
		return r.skipPlain(t)
	}
}

func (r *Reader) skipPlain(t Type) error {
	var err error
	switch t {
	case Bool:
		_, err = r.Bool()
	case I8:
		_, err = r.I8()
	case I16:
		_, err = r.I16()
	case I32:
		_, err = r.I32()
	case I64:
		_, err = r.I64()
	case Double:
		_, err = r.Double()
	case String:
		_, err = r.Text()
	case UUID:
		_, err = r.UUID()
	default:
		err = r.fail(InvalidData, t.String())
	}
	return err
}

func (r *Reader) skipStruct() error {
	if err := r.StructBegin(); err != nil {
		return err
	}
	for {
		f, err := r.Field()
		if err != nil || f.Type == Stop {
			return err
		}
		if err := r.Skip(f.Type); err != nil {
			return err
		}
	}
}

func (r *Reader) skipList() error {
	elem, n, err := r.ListBegin()
	if err != nil {
		return err
	}
	if err := r.skipElements(elem, n); err != nil {
		return err
	}
	return r.ListEnd()
}

func (r *Reader) skipElements(elem Type, n int) error {
	if width := r.protocol.width(elem); width > 0 {
		_, err := r.take(n * width) // claimed, so it is no more than the message has
		return err
	}
	for range n {
		if err := r.Skip(elem); err != nil {
			return err
		}
	}
	return nil
}

func (r *Reader) skipMap() error {
	key, value, n, err := r.MapBegin()
	if err != nil {
		return err
	}
	for range n {
		if err := r.Skip(key); err != nil {
			return err
		}
		if err := r.Skip(value); err != nil {
			return err
		}
	}
	return r.MapEnd()
}
