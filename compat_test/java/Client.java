import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Random;
import java.util.Set;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.ProducerFencedException;
import org.apache.kafka.common.errors.WakeupException;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** The Java client of the suite: produces and consumes, as ../clients.go describes. */
public class Client {
    private static final Map<String, String> OPT = new HashMap<>();

    public static void main(String[] args) throws Exception {
        for (String a : args) {
            String[] kv = a.split("=", 2);
            OPT.put(kv[0], kv[1]);
        }
        if (OPT.get("mode").equals("consume")) {
            consume();
        } else if (OPT.get("mode").equals("member")) {
            member();
            return;
        } else if (OPT.get("mode").equals("copy")) {
            copy();
            return;
        } else {
            List<Thread> threads = new ArrayList<>();
            for (String codec : OPT.get("codecs").split(",")) {
                Thread t = new Thread(() -> produce(codec), "producer-" + codec);
                t.start();
                threads.add(t);
            }
            for (Thread t : threads) {
                t.join();
            }
        }
        say("end");
    }

    private static synchronized void say(String line) {
        System.out.println(line);
    }

    private static String value(String codec, int partition, int seq) {
        StringBuilder s = new StringBuilder(OPT.get("client") + "|" + codec + "|" + partition + "|" + seq + "|");
        while (s.length() < 100) {
            s.append('x');
        }
        return s.toString();
    }

    private static void produce(String codec) {
        Properties p = new Properties();
        p.put("bootstrap.servers", OPT.get("bootstrap"));
        p.put("client.id", OPT.get("client") + "-" + codec);
        p.put("enable.idempotence", "true");
        p.put("acks", "all");
        p.put("compression.type", codec);
        p.put("linger.ms", "5");
        p.put("request.timeout.ms", "10000");
        p.put("delivery.timeout.ms", "180000");
        p.put("max.block.ms", "180000");
        p.put("reconnect.backoff.max.ms", "500");
        int partitions = Integer.parseInt(OPT.get("partitions"));
        int count = Integer.parseInt(OPT.get("count"));
        long millis = Long.parseLong(OPT.get("millis"));
        try (KafkaProducer<String, String> producer = new KafkaProducer<>(p, new StringSerializer(), new StringSerializer())) {
            long start = System.nanoTime();
            int sent = 0;
            while (sent < count) {
                long elapsed = (System.nanoTime() - start) / 1_000_000;
                int due = (int) Math.min(count, Math.max(1, elapsed * count / millis));
                for (; sent < due; sent++) {
                    int partition = sent % partitions;
                    int seq = sent / partitions;
                    producer.send(new ProducerRecord<>(OPT.get("topic"), partition, null, value(codec, partition, seq)), (m, e) -> {
                        if (e == null) {
                            say("ack " + codec + " " + m.partition() + " " + seq + " " + m.offset());
                        } else {
                            say("fail " + codec + " " + partition + " " + seq + " " + e.toString().replaceAll("\\s+", " "));
                        }
                    });
                }
                Thread.sleep(50);
            }
            producer.flush();
        } catch (Exception e) {
            System.err.println("fatal " + e);
        }
    }

    private static void consume() {
        Properties p = new Properties();
        p.put("bootstrap.servers", OPT.get("bootstrap"));
        p.put("enable.auto.commit", "false");
        p.put("auto.offset.reset", "none");
        try (KafkaConsumer<String, String> consumer = new KafkaConsumer<>(p, new StringDeserializer(), new StringDeserializer())) {
            String[] ends = OPT.get("ends").split(",");
            Set<TopicPartition> left = new HashSet<>();
            for (int i = 0; i < ends.length; i++) {
                if (Long.parseLong(ends[i]) > 0) {
                    left.add(new TopicPartition(OPT.get("topic"), i));
                }
            }
            consumer.assign(left);
            left.forEach(tp -> consumer.seek(tp, 0));
            while (!left.isEmpty()) {
                for (ConsumerRecord<String, String> r : consumer.poll(Duration.ofSeconds(1))) {
                    say("rec " + r.partition() + " " + r.offset() + " " + r.value());
                }
                left.removeIf(tp -> consumer.position(tp) >= Long.parseLong(ends[tp.partition()]));
            }
        }
    }

    private static void tell(String kind, Collection<TopicPartition> partitions) {
        for (TopicPartition tp : partitions) {
            say(kind + " " + System.currentTimeMillis() + " " + tp.partition());
        }
    }

    private static volatile boolean leave;

