package broker

import (
	"context"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"gokafka/controller"
	"gokafka/lag"
	"gokafka/replication"
)

// readings are the metrics that are read when Prometheus asks, all from one snapshot: the walk over the
// partitions is made once for each scrape.
type readings struct {
	b      *Broker
	list   []reading
	timers [controller.StateCount]*prometheus.Desc // nil: the state has none

	queueSize, dirOffline, logSize, logStart, logEnd, groupLag *prometheus.Desc
	lag                                                        *lag.Reader
}

// reading is one number without labels, or with constant ones.
type reading struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	of   func(*snapshot) float64
}

// snapshot is what one scrape sees.
type snapshot struct {
	b *Broker
	r replication.Counts
	c controller.Metrics
	// dirs are the log directories; true = failed.
	dirs map[string]bool
}

func (b *Broker) snapshot() *snapshot {
	s := &snapshot{b: b, r: b.replicas.Counts(), c: b.controller.Metrics(), dirs: map[string]bool{}}
	for _, d := range b.logs.Dirs() {
		s.dirs[strings.ToValidUTF8(d.Path, "\uFFFD")] = d.Err != nil // a label must be text
	}
	return s
}

func (s *snapshot) offlineDirs() (n float64) {
	for _, failed := range s.dirs {
		if failed {
			n++
		}
	}
	return n
}

func newReadings(b *Broker) *readings {
	rs := &readings{b: b}
	rs.server()
	rs.replicaManager()
	rs.kafkaController()
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, nil)
	}
	for s := range rs.timers {
		if name := controller.State(s).TimerName(); name != "" {
			rs.timers[s] = desc("kafka_controller_controllerstats_"+strings.ToLower(name), "Events of the controller of this kind, and the milliseconds that they took.")
		}
	}
	rs.queueSize = desc("kafka_controller_controllerchannelmanager_queuesize", "Requests of the controller that a broker has not answered.", "broker_id")
	rs.dirOffline = desc("kafka_log_logmanager_logdirectoryoffline", "1 if the log directory has failed.", "logDirectory")
	rs.logSize = desc("kafka_log_log_size", "Bytes in the segments of a partition.", "topic", "partition")
	rs.logStart = desc("kafka_log_log_logstartoffset", "First offset of a partition.", "topic", "partition")
	rs.logEnd = desc("kafka_log_log_logendoffset", "Offset of the next record of a partition.", "topic", "partition")
	rs.groupLag = desc("kafka_consumergroup_lag", "Records that a group has not committed in a partition, told by the group's coordinator.", "consumergroup", "topic", "partition")
	rs.lag = b.newLag()
	return rs
}

func (rs *readings) add(kind prometheus.ValueType, labels prometheus.Labels, name, help string, of func(*snapshot) float64) {
	rs.list = append(rs.list, reading{desc: prometheus.NewDesc(name, help, nil, labels), kind: kind, of: of})
}

func (rs *readings) gauge(name, help string, of func(*snapshot) float64) {
	rs.add(prometheus.GaugeValue, nil, name, help, of)
}

func (rs *readings) counter(name, help string, of func(*snapshot) int64) {
	rs.add(prometheus.CounterValue, nil, name, help, func(s *snapshot) float64 { return float64(of(s)) })
}

// brokerState is the number of Kafka 3.9 BrokerState. The HTTP port opens when the logs are recovered.
func (s *snapshot) brokerState() float64 {
	switch {
	case s.b.isReady():
		return 3 // RUNNING
	case s.b.stopping.Load():
		return 6 // PENDING_CONTROLLED_SHUTDOWN
	default:
		return 2 // RECOVERY
	}
}

// expirations counts the sessions with ZooKeeper that ended before their time: each but the first followed one.
func (s *snapshot) expirations() int64 {
	if g := s.b.session.Current(); g != nil {
		return g.Number() - 1
	}
	return 0
}

func (rs *readings) server() {
	rs.gauge("kafka_server_kafkaserver_brokerstate", "2 until clients are served, then 3; 6 while the broker stops.", (*snapshot).brokerState)
	rs.counter("kafka_server_sessionexpirelistener_zookeeperexpires_total", "Sessions with ZooKeeper that expired.", (*snapshot).expirations)
	rs.gauge("kafka_server_fetchsessioncache_numincrementalfetchsessions", "Open fetch sessions.", func(s *snapshot) float64 { return float64(s.b.fetches.Sessions()) })
	rs.gauge("kafka_server_socketservermetrics_connection_count", "Open connections.", func(s *snapshot) float64 { return float64(s.b.server.Connections()) })
	rs.gauge("kafka_log_logmanager_offlinelogdirectorycount", "Log directories that have failed.", (*snapshot).offlineDirs)
}

