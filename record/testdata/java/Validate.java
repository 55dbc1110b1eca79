// Runs Kafka's own ProduceRequest.validateRecords and LogValidator over the inputs in validate-inputs.txt.gz and writes what they say.
// The checks in between, UnifiedLog.analyzeAndValidateRecords, are repeated here, since that class needs a whole log.
//
//   javac -cp 'LIBS/*' Validate.java && java -cp 'LIBS/*:.' Validate ../validate-inputs.txt.gz ../validate-java.txt.gz
//
// An input line: name version origin compacted target timestampType beforeMs afterMs nowMs firstOffset leaderEpoch payload.
// An output line: name code maxTimestamp changed batch, or name code recordErrors message, with "-" for nothing.
import org.apache.kafka.common.*;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.errors.*;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.record.*;
import org.apache.kafka.common.requests.ProduceRequest;
import org.apache.kafka.common.requests.ProduceResponse;
import org.apache.kafka.common.utils.*;
import org.apache.kafka.server.common.MetadataVersion;
import org.apache.kafka.storage.internals.log.*;
import java.nio.ByteBuffer;
import java.io.*;
import java.util.*;
import java.util.zip.*;

public class Validate {
    static class Rec implements LogValidator.MetricsRecorder {
        public void recordInvalidMagic() { }
        public void recordInvalidOffset() { }
        public void recordInvalidSequence() { }
        public void recordInvalidChecksums() { }
        public void recordNoKeyCompactedTopic() { }
    }

    static String run(String[] f) {
        byte[] raw = f[11].equals("-") ? new byte[0] : HexFormat.of().parseHex(f[11]);
        MemoryRecords in = MemoryRecords.readableRecords(ByteBuffer.wrap(raw));
        boolean client = f[2].equals("client");
        try {
            if (client)
                ProduceRequest.validateRecords(Short.parseShort(f[1]), in);
            CompressionType source = CompressionType.NONE;
            int valid = 0;
            for (MutableRecordBatch b : in.batches()) {
                if (client && b.baseOffset() != 0)
                    throw new InvalidRecordException("base offset");
                if (!((DefaultRecordBatch) b).isValid())
                    throw new CorruptRecordException("crc");
                valid += b.sizeInBytes();
                if (b.compressionType() != CompressionType.NONE)
                    source = b.compressionType();
            }
            in = MemoryRecords.readableRecords(ByteBuffer.wrap(raw, 0, valid).slice());
            Compression target = f[4].equals("producer") ? Compression.of(source).build() : Compression.of(f[4]).build();
            long now = Long.parseLong(f[8]);
            PrimitiveRef.LongRef offset = PrimitiveRef.ofLong(Long.parseLong(f[9]));
            LogValidator v = new LogValidator(in, new TopicPartition("t", 0), new FixedTime(now), source, target,
                Boolean.parseBoolean(f[3]), (byte) 2, TimestampType.forName(f[5]), Long.parseLong(f[6]), Long.parseLong(f[7]),
                Integer.parseInt(f[10]), client ? AppendOrigin.CLIENT : AppendOrigin.COORDINATOR, MetadataVersion.IBP_3_9_IV0);
            LogValidator.ValidationResult r = v.validateMessagesAndAssignOffsets(offset, new Rec(), BufferSupplier.create());
            ByteBuffer out = r.validatedRecords.buffer().duplicate();
            byte[] bytes = new byte[out.remaining()];
            out.get(bytes);
            return "0 " + r.maxTimestampMs + " " + r.messageSizeMaybeChanged + " " + HexFormat.of().formatHex(bytes);
        } catch (RecordValidationException e) {
            StringBuilder s = new StringBuilder();
            for (ProduceResponse.RecordError re : e.recordErrors())
                s.append(s.length() == 0 ? "" : ",").append(re.batchIndex);
            return Errors.forException(e.invalidException()).code() + " " + s + " " + e.invalidException().getMessage();
        } catch (Throwable e) {
            return Errors.forException(e).code() + " - " + e;
        }
    }

    static class FixedTime implements Time {
        final long now;
        FixedTime(long now) { this.now = now; }
        public long milliseconds() { return now; }
        public long nanoseconds() { return now * 1000000; }
        public void sleep(long ms) { }
        public void waitObject(Object o, java.util.function.Supplier<Boolean> c, long d) { }
        public <T> T waitForFuture(java.util.concurrent.Future<T> f, long d) { return null; }
    }

    public static void main(String[] a) throws Exception {
        try (BufferedReader in = new BufferedReader(new InputStreamReader(new GZIPInputStream(new FileInputStream(a[0]))));
             PrintStream out = new PrintStream(new GZIPOutputStream(new FileOutputStream(a[1])))) {
            for (String line = in.readLine(); line != null; line = in.readLine()) {
                String[] f = line.split(" ");
                out.print(f[0] + " " + run(f).replace('\n', ' ') + "\n");
            }
        }
    }
}
