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
	var fault *ConvertError
	if c.From == thrift.JSON || c.To == thrift.JSON {
		fault = converter{t}.structure(s)
	} else if err := t.w.Copy(&t.r, thrift.Struct); err != nil {
		fault = broken(err)
	}
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

// converter converts to or from TJSON: there a string of octets is base64, which only the IDL knows.
type converter struct{ t *Transcoder }

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
			if err := r.Skip(head.Type); err != nil {
				return broken(err)
			}
			continue
		}
		w.Field(head.Type, head.ID)
		if fault := c.value(s.fields[i].plan); fault != nil {
			return fault.under(s.fields[i].name)
		}
	}
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
	if n > 0 && elem != p.elem.wire {
		return c.t.mismatch(p.elem, elem)
	}
	w.ListBegin(p.elem.wire, n)
	for i := range n {
		if fault := c.value(p.elem); fault != nil {
			return fault.at(i)
		}
	}
	if err := r.ListEnd(); err != nil {
		return broken(err)
	}
	w.ListEnd()
	return nil
}

func (c converter) mapping(p *plan) *ConvertError {
	r, w := &c.t.r, &c.t.w
	n, fault := c.t.mapBegin(p)
	if fault != nil {
		return fault
	}
	w.MapBegin(p.key.wire, p.elem.wire, n)
	for i := range n {
		if fault := c.value(p.key); fault != nil {
			return fault.at(i)
		}
		if fault := c.value(p.elem); fault != nil {
			return fault.at(i)
		}
	}
	if err := r.MapEnd(); err != nil {
		return broken(err)
	}
	w.MapEnd()
	return nil
}
