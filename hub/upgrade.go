// SPDX-License-Identifier: Apache-2.0

package hub

import (
	"net/http"

	restdoor "github.com/parley-ipc/parley/internal/door/rest"
	thriftdoor "github.com/parley-ipc/parley/internal/door/thrift"
	"github.com/parley-ipc/parley/internal/listen"
)

// upgrade takes requests for the REST door's streams over.
func upgrade(w http.ResponseWriter, r *http.Request, limit int64) (restdoor.MessageConn, error) {
	return listen.Upgrade(w, r, limit)
}

// upgradeBinary takes requests for the Thrift door's messages over.
func upgradeBinary(w http.ResponseWriter, r *http.Request, limit int64) (
	thriftdoor.MessageConn, error,
) {
	return listen.UpgradeBinary(w, r, limit)
}
