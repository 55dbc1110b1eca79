// Loads log directories by Kafka's own LogManager, as KafkaServer does in ZooKeeper mode, writes what it found, shuts it down, and writes what
// the directories hold then.
//
//   java -cp 'LIBS/*' OpenDirs.java CASES | gzip > ../states-apache.txt.gz
//
// CASES is a directory with one directory a case; each holds the log directories d0, d1 …. `go test -run TestStatesAsApache -record LIBS` makes it and runs this.
import kafka.log.*;
import kafka.server.BrokerTopicStats;
import kafka.server.metadata.ConfigRepository;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.utils.Exit;
import org.apache.kafka.common.utils.Time;
import org.apache.kafka.metadata.properties.*;
import org.apache.kafka.metadata.properties.MetaPropertiesEnsemble.VerificationFlag;
import org.apache.kafka.server.common.MetadataVersion;
import org.apache.kafka.server.util.Scheduler;
import org.apache.kafka.storage.internals.log.*;
import scala.jdk.javaapi.CollectionConverters;
import java.io.*;
import java.nio.charset.StandardCharsets;
import java.nio.file.*;
import java.util.*;
import java.util.concurrent.*;
import java.util.function.Supplier;
import java.util.zip.CRC32;

public class OpenDirs {
    static final long NOW = 1795340000000L;
    static final String CLUSTER = "9thMlP4YQlmMQOt2wz3mOA";

    static class Halted extends RuntimeException { Halted(String m) { super(m); } }

    static final Time CLOCK = new Time() {
        public long milliseconds() { return NOW; }
        public long nanoseconds() { return System.nanoTime(); }
        public void sleep(long ms) { Time.SYSTEM.sleep(ms); }
        public void waitObject(Object o, Supplier<Boolean> c, long d) throws InterruptedException { Time.SYSTEM.waitObject(o, c, d); }
    };

    // Tasks that run once are run before the shutdown, whatever their delay.
    static class Tasks implements Scheduler {
        final List<Runnable> once = Collections.synchronizedList(new ArrayList<>());
        public void startup() {}
        public void shutdown() {}
        public void resizeThreadPool(int n) {}
        public ScheduledFuture<?> schedule(String name, Runnable task, long delayMs, long periodMs) {
            if (periodMs < 0) once.add(task);
            return new Done();
        }
    }

    static class Done extends CompletableFuture<Object> implements ScheduledFuture<Object> {
        public long getDelay(TimeUnit u) { return 0; }
        public int compareTo(Delayed d) { return 0; }
    }

    static LogConfig config(String... kv) {
        Map<String, String> m = new HashMap<>();
        m.put("segment.index.bytes", "65536");
        m.put("retention.ms", "-1");
        for (int i = 0; i < kv.length; i += 2) m.put(kv[i], kv[i + 1]);
        return new LogConfig(m);
    }

    static Map<String, LogConfig> topics() {
        Map<String, LogConfig> m = new HashMap<>();
        m.put("idem", config("index.interval.bytes", "256", "segment.bytes", "4096"));
        m.put("txn", config("segment.bytes", "2048"));
        m.put("trimmed", config("segment.bytes", "2048"));
        m.put("compacted", config("cleanup.policy", "compact", "index.interval.bytes", "128", "segment.bytes", "1024"));
        m.put("compact-txn", config("cleanup.policy", "compact", "segment.bytes", "700"));
        return m;
    }

    static void run(File c, PrintStream out) throws Exception {
        out.println("case " + c.getName());
        List<File> dirs = new ArrayList<>();
        for (int i = 0; new File(c, "d" + i).exists(); i++) dirs.add(new File(c, "d" + i));
        List<String> paths = new ArrayList<>();
        for (File d : dirs) paths.add(d.getPath());
        MetaPropertiesEnsemble.Loader loader = new MetaPropertiesEnsemble.Loader();
        loader.addLogDirs(paths);
        MetaPropertiesEnsemble found = loader.load();
        found.verify(Optional.of(CLUSTER), OptionalInt.of(0), EnumSet.of(VerificationFlag.REQUIRE_V0));
        List<File> failed = new ArrayList<>();
        for (String d : found.errorLogDirs()) failed.add(new File(d));
        LogDirFailureChannel channel = new LogDirFailureChannel(dirs.size());
        Tasks tasks = new Tasks();
        ConfigRepository none = r -> new Properties();
        LogManager m = new LogManager(CollectionConverters.asScala(dirs).toSeq(), CollectionConverters.asScala(failed).toSeq(), none, config(),
            new CleanerConfig(false), 1, 1000, 60000, 60000, 300000, 900000, new ProducerStateManagerConfig(86400000, false), 600000,
            MetadataVersion.latestProduction(), tasks, new BrokerTopicStats(false), channel, CLOCK, true, false, 30000);
        MetaPropertiesEnsemble.Copier copier = new MetaPropertiesEnsemble.Copier(found);
        found.nonFailedDirectoryProps().forEachRemaining(e ->
            copier.setLogDirProps(e.getKey(), new MetaProperties.Builder(e.getValue()).setClusterId(CLUSTER).setNodeId(0).build()));
        copier.emptyLogDirs().clear();
        copier.writeLogDirChanges();
        scala.Function1<UnifiedLog, Object> stray = l -> false;
        try {
            m.loadLogs(config(), CollectionConverters.asScala(topics()), stray);
        } catch (Throwable t) {
            try { m.shutdown(-1); } catch (Throwable ignored) { }
            throw t;
        }
        List<UnifiedLog> logs = new ArrayList<>(CollectionConverters.asJava(m.allLogs().toSeq()));
        logs.sort(Comparator.comparing(l -> l.dir().getPath()));
        List<String> lost = new ArrayList<>();
        for (File d : dirs)
            if (channel.hasOfflineLogDir(d.getPath())) lost.add(d.getName());
        if (lost.size() == dirs.size()) throw new Halted("none left"); // as the broker does when it looks at the channel
        for (String d : lost) out.println("offline " + d);
        for (UnifiedLog l : logs)
            if (!channel.hasOfflineLogDir(l.parentDir())) out.println(describe(c, l));
        for (Runnable t : new ArrayList<>(tasks.once)) t.run();
        if (!lost.isEmpty()) return; // a broker goes on without them, but this class does not take its logs offline
        m.shutdown(-1);
        for (File d : dirs) files(c, d, out);
    }

