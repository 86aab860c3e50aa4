// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package http

import "net"

// quiet cannot tell here.
func quiet(net.Conn) bool { return true }
