package embedded

import (
	"cmp"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"time"
)

// version is what the words report; clients parse it. The date has the form that go-zookeeper's FLWSrvr reads, which
// 3.8.4's own form is not.
const version = "3.8.4-gokafka, built on 02/12/2024 22:16 UTC"

// serverStats are counts since the start. The loop owns them.
type serverStats struct {
	started             time.Duration
	received, sent      int64
	minMs, maxMs, sumMs int64
	count               int64
}

func (l *loop) measure(c *conn, at time.Duration) {
	st, ms := &c.loop.stats, (l.s.clock.Mono() - at).Milliseconds()
	if st.count == 0 || ms < st.minMs {
		st.minMs = ms
	}
	if l.stats.count == 0 || ms < l.stats.minMs {
		l.stats.minMs = ms
	}
	st.lastAt, st.lastMs, st.maxMs = l.mono, ms, max(st.maxMs, ms)
	st.sumMs, st.count = st.sumMs+ms, st.count+1
	l.stats.maxMs = max(l.stats.maxMs, ms)
	l.stats.sumMs, l.stats.count = l.stats.sumMs+ms, l.stats.count+1
}

// isWord says whether the first four bytes of a connection are a command rather than a length. As a length each would
// be far beyond jute.maxbuffer.
func isWord(w string) bool {
	switch w {
	case "ruok", "isro", "srvr", "stat", "cons", "mntr", "conf", "envi", "dump", "wchs", "wchp", "wchc", // answered
		"crst", "srst", "dirs", "gtmk", "stmk", "hash", "lead":
		return true
	}
	return false
}

