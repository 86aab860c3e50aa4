// SPDX-License-Identifier: Apache-2.0

package contract

import "github.com/parley-ipc/parley/internal/wire/thrift"

// convert converts a struct from one protocol to another.
func (t *Transcoder) convert(dst []byte, s *structPlan, c Conversion, in []byte) ([]byte, error) {
	if c.From == c.To {
		return append(dst, in...), nil
	}
	t.r.Reset(c.From, in, thrift.Limits{})
	t.w.Reset(c.To, dst)
	fault := converter{
		t: t, lossless: c.From != thrift.JSON && c.To != thrift.JSON, most: len(dst) + outputBytes,
	}.structure(s)
	if fault == nil && len(t.r.Rest()) > 0 {
		fault = t.fail("octets behind the struct")
	}
	if fault == nil && t.w.Err() != nil {
		fault = broken(t.w.Err())
	}
	out := t.w.Bytes()
	t.r.Reset(thrift.Binary, nil, thrift.Limits{})
	t.w.Reset(thrift.Binary, nil)
	if fault != nil {
		return dst, fault
	}
	return out, nil
}

// converter converts values with what the IDL says of them: which strings of TJSON are base64, and the
// types of a map that is empty, which the compact protocol has lost.
type converter struct {
	t *Transcoder
	// lossless says that both protocols tell enough to copy what the IDL does not know.
	lossless bool
	most     int // what may be written, dst included
}

func (c converter) structure(s *structPlan) *ConvertError {
	r, w := &c.t.r, &c.t.w
	if err := r.StructBegin(); err != nil {
		return broken(err)
	}
	w.StructBegin()
	for {
		head, err := r.Field()
		if err != nil {
			return broken(err)
		}
		if head.Type == thrift.Stop {
			w.StructEnd()
			return nil
		}
		i := s.ids.find(head.ID)
		if i < 0 || s.fields[i].plan.wire != head.Type {
			if fault := c.foreign(head); fault != nil {
				return fault
			}
			continue
		}
		w.Field(head.Type, head.ID)
		if fault := c.value(s.fields[i].plan); fault != nil {
			return fault.under(s.fields[i].name)
		}
		if len(w.Bytes()) > c.most {
			return c.t.fail("the result has more than %d bytes", outputBytes)
		}
	}
}

// foreign converts a field that the IDL does not know, or has as another type.
func (c converter) foreign(head thrift.Field) *ConvertError {
	var err error
	if c.lossless {
		c.t.w.Field(head.Type, head.ID)
		err = c.t.w.Copy(&c.t.r, head.Type)
	} else {
		err = c.t.r.Skip(head.Type)
	}
	if err != nil {
		return broken(err)
	}
	return nil
}

func (c converter) value(p *plan) *ConvertError {
	r, w := &c.t.r, &c.t.w
	switch p.kind {
	case KindStruct:
		return c.structure(p.st)
	case KindList, KindSet:
		return c.list(p)
	case KindMap:
		return c.mapping(p)
	case KindString:
		v, err := r.Text()
		if err != nil {
			return broken(err)
		}
		w.Text(v)
	case KindBinary:
		v, err := r.Binary()
		if err != nil {
			return broken(err)
		}
		w.Binary(v)
	case KindVoid, KindBool, KindI8, KindI16, KindI32, KindI64, KindDouble, KindUUID, KindEnum, KindTypedef:
		if err := w.Copy(r, p.wire); err != nil {
			return broken(err)
		}
	}
	if err := w.Err(); err != nil {
		return broken(err)
	}
	return nil
}

func (c converter) list(p *plan) *ConvertError {
	r, w := &c.t.r, &c.t.w
	elem, n, err := r.ListBegin()
	if err != nil {
		return broken(err)
	}
	if n == 0 {
		elem = p.elem.wire
	}
	w.ListBegin(elem, n)
	for i := range n {
		if fault := c.element(p.elem, elem); fault != nil {
			return fault.at(i)
		}
	}
	if err := r.ListEnd(); err != nil {
		return broken(err)
	}
	w.ListEnd()
	return nil
}

// element converts a part of a container, whose type on the wire is got.
func (c converter) element(p *plan, got thrift.Type) *ConvertError {
	switch {
	case len(c.t.w.Bytes()) > c.most:
		return c.t.fail("the result has more than %d bytes", outputBytes)
	case p.wire == got:
		return c.value(p)
	case !c.lossless:
		return c.t.mismatch(p, got)
	}
	if err := c.t.w.Copy(&c.t.r, got); err != nil {
		return broken(err)
	}
	return nil
}

func (c converter) mapping(p *plan) *ConvertError {
	r, w := &c.t.r, &c.t.w
	key, elem, n, err := r.MapBegin()
	if err != nil {
		return broken(err)
	}
	if n == 0 {
		key, elem = p.key.wire, p.elem.wire
	}
	w.MapBegin(key, elem, n)
	for i := range n {
		if fault := c.element(p.key, key); fault != nil {
			return fault.at(i)
		}
		if fault := c.element(p.elem, elem); fault != nil {
			return fault.at(i)
		}
	}
	if err := r.MapEnd(); err != nil {
		return broken(err)
	}
	w.MapEnd()
	return nil
}