func (rs *readings) replicaManager() {
	const replicas = "kafka_server_replicamanager_"
	count := func(name, help string, of func(*replication.Counts) int) {
		rs.gauge(replicas+name, help, func(s *snapshot) float64 { return float64(of(&s.r)) })
	}
	count("partitioncount", "Partitions of this broker.", func(c *replication.Counts) int { return c.Partitions })
	count("leadercount", "Partitions that this broker leads.", func(c *replication.Counts) int { return c.Leaders })
	count("offlinereplicacount", "Replicas in failed log directories.", func(c *replication.Counts) int { return c.Offline })
	count("underreplicatedpartitions", "Led partitions whose ISR is smaller than their replicas.", func(c *replication.Counts) int { return c.UnderReplicated })
	count("underminisrpartitioncount", "Led partitions whose ISR is smaller than min.insync.replicas.", func(c *replication.Counts) int { return c.UnderMinISR })
	count("atminisrpartitioncount", "Led partitions whose ISR is as small as min.insync.replicas allows.", func(c *replication.Counts) int { return c.AtMinISR })
	count("reassigningpartitions", "Led partitions whose replicas are being changed.", func(c *replication.Counts) int { return c.Reassigning })
	rs.counter(replicas+"isrexpands_total", "Replicas that this broker let into an ISR.", func(s *snapshot) int64 { return s.r.ISRExpands })
	rs.counter(replicas+"isrshrinks_total", "ISRs that this broker shrank.", func(s *snapshot) int64 { return s.r.ISRShrinks })
	rs.counter(replicas+"failedisrupdates_total", "ISRs that the controller refused.", func(s *snapshot) int64 { return s.r.FailedISRUpdates })

	const fetchers = "kafka_server_replicafetchermanager_"
	client := prometheus.Labels{"clientId": "Replica"}
	rs.add(prometheus.GaugeValue, client, fetchers+"maxlag", "The most records that a followed partition lacks.", func(s *snapshot) float64 { return float64(s.r.MaxLag) })
	rs.add(prometheus.GaugeValue, client, fetchers+"failedpartitionscount", "Followed partitions that are not fetched any more after an error.", func(s *snapshot) float64 { return float64(s.r.FailedFetches) })
}

