// SPDX-License-Identifier: Apache-2.0

package metric

import (
	"math"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"
	"unsafe"
)

func TestCounterSumsItsCells(t *testing.T) {
	t.Parallel()
	var counter Counter
	var adders sync.WaitGroup
	for owner := range uint64(20) {
		adders.Go(func() {
			cell := counter.Cell(owner)
			for range 1000 {
				cell.Inc()
			}
			cell.Add(owner)
		})
	}
	adders.Wait()
	counter.Inc()
	counter.Add(9)
	if got, want := counter.Value(), uint64(20*1000+190+10); got != want {
		t.Errorf("value = %d, want %d", got, want)
	}
	if a, b := counter.Cell(1), counter.Cell(2); a == b {
		t.Error("neighbouring owners share a cell")
	}
	if size := unsafe.Sizeof(Cell{}); size != cacheLineBytes {
		t.Errorf("a cell has %d bytes, want %d", size, cacheLineBytes)
	}
}

func TestGauge(t *testing.T) {
	t.Parallel()
	var gauge Gauge
	gauge.Set(5)
	gauge.Add(-7)
	if gauge.Value() != -2 {
		t.Errorf("value = %d, want -2", gauge.Value())
	}
}

func TestHistogramBuckets(t *testing.T) {
	t.Parallel()
	h := NewHistogram(100, 10, 10, 1000)
	for _, value := range []int64{-1, 0, 10, 11, 100, 101, 1000, 1001, math.MaxInt32} {
		h.Observe(value)
	}
	got := h.Snapshot()
	if !slices.Equal(got.Bounds, []int64{10, 100, 1000}) {
		t.Errorf("bounds = %v", got.Bounds)
	}
	if !slices.Equal(got.Counts, []uint64{3, 2, 2, 2}) || got.Count != 9 {
		t.Errorf("counts = %v, count = %d", got.Counts, got.Count)
	}
	if want := int64(-1 + 10 + 11 + 100 + 101 + 1000 + 1001 + math.MaxInt32); got.Sum != want {
		t.Errorf("sum = %d, want %d", got.Sum, want)
	}
}

func TestQuantile(t *testing.T) {
	t.Parallel()
	h := NewHistogram(10, 20, 40)
	if got := h.Snapshot().Quantile(0.5); got != 0 {
		t.Errorf("quantile of nothing = %v, want 0", got)
	}
	for value := range int64(40) {
		h.Observe(value + 1)
	}
	testCases := []struct{ q, want float64 }{
		{0, 0}, {0.125, 5}, {0.25, 10}, {0.5, 20}, {0.75, 30}, {1, 40}, {7, 40}, {-1, 0},
	}
	for _, tc := range testCases {
		if got := h.Snapshot().Quantile(tc.q); math.Abs(got-tc.want) > 1e-9 {
			t.Errorf("quantile(%v) = %v, want %v", tc.q, got, tc.want)
		}
	}
	h.Observe(1 << 40)
	if got := h.Snapshot().Quantile(1); got != 40 {
		t.Errorf("quantile above the last bound = %v, want the bound 40", got)
	}
}

func TestDurationBounds(t *testing.T) {
	t.Parallel()
	bounds := DurationBounds()
	if bounds[0] != int64(time.Microsecond) || bounds[len(bounds)-1] < int64(time.Minute) {
		t.Errorf("bounds from %v to %v", bounds[0], bounds[len(bounds)-1])
	}
	h := NewHistogram(bounds...)
	h.ObserveDuration(3 * time.Microsecond)
	if got := h.Snapshot().Counts[2]; got != 1 {
		t.Errorf("3 µs are not in the bucket up to 4 µs: %v", h.Snapshot().Counts)
	}
}

