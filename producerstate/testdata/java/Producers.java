// Runs Kafka's own ProducerStateManager and ProducerAppendInfo over the operations in ops.txt.gz and writes what they do. What
// UnifiedLog.analyzeAndValidateProducerState and append do around them is repeated here, since that class needs a whole log.
//
//   javac -cp 'LIBS/*' Producers.java && java -cp 'LIBS/*:.' Producers ../ops.txt.gz ../java.txt.gz
//
// Operations: new VERIFY | append ORIGIN GUARD BATCH... | verify PID SEQ EPOCH | hw OFFSET | start OFFSET | expire NOW | reload NOW
// A batch is d:PID:EPOCH:SEQ:COUNT:TXN:TIMESTAMP or m:PID:EPOCH:COORDINATOREPOCH:COMMIT.
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.errors.*;
import org.apache.kafka.common.record.*;
import org.apache.kafka.common.utils.Time;
import org.apache.kafka.storage.internals.log.*;
import java.io.*;
import java.nio.ByteBuffer;
import java.nio.file.*;
import java.util.*;
import java.util.zip.*;

public class Producers {
    static final int EXPIRY = 86400000;
    static final long NOW = 1700000000000L;
    static ProducerStateManager m;
    static boolean verify;
    static long end;
    static File dir;

    static ProducerStateManager make() throws Exception {
        return new ProducerStateManager(new TopicPartition("t", 0), dir, 900000, new ProducerStateManagerConfig(EXPIRY, verify), Time.SYSTEM);
    }

    static MemoryRecords batch(String s, long offset) {
        String[] f = s.split(":");
        long pid = Long.parseLong(f[1]);
        short epoch = Short.parseShort(f[2]);
        if (f[0].equals("m"))
            return MemoryRecords.withEndTransactionMarker(offset, NOW, 0, pid, epoch,
                new EndTransactionMarker(f[4].equals("1") ? ControlRecordType.COMMIT : ControlRecordType.ABORT, Integer.parseInt(f[3])));
        MemoryRecordsBuilder b = MemoryRecords.builder(ByteBuffer.allocate(4096), (byte) 2, Compression.NONE, TimestampType.CREATE_TIME,
            offset, -1, pid, epoch, Integer.parseInt(f[3]), f[5].equals("1"), 0);
        for (int i = 0; i < Integer.parseInt(f[4]); i++)
            b.append(Long.parseLong(f[6]), new byte[0], new byte[0]);
        return b.build();
    }

    static String append(AppendOrigin origin, boolean guarded, List<String> batches) throws Exception {
        Map<Long, ProducerAppendInfo> updated = new LinkedHashMap<>();
        List<CompletedTxn> done = new ArrayList<>();
        Set<Long> verified = new HashSet<>();
        long offset = end;
        try {
            for (String s : batches)
                for (MutableRecordBatch b : batch(s, offset).batches()) {
                    offset = b.nextOffset();
                    long pid = b.producerId();
                    ProducerStateEntry last = m.lastEntry(pid).orElse(null);
                    if (origin == AppendOrigin.CLIENT && last != null) {
                        Optional<BatchMetadata> d = last.findDuplicateBatch(b);
                        if (d.isPresent())
                            return "dup " + d.get().firstOffset() + " " + d.get().lastOffset + " " + d.get().timestamp;
                    }
                    boolean ongoing = last != null && last.currentTxnFirstOffset().isPresent();
                    VerificationStateEntry v = m.verificationStateEntry(pid);
                    if (origin != AppendOrigin.REPLICATION && b.isTransactional() && !ongoing && verify && !b.isControlBatch() && !(guarded && v != null))
                        throw new InvalidTxnStateException("not verified");
                    ProducerAppendInfo info = updated.computeIfAbsent(pid, p -> m.prepareUpdate(p, origin));
                    info.append(b, Optional.empty()).ifPresent(done::add);
                    if (b.isTransactional())
                        verified.add(pid); // Kafka clears it here, although the append may still fail
                }
        } catch (ApiException e) {
            return "err " + Errors.forException(e).code();
        }
        updated.values().forEach(m::update);
        verified.forEach(m::clearVerificationStateEntry);
        StringBuilder s = new StringBuilder("ok");
        for (CompletedTxn t : done) {
            s.append(" ").append(t.producerId).append(":").append(t.firstOffset).append(":").append(t.lastOffset).append(":")
                .append(t.isAborted).append(":").append(m.lastStableOffset(t));
            m.completeTxn(t);
        }
        end = offset;
        m.updateMapEndOffset(end);
        return s.toString();
    }

    static String dump() {
        StringBuilder s = new StringBuilder();
        for (ProducerStateEntry e : new TreeMap<>(m.activeProducers()).values())
            s.append(" ").append(e.producerId()).append(",").append(e.producerEpoch()).append(",").append(e.lastSeq()).append(",")
                .append(e.lastDataOffset()).append(",").append(e.lastOffsetDelta()).append(",").append(e.lastTimestamp()).append(",")
                .append(e.coordinatorEpoch()).append(",").append(e.currentTxnFirstOffset().orElse(-1));
        return s + " unstable=" + m.firstUnstableOffset().map(o -> o.messageOffset).orElse(-1L) + " undecided=" + m.firstUndecidedOffset().orElse(-1)
            + " end=" + m.mapEndOffset() + " late=" + m.hasLateTransaction(NOW + 1300000);
    }

    static void clean() throws Exception {
        if (dir != null)
            for (File f : dir.listFiles())
                f.delete();
        else
            dir = Files.createTempDirectory("producers").toFile();
    }

    static String run(String[] f) throws Exception {
        switch (f[0]) {
            case "new":
                clean();
                verify = f[1].equals("true");
                end = 0;
                m = make();
                return "ok";
            case "append":
                return append(AppendOrigin.valueOf(f[1].toUpperCase()), f[2].equals("true"), Arrays.asList(f).subList(3, f.length));
            case "verify":
                ProducerStateEntry e = m.activeProducers().get(Long.parseLong(f[1]));
                if (e != null && e.currentTxnFirstOffset().isPresent())
                    return "none";
                m.maybeCreateVerificationStateEntry(Long.parseLong(f[1]), Integer.parseInt(f[2]), Short.parseShort(f[3]));
                return "guard";
            case "hw":
                m.onHighWatermarkUpdated(Long.parseLong(f[1]));
                return "ok";
            case "start":
                m.onLogStartOffsetIncremented(Math.min(end, Long.parseLong(f[1])));
                return "ok";
            case "expire":
                m.removeExpiredProducers(Long.parseLong(f[1]));
                return "ok";
            case "reload":
                m.takeSnapshot(false);
                m = make();
                m.truncateAndReload(0, end, Long.parseLong(f[1]));
                return "ok";
        }
        throw new IllegalArgumentException(f[0]);
    }

    public static void main(String[] a) throws Exception {
        try (BufferedReader in = new BufferedReader(new InputStreamReader(new GZIPInputStream(new FileInputStream(a[0]))));
             PrintStream out = new PrintStream(new GZIPOutputStream(new FileOutputStream(a[1])))) {
            for (String line = in.readLine(); line != null; line = in.readLine())
                out.print(run(line.split(" ")) + " |" + dump() + "\n");
        }
        clean();
        dir.delete();
    }
}
