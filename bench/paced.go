// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"time"

	"github.com/parley-ipc/parley/bench/internal/disk"
	"github.com/parley-ipc/parley/bench/internal/load"
	"github.com/parley-ipc/parley/bench/internal/stat"
)

// diskTimes is what the disk itself took in one run to make 4 KiB durable.
type diskTimes struct {
	P50      time.Duration `json:"p50NS"` // one after another
	P99      time.Duration `json:"p99NS"`
	PacedP50 time.Duration `json:"pacedP50NS"` // at the rate of the messages
	PacedP99 time.Duration `json:"pacedP99NS"`
	Syncs    uint64        `json:"syncs"`
}

// paced loads a broker at a fixed rate and probes the disk below its data in between.
func (e *engine) paced(
	ctx context.Context, p load.Params, dir string,
) (_ load.Result, _ *diskTimes, err error) {
	probe, err := disk.NewProbe(dir)
	if err != nil {
		return load.Result{}, nil, err
	}
	defer func() { err = errors.Join(err, probe.Close()) }()
	var tight, slow stat.Histogram
	res, err := load.Paced(ctx, p, load.Pace{
		BodyBytes: 1 << 10,
		PerSecond: pacedPerSecond,
		Slice:     pacedSlice,
		Idle: func() error {
			return errors.Join(
				probe.Run(probeTime, 0, &tight),
				probe.Run(probeTime, time.Second/pacedPerSecond, &slow),
			)
		},
	})
	return res, &diskTimes{
		P50: tight.Quantile(0.50), P99: tight.Quantile(0.99),
		PacedP50: slow.Quantile(0.50), PacedP99: slow.Quantile(0.99),
		Syncs: tight.Count() + slow.Count(),
	}, err
}
