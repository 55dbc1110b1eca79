// Cleans the log of partition t-0 in a log directory by Kafka's own Cleaner, from its start, once for each time given.
//
//   java -cp … CleanLog DIR NOW_MS…
import kafka.log.*;
import kafka.server.BrokerTopicStats;
import kafka.server.metadata.ConfigRepository;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.utils.Time;
import org.apache.kafka.server.common.MetadataVersion;
import org.apache.kafka.server.util.KafkaScheduler;
import org.apache.kafka.storage.internals.log.*;
import org.apache.kafka.storage.internals.utils.Throttler;
import scala.jdk.javaapi.CollectionConverters;
import java.io.File;
import java.util.*;
import java.util.function.Supplier;

public class CleanLog {
    static long now;

    static final Time CLOCK = new Time() {
        public long milliseconds() { return now; }
        public long nanoseconds() { return System.nanoTime(); }
        public void sleep(long ms) { Time.SYSTEM.sleep(ms); }
        public void waitObject(Object o, Supplier<Boolean> c, long d) throws InterruptedException { Time.SYSTEM.waitObject(o, c, d); }
    };

    public static void main(String[] args) throws Exception {
        now = Long.parseLong(args[1]);
        LogConfig config = new LogConfig(Map.of("cleanup.policy", "compact", "segment.bytes", "2000", "index.interval.bytes", "200",
            "segment.index.bytes", "65536", "delete.retention.ms", "3600000", "segment.ms", "9223372036854775807"));
        List<File> dirs = List.of(new File(args[0]).getCanonicalFile());
        KafkaScheduler scheduler = new KafkaScheduler(1);
        ConfigRepository none = r -> new Properties();
        LogManager m = new LogManager(CollectionConverters.asScala(dirs).toSeq(), CollectionConverters.asScala(new ArrayList<File>()).toSeq(), none, config,
            new CleanerConfig(false), 1, 1000, 60000, 60000, 300000, 900000, new ProducerStateManagerConfig(Integer.MAX_VALUE, false), 600000,
            MetadataVersion.latestProduction(), scheduler, new BrokerTopicStats(false), new LogDirFailureChannel(1), CLOCK, true, false, 30000);
        scala.Function1<UnifiedLog, Object> stray = l -> false;
        m.loadLogs(config, CollectionConverters.asScala(Map.of("t", config)), stray);
        TopicPartition tp = new TopicPartition("t", 0);
        UnifiedLog log = m.getLog(tp, false).get();
        for (int i = 1; i < args.length; i++) {
            now = Long.parseLong(args[i]);
            Cleaner cleaner = new Cleaner(0, new SkimpyOffsetMap(1 << 20), 512, 1 << 20, 0.9,
                new Throttler(Double.MAX_VALUE, 300, "io", "bytes", CLOCK), CLOCK, t -> scala.runtime.BoxedUnit.UNIT);
            cleaner.doClean(new LogToClean(tp, log, 0, log.logEndOffset(), false), now);
        }
        System.exit(0);
    }
}
