package broker

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"gokafka/handlers"
)

// metrics are what the broker tells Prometheus, under Kafka's names in the form of the JMX exporter. docs/metrics.md lists them.
type metrics struct {
	registry *prometheus.Registry
	requests [128]prometheus.Counter
	errors   [128]prometheus.Counter
	times    [128]prometheus.Observer
}

func newMetrics(b *Broker) *metrics {
	m := &metrics{registry: prometheus.NewRegistry()}
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "kafka_network_requestmetrics_requests_total", Help: "Requests answered."}, []string{"request"})
	failed := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "kafka_network_requestmetrics_errors_total", Help: "Requests that closed their connection."}, []string{"request"})
	times := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "kafka_network_requestmetrics_totaltime_seconds", Help: "Time from a request's arrival to its answer.", Buckets: prometheus.ExponentialBuckets(0.0001, 4, 10),
	}, []string{"request"})
	m.registry.MustRegister(requests, failed, times)
	for _, row := range handlers.Table() {
		name := row.Key.Name()
		k := row.Key.Int16()
		m.requests[k], m.errors[k], m.times[k] = requests.WithLabelValues(name), failed.WithLabelValues(name), times.WithLabelValues(name)
	}
	m.registry.MustRegister(newReadings(b))
	return m
}

// observe counts an answered request.
func (m *metrics) observe(key int16, took time.Duration, failed bool) {
	if key < 0 || int(key) >= len(m.requests) || m.requests[key] == nil {
		return
	}
	m.requests[key].Inc()
	m.times[key].Observe(took.Seconds())
	if failed {
		m.errors[key].Inc()
	}
}
