// SPDX-License-Identifier: Apache-2.0

package amqp091

import wire "github.com/parley-ipc/parley/internal/wire/amqp091"

// confirmSelect answers confirm.select; the next publish on the channel is number 1.
func (ch *channel) confirmSelect(args []byte) error {
	var m wire.ConfirmSelect
	if err := m.Decode(args); err != nil {
		return err
	}
	switch ch.mode {
	case modeTx:
		return faultf(wire.PreconditionFailed, wire.IDConfirmSelect,
			"cannot switch from tx to confirm mode")
	case modePlain:
		ch.mode = modeConfirm
		ch.session.EnableConfirms()
	case modeConfirm:
	}
	return ch.answer(nil, m.NoWait, &wire.ConfirmSelectOk{})
}