func (rs *readings) kafkaController() {
	gauge := func(name, help string, of func(*controller.Metrics) int) {
		rs.gauge("kafka_controller_"+name, help, func(s *snapshot) float64 { return float64(of(&s.c)) })
	}
	const kc = "kafkacontroller_"
	gauge(kc+"activecontrollercount", "1 while this broker is the controller.", func(m *controller.Metrics) int { return m.ActiveControllerCount })
	gauge(kc+"controllerstate", "What the controller is doing; 0 = nothing.", func(m *controller.Metrics) int { return int(m.State) })
	gauge(kc+"offlinepartitionscount", "Partitions without a leader, on the controller.", func(m *controller.Metrics) int { return m.OfflinePartitionsCount })
	gauge(kc+"preferredreplicaimbalancecount", "Partitions not led by their preferred replica, on the controller.", func(m *controller.Metrics) int { return m.PreferredReplicaImbalanceCount })
	gauge(kc+"globaltopiccount", "Topics of the cluster, on the controller.", func(m *controller.Metrics) int { return m.GlobalTopicCount })
	gauge(kc+"globalpartitioncount", "Partitions of the cluster, on the controller.", func(m *controller.Metrics) int { return m.GlobalPartitionCount })
	gauge(kc+"topicstodeletecount", "Topics that are to be deleted, on the controller.", func(m *controller.Metrics) int { return m.TopicsToDeleteCount })
	gauge(kc+"replicastodeletecount", "Replicas of those topics that are still there, on the controller.", func(m *controller.Metrics) int { return m.ReplicasToDeleteCount })
	gauge(kc+"topicsineligibletodeletecount", "Topics whose deletion waits, on the controller.", func(m *controller.Metrics) int { return m.TopicsIneligibleToDeleteCount })
	gauge(kc+"replicasineligibletodeletecount", "Replicas that could not be deleted, on the controller.", func(m *controller.Metrics) int { return m.ReplicasIneligibleToDeleteCount })
	gauge(kc+"activebrokercount", "Registered brokers, on the controller.", func(m *controller.Metrics) int { return m.ActiveBrokerCount })
	gauge(kc+"fencedbrokercount", "0: brokers are not fenced with ZooKeeper.", func(m *controller.Metrics) int { return m.FencedBrokerCount })
	gauge("controllereventmanager_eventqueuesize", "Events that wait for the controller.", func(m *controller.Metrics) int { return m.EventQueueSize })
	gauge("controllerchannelmanager_totalqueuesize", "Requests of the controller that brokers have not answered.", func(m *controller.Metrics) (n int) {
		for _, size := range m.QueueSizes {
			n += size
		}
		return n
	})
	rs.counter("kafka_controller_controllerstats_uncleanleaderelections_total", "Leaders elected from outside the ISR.", func(s *snapshot) int64 { return s.c.UncleanLeaderElections })
	// Ours: Apache has no such numbers.
	own := func(name, help string, of func(*controller.Metrics) int64) {
		rs.counter("gokafka_controller_"+name+"_total", help, func(s *snapshot) int64 { return of(&s.c) })
	}
	own("elections", "Elections of this broker to controller.", func(m *controller.Metrics) int64 { return m.LeaderElections })
	own("events", "Events that the controller has taken up.", func(m *controller.Metrics) int64 { return m.EventsProcessed })
	own("event_errors", "Events that failed.", func(m *controller.Metrics) int64 { return m.EventErrors })
	own("requests_sent", "Requests of the controller to brokers.", func(m *controller.Metrics) int64 { return m.RequestsSent })
	own("request_failures", "Tries of such requests that failed.", func(m *controller.Metrics) int64 { return m.RequestFailures })
	own("queue_overflows", "Queues to brokers that were dropped, to tell them everything anew.", func(m *controller.Metrics) int64 { return m.QueueOverflows })
}

// Describe is of prometheus.Collector.
func (rs *readings) Describe(out chan<- *prometheus.Desc) {
	for i := range rs.list {
		out <- rs.list[i].desc
	}
	for _, d := range rs.timers {
		if d != nil {
			out <- d
		}
	}
	for _, d := range []*prometheus.Desc{rs.queueSize, rs.dirOffline, rs.logSize, rs.logStart, rs.logEnd, rs.groupLag} {
		out <- d
	}
}

// Collect is of prometheus.Collector. No lock is held while it sends.
func (rs *readings) Collect(out chan<- prometheus.Metric) {
	s := rs.b.snapshot()
	for i := range rs.list {
		r := &rs.list[i]
		out <- prometheus.MustNewConstMetric(r.desc, r.kind, r.of(s))
	}
	for i, d := range rs.timers {
		if d != nil {
			t := s.c.EventTimes[i]
			out <- prometheus.MustNewConstSummary(d, uint64(t.Count), float64(t.Took.Microseconds())/1000, nil)
		}
	}
	for id, n := range s.c.QueueSizes {
		out <- prometheus.MustNewConstMetric(rs.queueSize, prometheus.GaugeValue, float64(n), strconv.Itoa(int(id)))
	}
	for path, failed := range s.dirs {
		value := 0.0
		if failed {
			value = 1
		}
		out <- prometheus.MustNewConstMetric(rs.dirOffline, prometheus.GaugeValue, value, path)
	}
	rs.collectLogs(out)
	for _, l := range rs.lag.Read(context.Background()) { // which bounds itself
		group := strings.ToValidUTF8(l.Group, "\uFFFD")
		out <- prometheus.MustNewConstMetric(rs.groupLag, prometheus.GaugeValue, float64(l.Records), group, l.Topic, strconv.Itoa(int(l.Partition)))
	}
}

// collectLogs tells of each partition. For 10,000 of them a scrape takes some 0.2 s of one core, nearly all of it spent on the form of the answer.
func (rs *readings) collectLogs(out chan<- prometheus.Metric) {
	for _, l := range rs.b.logs.Current() {
		tp := l.TopicPartition()
		partition := strconv.Itoa(int(tp.Partition))
		tell := func(d *prometheus.Desc, value int64) {
			out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(value), tp.Topic, partition)
		}
		tell(rs.logSize, l.SizeBytes())
		tell(rs.logStart, l.LogStartOffset())
		tell(rs.logEnd, l.LogEndOffset())
	}
}
