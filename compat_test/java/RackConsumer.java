import java.time.Duration;
import java.util.List;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;

/** Reads partition 0 of a topic in a rack, to a number of records: bootstrap, topic, rack, count. It prints each record's value, and last the replica it was sent to. */
public class RackConsumer {
    public static void main(String[] args) {
        Properties p = new Properties();
        p.put("bootstrap.servers", args[0]);
        p.put("client.rack", args[2]);
        p.put("enable.auto.commit", "false");
        p.put("auto.offset.reset", "earliest");
        p.put("max.partition.fetch.bytes", "2000");
        TopicPartition tp = new TopicPartition(args[1], 0);
        try (KafkaConsumer<String, String> consumer = new KafkaConsumer<>(p, new StringDeserializer(), new StringDeserializer())) {
            consumer.assign(List.of(tp));
            consumer.seek(tp, 0);
            for (int n = Integer.parseInt(args[3]); n > 0; ) {
                for (ConsumerRecord<String, String> r : consumer.poll(Duration.ofSeconds(1))) {
                    System.out.println(r.value());
                    n--;
                }
            }
            consumer.metrics().forEach((name, metric) -> {
                if (name.name().equals("preferred-read-replica"))
                    System.out.println("preferred " + metric.metricValue());
            });
        }
    }
}
