// SPDX-License-Identifier: Apache-2.0

package thrift

// Copy copies a value of that type from r to w. Binary and compact both carry the types, so nothing
// else is needed between them. TJSON has one name for text and octets: a string to or from it needs
// the IDL and is refused here.
func (w *Writer) Copy(r *Reader, t Type) error {
	var err error
	switch t {
	case Struct:
		err = w.copyStruct(r)
	case List, Set:
		err = w.copyList(r)
	case Map:
		err = w.copyMap(r)
	default:
		err = w.copyPlain(r, t)
	}
	if err != nil {
		return err
	}
	return w.err
}

// CopyMessage copies a whole message with another head. Its own has been read from r.
func (w *Writer) CopyMessage(r *Reader, h Head) error {
	w.MessageBegin(h)
	if err := w.Copy(r, Struct); err != nil {
		return err
	}
	if err := r.MessageEnd(); err != nil {
		return err
	}
	w.MessageEnd()
	return w.err
}

func (w *Writer) copyStruct(r *Reader) error {
	if err := r.StructBegin(); err != nil {
		return err
	}
	w.StructBegin()
	for {
		f, err := r.Field()
		if err != nil {
			return err
		}
		if f.Type == Stop {
			w.StructEnd()
			return nil
		}
		w.Field(f.Type, f.ID)
		if err := w.Copy(r, f.Type); err != nil {
			return err
		}
	}
}

func (w *Writer) copyList(r *Reader) error {
	elem, n, err := r.ListBegin()
	if err != nil {
		return err
	}
	w.ListBegin(elem, n)
	for range n {
		if err := w.Copy(r, elem); err != nil {
			return err
		}
	}
	if err := r.ListEnd(); err != nil {
		return err
	}
	w.ListEnd()
	return nil
}

func (w *Writer) copyMap(r *Reader) error {
	key, value, n, err := r.MapBegin()
	if err != nil {
		return err
	}
	if n == 0 && r.protocol == Compact {
		key, value = Stop, Stop
	}
	w.MapBegin(key, value, n)
	for range n {
		if err := w.Copy(r, key); err != nil {
			return err
		}
		if err := w.Copy(r, value); err != nil {
			return err
		}
	}
	if err := r.MapEnd(); err != nil {
		return err
	}
	w.MapEnd()
	return nil
}

// copyPlain writes what it read even where that failed: w is of no use then.
func (w *Writer) copyPlain(r *Reader, t Type) error {
	var err error
	switch t {
	case Bool:
		var v bool
		v, err = r.Bool()
		w.Bool(v)
	case I8:
		var v int8
		v, err = r.I8()
		w.I8(v)
	case I16:
		var v int16
		v, err = r.I16()
		w.I16(v)
	case I32:
		var v int32
		v, err = r.I32()
		w.I32(v)
	case I64:
		var v int64
		v, err = r.I64()
		w.I64(v)
	case Double:
		var v float64
		v, err = r.Double()
		w.Double(v)
	case UUID:
		var v [16]byte
		v, err = r.UUID()
		w.UUID(v)
	case String:
		if (w.protocol == JSON) != (r.protocol == JSON) {
			return r.fail(NotImplemented, "a string of TJSON needs the IDL")
		}
		var v []byte
		v, err = r.Text()
		w.Text(v)
	default:
		err = r.fail(InvalidData, t.String())
	}
	return err
}
