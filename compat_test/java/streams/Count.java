import java.time.Duration;
import java.util.HashMap;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.kstream.Materialized;

/** Counts the records of each key of a topic, and writes each count to another, exactly once. */
public class Count {
    public static void main(String[] args) throws Exception {
        Map<String, String> opt = new HashMap<>();
        for (String a : args) {
            String[] kv = a.split("=", 2);
            opt.put(kv[0], kv[1]);
        }
        Properties p = new Properties();
        p.put("application.id", opt.get("app"));
        p.put("bootstrap.servers", opt.get("bootstrap"));
        p.put("state.dir", opt.get("state"));
        p.put("processing.guarantee", "exactly_once_v2");
        p.put("statestore.cache.max.bytes", "0");
        p.put("commit.interval.ms", "100");
        p.put("replication.factor", "-1");
        p.put("default.key.serde", Serdes.StringSerde.class);
        p.put("default.value.serde", Serdes.StringSerde.class);
        p.put("reconnect.backoff.max.ms", "500");
        p.put("consumer.session.timeout.ms", "10000");
        p.put("consumer.heartbeat.interval.ms", "500");
        p.put("producer.transaction.timeout.ms", "15000");
        p.put("auto.offset.reset", "earliest");
        StreamsBuilder b = new StreamsBuilder();
        b.<String, String>stream(opt.get("from")).groupByKey().count(Materialized.as("counts")).toStream().mapValues(n -> Long.toString(n)).to(opt.get("to"));
        KafkaStreams streams = new KafkaStreams(b.build(), p);
        streams.setUncaughtExceptionHandler(e -> {
            System.err.println("went on after " + e);
            return StreamThreadExceptionResponse.REPLACE_THREAD;
        });
        Runtime.getRuntime().addShutdownHook(new Thread(() -> streams.close(Duration.ofSeconds(20))));
        streams.start();
    }
}
