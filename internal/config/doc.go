// SPDX-License-Identifier: Apache-2.0

// Package config reads a hub's options from a YAML file and from the environment, straight into
// [hub.Options].
//
// # Basics
//
// [Load] goes default < file < environment < flags. Every fault is found in one run: an unknown key
// is one, with line, column and the nearest known name. What the options themselves refuse is
// reported at the line it came from.
//
//   - A key is the field's yaml tag, or else its name in snake case: MessageBytes is message_bytes.
//   - Times carry a unit (250ms, 10s), and so do sizes, the numbers whose name ends in _bytes
//     (64KiB, 128MiB, 1GB, 512B). Bare numbers are refused there, but for 0.
//   - The environment names a key by its path, with two underscores between levels:
//     PARLEY_DOORS__AMQP__LISTEN. A PARLEY_ name that is no key is a fault; PARLEY_CLI_ names are
//     left alone. Lists and maps cannot be set there.
//   - A secret is file:/path (the file without its last line end) or env:NAME.
//
// # Caveats
//
// Anchors, aliases, merge keys, tags and further documents are refused: a configuration says what
// it says where it says it.
package config