// word answers a four-letter word. Only those that change nothing are on the list.
func (l *loop) word(b []byte, w string) []byte {
	switch w {
	case "ruok":
		return append(b, "imok"...)
	case "isro":
		return append(b, "rw"...)
	case "srvr":
		return l.appendServer(fmt.Appendf(b, "Zookeeper version: %s\n", version))
	case "stat":
		return l.appendServer(append(l.appendClients(fmt.Appendf(b, "Zookeeper version: %s\nClients:\n", version), false), '\n'))
	case "cons":
		return append(l.appendClients(b, true), '\n')
	case "mntr":
		return l.appendMonitor(b)
	case "conf":
		return l.appendConf(b)
	case "envi":
		return fmt.Appendf(b, "Environment:\nzookeeper.version=%s\ngo.version=%s\nos.name=%s\nos.arch=%s\n",
			version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	case "dump":
		return l.appendDump(b)
	case "wchs", "wchp", "wchc":
		return l.appendWatches(b, w)
	}
	return fmt.Appendf(b, "%s is not executed because it is not in the whitelist.\n", w)
}

func (l *loop) averageMs() float64 {
	if l.stats.count == 0 {
		return 0
	}
	return float64(l.stats.sumMs) / float64(l.stats.count)
}

// outstanding estimates the requests read and not yet answered.
func (l *loop) outstanding() int64 { return l.s.flow.inUse() / requestCost / 2 }

func (l *loop) appendServer(b []byte) []byte {
	b = fmt.Appendf(b, "Latency min/avg/max: %d/%.1f/%d\n", l.stats.minMs, l.averageMs(), l.stats.maxMs)
	return fmt.Appendf(b, "Received: %d\nSent: %d\nConnections: %d\nOutstanding: %d\nZxid: 0x%x\nMode: standalone\nNode count: %d\n",
		l.stats.received, l.stats.sent, len(l.s.connections()), l.outstanding(), l.m.zxid, l.nodeCount())
}

// nodeCount is as ZooKeeper counts: the root stands in its table under two names.
func (l *loop) nodeCount() int { return l.m.tree.nodes + 1 }

func (l *loop) appendClients(b []byte, long bool) []byte {
	conns := l.s.connections()
	slices.SortFunc(conns, func(x, y *conn) int { return cmp.Compare(x.id, y.id) })
	for _, c := range conns {
		st := &c.loop.stats
		b = fmt.Appendf(b, " /%s[1](queued=0,recved=%d,sent=%d", c.addr, st.received, st.sent)
		if long && c.loop.connected {
			avg := int64(0)
			if st.count > 0 {
				avg = st.sumMs / st.count
			}
			b = fmt.Appendf(b, ",sid=0x%x,lop=%s,est=%d,to=%d,lcxid=0x%x,lzxid=0x%x,lresp=%d,llat=%d,minlat=%d,avglat=%d,maxlat=%d",
				uint64(c.loop.session), opName(st.lastOp), st.established, st.timeoutMs, uint64(int64(st.lastXid)), uint64(st.lastZxid),
				st.lastAt.Milliseconds(), st.lastMs, st.minMs, avg, st.maxMs)
		}
		b = append(b, ")\n"...)
	}
	return b
}

func (l *loop) appendMonitor(b []byte) []byte {
	ephemerals := 0
	for _, nodes := range l.m.tree.ephemerals {
		ephemerals += len(nodes)
	}
	line := func(key string, value any) { b = fmt.Appendf(b, "zk_%s\t%v\n", key, value) }
	line("version", version)
	line("server_state", "standalone")
	line("avg_latency", fmt.Sprintf("%.1f", l.averageMs()))
	line("max_latency", l.stats.maxMs)
	line("min_latency", l.stats.minMs)
	line("packets_received", l.stats.received)
	line("packets_sent", l.stats.sent)
	line("num_alive_connections", len(l.s.connections()))
	line("outstanding_requests", l.outstanding())
	line("znode_count", l.nodeCount())
	line("watch_count", l.m.watches.count())
	line("ephemerals_count", ephemerals)
	line("approximate_data_size", l.m.tree.dataBytes)
	line("global_sessions", len(l.m.sessions))
	line("uptime", (l.mono - l.stats.started).Milliseconds())
	return b
}

func (l *loop) appendConf(b []byte) []byte {
	o := &l.s.opts
	return fmt.Appendf(b, "clientPort=%d\ndataDir=%s\ndataLogDir=%s\ntickTime=%d\nmaxClientCnxns=%d\nminSessionTimeout=%d\nmaxSessionTimeout=%d\nserverId=0\n",
		l.s.port(), o.Dir, o.Dir, o.TickTime.Milliseconds(), max(o.MaxConnsPerHost, 0), o.MinSessionTimeout.Milliseconds(), o.MaxSessionTimeout.Milliseconds())
}

func (l *loop) appendDump(b []byte) []byte {
	ids, owned := l.m.dump()
	b = fmt.Appendf(b, "SessionTracker dump:\nGlobal Sessions(%d):\n", len(ids))
	for _, id := range ids {
		b = fmt.Appendf(b, "0x%x\t%dms\n", uint64(id), l.m.sessions[id])
	}
	b = fmt.Appendf(b, "ephemeral nodes dump:\nSessions with Ephemerals (%d):\n", len(owned))
	for _, id := range ids {
		if len(owned[id]) > 0 {
			b = fmt.Appendf(b, "0x%x:\n\t%s\n", uint64(id), strings.Join(owned[id], "\n\t"))
		}
	}
	return b
}

// appendWatches lists watches: counts, by path, or by session.
func (l *loop) appendWatches(b []byte, w string) []byte {
	bySession, byPath := make(map[string][]string), make(map[string][]string)
	for connID, own := range l.m.watches.byConn {
		session := "0x0"
		if c := l.clients[connID]; c != nil {
			session = fmt.Sprintf("0x%x", uint64(c.loop.session))
		}
		for key := range own.keys {
			bySession[session] = append(bySession[session], key.path)
			byPath[key.path] = append(byPath[key.path], session)
		}
	}
	table := byPath
	switch w {
	case "wchs":
		return fmt.Appendf(b, "%d connections watching %d paths\nTotal watches:%d\n", len(bySession), len(byPath), l.m.watches.count())
	case "wchc":
		table = bySession
	}
	for _, key := range slices.Sorted(maps.Keys(table)) {
		slices.Sort(table[key])
		b = fmt.Appendf(b, "%s\n\t%s\n", key, strings.Join(slices.Compact(table[key]), "\n\t"))
	}
	return b
}

// opName is the four letters of a request type in cons.
func opName(op int32) string {
	names := map[int32]string{
		opCreate: "CREA", opCreate2: "CREA", opCreateContainer: "CREA", opCreateTTL: "CREA", opDelete: "DELE", opExists: "EXIS",
		opGetData: "GETD", opSetData: "SETD", opGetACL: "GETA", opSetACL: "SETA", opGetChildren: "GETC", opGetChildren2: "GETC",
		opSync: "SYNC", opPing: "PING", opCheck: "CHEC", opMulti: "MULT", opMultiRead: "MULT", opAuth: "AUTH", opSetWatches: "SETW",
		opSetWatches2: "SETW", opAddWatch: "ADDW", opCloseSession: "CLOS", opWhoAmI: "WHOA", opGetEphemerals: "GETE",
	}
	if name, ok := names[op]; ok {
		return name
	}
	return "NA"
}