    private static void member() throws Exception {
        Properties p = new Properties();
        p.put("bootstrap.servers", OPT.get("bootstrap"));
        p.put("client.id", OPT.get("client"));
        p.put("group.id", OPT.get("group"));
        p.put("enable.auto.commit", "false");
        p.put("auto.offset.reset", "earliest");
        p.put("reconnect.backoff.max.ms", "500");
        p.put("max.poll.records", "100");
        if (OPT.get("protocol").equals("consumer")) {
            p.put("group.protocol", "consumer");
        } else {
            p.put("session.timeout.ms", "10000");
            p.put("heartbeat.interval.ms", "500");
            p.put("partition.assignment.strategy", "org.apache.kafka.clients.consumer."
                + (OPT.get("protocol").equals("cooperative") ? "CooperativeStickyAssignor" : "RangeAssignor"));
        }
        KafkaConsumer<String, String> consumer = new KafkaConsumer<>(p, new StringDeserializer(), new StringDeserializer());
        Thread main = Thread.currentThread();
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            leave = true;
            consumer.wakeup();
            try {
                main.join();
            } catch (InterruptedException e) {
                System.err.println("fatal " + e);
            }
        }));
        consumer.subscribe(List.of(OPT.get("topic")), new ConsumerRebalanceListener() {
            @Override
            public void onPartitionsAssigned(Collection<TopicPartition> got) {
                tell("own", got);
            }

            @Override
            public void onPartitionsRevoked(Collection<TopicPartition> lost) {
                tell("lose", lost);
            }
        });
        while (!leave) {
            try {
                Map<Integer, Long> next = new HashMap<>();
                for (ConsumerRecord<String, String> r : consumer.poll(Duration.ofMillis(200))) {
                    say("did " + System.currentTimeMillis() + " " + r.partition() + " " + r.offset());
                    next.put(r.partition(), r.offset() + 1);
                }
                if (!next.isEmpty()) {
                    consumer.commitSync();
                    next.forEach((partition, offset) -> say("commit " + System.currentTimeMillis() + " " + partition + " " + offset));
                }
            } catch (WakeupException e) {
                // it is time to leave
            } catch (KafkaException e) {
                System.err.println("went on after " + e);
            }
        }
        consumer.close();
        say("end");
    }

    private static KafkaProducer<String, String> transactional() {
        Properties p = new Properties();
        p.put("bootstrap.servers", OPT.get("bootstrap"));
        p.put("transactional.id", OPT.get("txnid"));
        p.put("transaction.timeout.ms", "15000");
        p.put("reconnect.backoff.max.ms", "500");
        p.put("request.timeout.ms", "5000");
        p.put("delivery.timeout.ms", "20000");
        return new KafkaProducer<>(p, new StringSerializer(), new StringSerializer());
    }

    private static boolean fenced(Throwable e) {
        for (; e != null; e = e.getCause()) {
            if (e instanceof ProducerFencedException) {
                return true;
            }
        }
        return false;
    }

    private static void copy() throws Exception {
        Properties p = new Properties();
        p.put("bootstrap.servers", OPT.get("bootstrap"));
        p.put("group.id", OPT.get("group"));
        p.put("enable.auto.commit", "false");
        p.put("auto.offset.reset", "earliest");
        p.put("isolation.level", "read_committed");
        p.put("reconnect.backoff.max.ms", "500");
        if (OPT.get("protocol").equals("consumer")) {
            p.put("group.protocol", "consumer");
        } else {
            p.put("session.timeout.ms", "10000");
            p.put("heartbeat.interval.ms", "500");
        }
        p.put("max.poll.records", "50");
        KafkaConsumer<String, String> consumer = new KafkaConsumer<>(p, new StringDeserializer(), new StringDeserializer());
        Thread main = Thread.currentThread();
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            leave = true;
            try {
                main.join();
            } catch (InterruptedException e) {
                System.err.println("fatal " + e);
            }
        }));
        consumer.subscribe(List.of(OPT.get("topic")));
        int partitions = Integer.parseInt(OPT.get("partitions"));
        Random random = new Random();
        KafkaProducer<String, String> producer = null;
        while (!leave) {
            try {
                if (producer == null) {
                    producer = transactional();
                    producer.initTransactions();
                    back(consumer);
                }
                Map<TopicPartition, OffsetAndMetadata> next = new HashMap<>();
                ConsumerRecords<String, String> records = consumer.poll(Duration.ofMillis(200));
                if (records.isEmpty()) {
                    continue;
                }
                producer.beginTransaction();
                for (ConsumerRecord<String, String> r : records) {
                    producer.send(new ProducerRecord<>(OPT.get("to"), r.partition(), null, r.value()));
                    producer.send(new ProducerRecord<>(OPT.get("to"), (r.partition() + 1) % partitions, null, r.value() + "'"));
                    next.put(new TopicPartition(r.topic(), r.partition()), new OffsetAndMetadata(r.offset() + 1));
                }
                if (random.nextInt(5) == 0) {
                    producer.flush();
                    producer.abortTransaction();
                    back(consumer);
                    continue;
                }
                producer.sendOffsetsToTransaction(next, consumer.groupMetadata());
                producer.commitTransaction();
                say("copied " + records.count());
            } catch (WakeupException e) {
                // it is time to leave
            } catch (KafkaException | IllegalStateException e) {
                System.err.println("went on after " + e + " " + e.getCause());
                if (producer != null) {
                    producer.close(Duration.ZERO);
                }
                producer = null;
                if (fenced(e)) {
                    say("fenced");
                    break;
                }
            }
        }
        if (producer != null) {
            producer.close(Duration.ofSeconds(5));
        }
        consumer.close();
        say("end");
    }

    /** back lets the consumer go on where its group is. */
    private static void back(KafkaConsumer<String, String> consumer) {
        Map<TopicPartition, OffsetAndMetadata> at = consumer.committed(consumer.assignment());
        for (TopicPartition tp : consumer.assignment()) {
            if (at.get(tp) == null) {
                consumer.seekToBeginning(List.of(tp));
            } else {
                consumer.seek(tp, at.get(tp).offset());
            }
        }
    }
}