func TestRegistryReturnsTheSame(t *testing.T) {
	t.Parallel()
	r := NewRegistry()
	desc := func(labels ...Label) Desc { return Desc{Name: "parley_x_total", Labels: labels} }
	a := r.Counter(desc(Label{"door", "stomp"}, Label{"vhost", "/"}))
	b := r.Counter(desc(Label{"vhost", "/"}, Label{"door", "stomp"}))
	c := r.Counter(desc(Label{"door", "amqp"}))
	if a != b || a == c {
		t.Error("series are not told apart by their labels")
	}
	if r.Gauge(desc()) == nil || r.Histogram(desc(), 1) == nil {
		t.Error("another kind of the same name is not usable")
	}
	a.Add(3)
	c.Inc()
	r.GaugeFunc(Desc{Name: "parley_a"}, func() int64 { return 1 })
	r.GaugeFunc(Desc{Name: "parley_a", Scale: 0.5}, func() int64 { return 8 })
	r.Histogram(Desc{Name: "parley_z_seconds", Scale: 1e-9}, 1).Observe(5)
	var names []string
	values := map[string]float64{}
	for series := range r.All() {
		name := series.Name + strconv.Itoa(int(series.Kind))
		for _, label := range series.Labels {
			name += "," + label.Value
		}
		names = append(names, name)
		values[name] = series.Value()
	}
	want := []string{
		"parley_a2", "parley_x_total1,amqp", "parley_x_total1,stomp,/", "parley_x_total2",
		"parley_x_total3", "parley_z_seconds3",
	}
	if !slices.Equal(names, want) {
		t.Errorf("walked %q, want %q", names, want)
	}
	if values["parley_a2"] != 4 || values["parley_x_total1,stomp,/"] != 3 ||
		values["parley_z_seconds3"] != 1 {
		t.Errorf("values = %v", values)
	}
}

// L10: what clients choose cannot make the list grow without bound.
func TestSecL10RegistryIsBounded(t *testing.T) {
	t.Parallel()
	r := NewRegistry()
	for i := range MaxSeries + 10 {
		r.Counter(Desc{Name: "n", Labels: []Label{{"i", strconv.Itoa(i)}}}).Inc()
	}
	listed := 0
	for series := range r.All() {
		if series.Value() != 1 {
			t.Fatalf("%v = %v", series.Labels, series.Value())
		}
		listed++
	}
	if listed != MaxSeries || r.Dropped() != 10 {
		t.Errorf("listed, dropped = %d, %d, want %d, 10", listed, r.Dropped(), MaxSeries)
	}
}

func TestNilRegistryCounts(t *testing.T) {
	t.Parallel()
	var r *Registry
	counter := r.Counter(Desc{Name: "n"})
	counter.Inc()
	r.GaugeFunc(Desc{Name: "g"}, func() int64 { return 0 })
	for range r.All() {
		t.Error("a nil registry lists something")
	}
	if counter.Value() != 1 {
		t.Error("a counter of a nil registry does not count")
	}
}

func TestNoAllocation(t *testing.T) {
	var counter Counter
	cell := counter.Cell(3)
	h := NewHistogram(DurationBounds()...)
	if got := testing.AllocsPerRun(100, func() { cell.Inc(); h.Observe(12345) }); got != 0 {
		t.Errorf("%v allocations, want 0", got)
	}
}

func BenchmarkCell(b *testing.B) {
	var counter Counter
	var owner uint64
	var mu sync.Mutex
	b.RunParallel(func(pb *testing.PB) {
		mu.Lock()
		owner++
		cell := counter.Cell(owner)
		mu.Unlock()
		for pb.Next() {
			cell.Inc()
		}
	})
}

func BenchmarkHistogram(b *testing.B) {
	h := NewHistogram(DurationBounds()...)
	var value int64
	for b.Loop() {
		value += 997
		h.Observe(value & (1<<30 - 1))
	}
}

// TestRegistryCollect: what comes and goes is listed among the rest, as it is at each walk.
func TestRegistryCollect(t *testing.T) {
	t.Parallel()
	r := NewRegistry()
	r.Counter(Desc{Name: "b_total"}).Add(7)
	names := []string{"z", "a"}
	r.Collect(func(list func(Series)) {
		for i, name := range names {
			list(Series{
				Desc: Desc{Name: "c", Labels: []Label{{"of", name}}}, Kind: KindGauge,
				Func: func() int64 { return int64(i) },
			})
		}
	})
	walk := func() (out []string) {
		for s := range r.All() {
			text := s.Name
			for _, l := range s.Labels {
				text += " " + l.Value
			}
			out = append(out, text)
		}
		return out
	}
	if got := walk(); !slices.Equal(got, []string{"b_total", "c a", "c z"}) {
		t.Errorf("listed %q", got)
	}
	names = names[:1]
	if got := walk(); !slices.Equal(got, []string{"b_total", "c z"}) {
		t.Errorf("then %q", got)
	}
	names = make([]string, MaxSeries)
	for i := range names {
		names[i] = strconv.Itoa(i)
	}
	if got := walk(); len(got) != MaxSeries || r.Dropped() != 1 {
		t.Errorf("%d series, %d dropped", len(got), r.Dropped())
	}
	(*Registry)(nil).Collect(nil)
}
