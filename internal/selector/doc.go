// SPDX-License-Identifier: Apache-2.0

// Package selector reads and evaluates message selectors: conditions on a message's headers in the
// part of SQL-92 that JMS 1.1 §3.8.1 defines, as STOMP clients of ActiveMQ send them.
//
//	color = 'red' AND (weight BETWEEN 2 AND 5 OR note IS NULL)
//
// Basics: [Parse] makes a [Selector], which is immutable and safe for concurrent use. A name is an
// identifier or, in double quotes, anything. Conditions are true, false or unknown; a message
// matches when its condition is true. A header that is not there is NULL, and whatever is compared
// with it is unknown; so is a comparison of a text with a number, unless the selector begins with
// convert_string_expressions: (ActiveMQ), which reads texts as numbers there.
//
// Caveats: a selector is at most [MaxBytes] long and [MaxDepth] deep, so that a match takes a time
// that is linear in the length of the selector and of the texts that it looks at. There are no
// functions and no regular expressions: LIKE knows % and _ only.
package selector
