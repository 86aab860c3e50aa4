// SPDX-License-Identifier: Apache-2.0

package amqp091

import (
	"github.com/parley-ipc/parley/internal/broker"
	wire "github.com/parley-ipc/parley/internal/wire/amqp091"
)

// answer sends ok unless the client asked for none or the operation failed.
func (ch *channel) answer(err error, noWait bool, ok wire.Method) error {
	if err != nil || noWait {
		return err
	}
	ch.send(ok)
	return nil
}

func (ch *channel) exchangeDeclare(args []byte) error {
	var m wire.ExchangeDeclare
	if err := m.Decode(args); err != nil {
		return err
	}
	_, err := ch.session.DeclareExchange(broker.ExchangeParams{
		Name: m.Exchange, Type: m.Type, Durable: m.Durable, AutoDelete: m.AutoDelete,
		Internal: m.Internal, Passive: m.Passive, Arguments: tableIn(m.Arguments),
	})
	return ch.answer(err, m.NoWait, &wire.ExchangeDeclareOk{})
}

func (ch *channel) exchangeDelete(args []byte) error {
	var m wire.ExchangeDelete
	if err := m.Decode(args); err != nil {
		return err
	}
	err := ch.session.DeleteExchange(m.Exchange, m.IfUnused)
	return ch.answer(err, m.NoWait, &wire.ExchangeDeleteOk{})
}

func (ch *channel) exchangeBind(args []byte) error {
	var m wire.ExchangeBind
	if err := m.Decode(args); err != nil {
		return err
	}
	err := ch.session.Bind(broker.BindingParams{
		Source: m.Source, Destination: m.Destination, Key: m.RoutingKey,
		Arguments: tableIn(m.Arguments), ToExchange: true,
	})
	return ch.answer(err, m.NoWait, &wire.ExchangeBindOk{})
}

func (ch *channel) exchangeUnbind(args []byte) error {
	var m wire.ExchangeUnbind
	if err := m.Decode(args); err != nil {
		return err
	}
	err := ch.session.Unbind(broker.BindingParams{
		Source: m.Source, Destination: m.Destination, Key: m.RoutingKey,
		Arguments: tableIn(m.Arguments), ToExchange: true,
	})
	return ch.answer(err, m.NoWait, &wire.ExchangeUnbindOk{})
}
