import java.util.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.common.TopicPartition;

/** Reads partition 0 of a topic, without a group, by the consumer of whichever release is on the class path, and prints "rec OFFSET VALUE". */
public class OldConsumer {
    public static void main(String[] args) throws Exception {
        Map<String, String> opt = new HashMap<String, String>();
        for (String a : args) opt.put(a.substring(0, a.indexOf('=')), a.substring(a.indexOf('=') + 1));
        Map<String, Object> c = new HashMap<String, Object>();
        c.put("bootstrap.servers", opt.get("bootstrap"));
        c.put("enable.auto.commit", "false");
        c.put("key.deserializer", "org.apache.kafka.common.serialization.StringDeserializer");
        c.put("value.deserializer", "org.apache.kafka.common.serialization.StringDeserializer");
        KafkaConsumer<String, String> consumer = new KafkaConsumer<String, String>(c);
        TopicPartition tp = new TopicPartition(opt.get("topic"), 0);
        consumer.assign(Collections.singletonList(tp));
        consumer.seek(tp, 0);
        int left = Integer.parseInt(opt.get("total"));
        for (long end = System.currentTimeMillis() + 30000; left > 0 && System.currentTimeMillis() < end; )
            for (ConsumerRecord<String, String> r : consumer.poll(500)) {
                System.out.println("rec " + r.offset() + " " + r.value());
                left--;
            }
        System.exit(left == 0 ? 0 : 1);
    }
}
