import java.util.*;
import java.util.concurrent.Future;
import org.apache.kafka.clients.producer.*;

/** Sends count records in each codec, by the producer of whichever release is on the class path: 0.8.2 and later have this one. */
public class OldProducer {
    public static void main(String[] args) throws Exception {
        Map<String, String> opt = new HashMap<String, String>();
        for (String a : args) opt.put(a.substring(0, a.indexOf('=')), a.substring(a.indexOf('=') + 1));
        for (String codec : opt.get("codecs").split(",")) {
            Map<String, Object> c = new HashMap<String, Object>();
            c.put("bootstrap.servers", opt.get("bootstrap"));
            c.put("acks", "all");
            c.put("linger.ms", "20");
            c.put("batch.size", "2000");
            c.put("compression.type", codec);
            c.put("key.serializer", "org.apache.kafka.common.serialization.StringSerializer");
            c.put("value.serializer", "org.apache.kafka.common.serialization.StringSerializer");
            Producer<String, String> p = new KafkaProducer<String, String>(c);
            List<Future<RecordMetadata>> sent = new ArrayList<Future<RecordMetadata>>();
            for (int i = 0; i < Integer.parseInt(opt.get("count")); i++) {
                char[] pad = new char[50];
                Arrays.fill(pad, 'x');
                sent.add(p.send(new ProducerRecord<String, String>(opt.get("topic"), "" + i, codec + "|" + i + "|" + new String(pad))));
            }
            for (Future<RecordMetadata> f : sent) f.get();
            p.close();
        }
    }
}
