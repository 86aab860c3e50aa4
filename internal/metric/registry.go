// SPDX-License-Identifier: Apache-2.0

package metric

import (
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
)

// MaxSeries bounds the series of one registry. A program has some hundreds; more would mean that
// a label takes its values from clients.
const MaxSeries = 10_000

// Kind says what a series is.
type Kind uint8

// The kinds of series.
const (
	KindCounter Kind = iota + 1
	KindGauge
	KindHistogram
)

// Label is a fixed name and value, such as door="stomp".
type Label struct {
	Name, Value string
}

// Desc names a series. The unit stands last in the name ("…_bytes", "…_seconds"), a counter
// ends in "_total".
type Desc struct {
	// Name is the same for all series that differ in labels only.
	Name string
	// Help says in one sentence what is counted.
	Help string
	// Labels tell the series of one name apart, in any order.
	Labels []Label
	// Scale turns values into the unit of the name: 1e-9 for nanoseconds shown as seconds.
	// 0 stands for 1.
	Scale float64
}

// Series is a named metric. Exactly one of what follows Kind is set: what has that name, or for counters
// and gauges Func.
type Series struct {
	Desc
	Kind      Kind
	Counter   *Counter
	Gauge     *Gauge
	Func      func() int64
	Histogram *Histogram
}

// Value returns what a counter or gauge stands at, scaled; for a histogram the number of
// observations.
func (s *Series) Value() float64 {
	scale := s.Scale
	if scale == 0 {
		scale = 1
	}
	switch {
	case s.Counter != nil:
		return float64(s.Counter.Value()) * scale
	case s.Gauge != nil:
		return float64(s.Gauge.Value()) * scale
	case s.Func != nil:
		return float64(s.Func()) * scale
	case s.Histogram != nil:
		return float64(s.Histogram.Snapshot().Count)
	}
	return 0
}

// Registry names metrics. All methods may be called concurrently. The methods that return a
// metric return the same one for the same kind, name and labels, and always a usable one: above
// MaxSeries it is simply not listed. A nil Registry lists nothing.
type Registry struct {
	mu         sync.Mutex
	series     map[string]*Series
	collectors []func(list func(Series))
	dropped    Counter
}

// NewRegistry returns an empty registry.
func NewRegistry() *Registry {
	return &Registry{series: make(map[string]*Series)}
}

// Counter returns the counter of that description.
func (r *Registry) Counter(desc Desc) *Counter {
	return r.add(Series{Desc: desc, Kind: KindCounter, Counter: new(Counter)}).Counter
}

// Gauge returns the gauge of that description.
func (r *Registry) Gauge(desc Desc) *Gauge {
	return r.add(Series{Desc: desc, Kind: KindGauge, Gauge: new(Gauge)}).Gauge
}

// GaugeFunc lists a gauge that is asked for its value when the registry is walked. A second one
// of the same description takes the place of the first. The function is called without a lock.
func (r *Registry) GaugeFunc(desc Desc, value func() int64) {
	series := Series{Desc: desc, Kind: KindGauge, Func: value}
	if r == nil {
		return
	}
	series.sortLabels()
	key := series.key() + "\x00func"
	r.mu.Lock()
	delete(r.series, key)
	r.mu.Unlock()
	r.addAs(key, series)
}

// Collect has fn list series each time the registry is walked: those of what comes and goes. They are
// made for that walk, and are of the names that no other has. fn is called without a lock.
func (r *Registry) Collect(fn func(list func(Series))) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.collectors = append(r.collectors, fn)
}

// Histogram returns the histogram of that description; the bounds count for the first caller.
func (r *Registry) Histogram(desc Desc, bounds ...int64) *Histogram {
	return r.add(Series{
		Desc: desc, Kind: KindHistogram, Histogram: NewHistogram(bounds...),
	}).Histogram
}

// Dropped returns how many series were asked for above MaxSeries.
func (r *Registry) Dropped() uint64 { return r.dropped.Value() }

func (r *Registry) add(series Series) *Series {
	if r == nil {
		return &series
	}
	series.sortLabels()
	return r.addAs(series.key(), series)
}

func (r *Registry) addAs(key string, series Series) *Series {
	r.mu.Lock()
	defer r.mu.Unlock()
	if old, ok := r.series[key]; ok {
		return old
	}
	if len(r.series) >= MaxSeries {
		r.dropped.Inc()
		return &series
	}
	r.series[key] = &series
	return &series
}

func (s *Series) sortLabels() {
	s.Labels = slices.Clone(s.Labels)
	slices.SortFunc(s.Labels, func(a, b Label) int { return strings.Compare(a.Name, b.Name) })
}

// key is unique for kind, name and labels. Labels are sorted.
func (s *Series) key() string {
	var key strings.Builder
	key.WriteString(s.Name)
	key.WriteByte(byte(s.Kind))
	for _, label := range s.Labels {
		key.WriteString("\x00" + label.Name + "\x00" + label.Value)
	}
	return key.String()
}

// All walks the series, sorted by name and then labels. It works on the list as it was when the
// walk began, so the loop may add series.
func (r *Registry) All() iter.Seq[*Series] {
	return func(yield func(*Series) bool) {
		if r == nil {
			return
		}
		list := r.list()
		for _, key := range slices.Sorted(maps.Keys(list)) {
			if !yield(list[key]) {
				return
			}
		}
	}
}

// list returns the series that there are now, by their keys.
func (r *Registry) list() map[string]*Series {
	r.mu.Lock()
	list, collectors := maps.Clone(r.series), slices.Clone(r.collectors)
	r.mu.Unlock()
	for _, collect := range collectors {
		collect(func(s Series) {
			if len(list) >= MaxSeries {
				r.dropped.Inc()
				return
			}
			s.sortLabels()
			list[s.key()] = &s
		})
	}
	return list
}