    static String describe(File c, UnifiedLog l) {
        StringBuilder s = new StringBuilder("log " + c.toPath().relativize(l.dir().toPath()));
        s.append(" start=" + l.logStartOffset() + " end=" + l.logEndOffset() + " recovery=" + l.recoveryPoint());
        s.append(" id=" + (l.topicId().isDefined() ? l.topicId().get().toString() : ""));
        List<String> parts = new ArrayList<>();
        if (l.leaderEpochCache().isDefined())
            l.leaderEpochCache().get().epochEntries().forEach(e -> parts.add(e.epoch + "@" + e.startOffset));
        s.append(" epochs=" + String.join(",", parts));
        parts.clear();
        for (LogSegment g : l.logSegments()) parts.add(g.baseOffset() + ":" + g.size());
        s.append(" segments=" + String.join(",", parts));
        parts.clear();
        l.producerStateManager().activeProducers().forEach((id, p) -> parts.add(id + "/" + p.producerEpoch() + "/" + p.lastSeq() + "/" +
            p.lastDataOffset() + "/" + p.coordinatorEpoch() + "/" + p.currentTxnFirstOffset().orElse(-1)));
        Collections.sort(parts);
        return s.append(" producers=" + String.join(",", parts)).toString();
    }

    // Producers are in the order of a hash map. Without it, and without the checksum that depends on it, snapshots can be compared.
    static void sortEntries(byte[] b) {
        if (b.length < 10 || (b.length - 10) % 46 != 0) return;
        List<byte[]> l = new ArrayList<>();
        for (int i = 10; i < b.length; i += 46) l.add(Arrays.copyOfRange(b, i, i + 46));
        l.sort(Arrays::compareUnsigned);
        Arrays.fill(b, 2, 6, (byte) 0);
        for (int i = 0; i < l.size(); i++) System.arraycopy(l.get(i), 0, b, 10 + 46 * i, 46);
    }

    static void files(File c, File dir, PrintStream out) throws Exception {
        List<Path> all = new ArrayList<>();
        try (var walk = Files.walk(dir.toPath())) { walk.filter(Files::isRegularFile).forEach(all::add); }
        List<String> lines = new ArrayList<>();
        for (Path p : all) {
            byte[] b = Files.readAllBytes(p);
            String name = c.toPath().relativize(p).toString();
            if (p.getFileName().toString().endsWith("-checkpoint") || p.getFileName().toString().equals("meta.properties")) {
                List<String> l = new ArrayList<>();
                for (String x : new String(b, StandardCharsets.UTF_8).split("\n")) if (!x.startsWith("#") && !x.isEmpty()) l.add(x);
                Collections.sort(l);
                lines.add("file " + name + " " + String.join("|", l));
                continue;
            }
            if (name.endsWith(".snapshot")) sortEntries(b);
            CRC32 crc = new CRC32();
            crc.update(b);
            lines.add("file " + name + " " + b.length + " " + Long.toHexString(crc.getValue()));
        }
        Collections.sort(lines);
        lines.forEach(out::println);
    }

    public static void main(String[] args) throws Exception {
        Exit.setHaltProcedure((code, msg) -> { throw new Halted(msg); });
        PrintStream out = System.out;
        System.setOut(System.err);
        File[] cases = new File(args[0]).getCanonicalFile().listFiles();
        Arrays.sort(cases);
        for (File c : cases) {
            try {
                run(c, out);
            } catch (Throwable t) {
                out.println("fatal");
                System.err.println(c.getName());
                t.printStackTrace();
            }
        }
        out.flush();
        System.exit(0);
    }
}
