package broker

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"gokafka/handlers"
)

// metrics are what the broker tells Prometheus, under Kafka's names in the form of the JMX exporter.
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
	m.gauges(b)
	return m
}

// gauges are read when Prometheus asks.
func (m *metrics) gauges(b *Broker) {
	gauge := func(name, help string, f func() float64) {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, f))
	}
	gauge("kafka_server_replicamanager_partitioncount", "Partitions of this broker.", func() float64 { return float64(b.replicas.Counts().Partitions) })
	gauge("kafka_server_replicamanager_leadercount", "Partitions that this broker leads.", func() float64 { return float64(b.replicas.Counts().Leaders) })
	gauge("kafka_server_replicamanager_underreplicatedpartitions", "Led partitions whose ISR is smaller than their replicas.", func() float64 { return float64(b.replicas.Counts().UnderReplicated) })
	gauge("kafka_server_replicamanager_underminisrpartitioncount", "Led partitions whose ISR is smaller than min.insync.replicas.", func() float64 { return float64(b.replicas.Counts().UnderMinISR) })
	gauge("kafka_server_replicamanager_offlinereplicacount", "Replicas in failed log directories.", func() float64 { return float64(b.replicas.Counts().Offline) })
	gauge("kafka_server_fetchsessioncache_numincrementalfetchsessions", "Open fetch sessions.", func() float64 { return float64(b.fetches.Sessions()) })
	gauge("kafka_server_socketservermetrics_connection_count", "Open connections.", func() float64 { return float64(b.server.Connections()) })
	gauge("kafka_controller_kafkacontroller_activecontrollercount", "1 while this broker is the controller.", func() float64 { return float64(b.controller.Metrics().ActiveControllerCount) })
	gauge("kafka_controller_kafkacontroller_offlinepartitionscount", "Partitions without a leader, on the controller.", func() float64 { return float64(b.controller.Metrics().OfflinePartitionsCount) })
	gauge("kafka_controller_kafkacontroller_preferredreplicaimbalancecount", "Partitions not led by their preferred replica, on the controller.", func() float64 { return float64(b.controller.Metrics().PreferredReplicaImbalanceCount) })
	gauge("kafka_controller_kafkacontroller_globaltopiccount", "Topics of the cluster, on the controller.", func() float64 { return float64(b.controller.Metrics().GlobalTopicCount) })
	gauge("kafka_controller_kafkacontroller_globalpartitioncount", "Partitions of the cluster, on the controller.", func() float64 { return float64(b.controller.Metrics().GlobalPartitionCount) })
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
