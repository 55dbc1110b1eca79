// Reads and converts the message sets in legacy-inputs.txt.gz with Kafka's own classes and writes what comes of it. The class is in
// Kafka's package to reach RecordsUtil. UnifiedLog.analyzeAndValidateRecords is repeated here, since that class needs a whole log.
//
//   javac -d . -cp 'LIBS/*' Legacy.java && java -cp 'LIBS/*:.' org.apache.kafka.common.record.Legacy ../legacy-inputs.txt.gz ../legacy-java.txt.gz
//
// Input lines:
//   name read SET
//   name up compacted target timestampType beforeMs afterMs nowMs firstOffset leaderEpoch maxMessageBytes SET
//   name down magic firstOffset SET
// Output lines, with "-" for nothing:
//   name batch:MAGIC:CODEC:TYPE:MAXTIMESTAMP:LASTOFFSET:VALID record:OFFSET:TIMESTAMP:KEY:VALUE … error:CODE …
//   name 0 maxTimestamp batch, or name code recordErrors message
//   name sizeOrErrorCode SENT batch …, each batch hexadecimal or error:CODE
package org.apache.kafka.common.record;

import org.apache.kafka.common.*;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.errors.*;
import org.apache.kafka.common.network.TransferableChannel;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.requests.ProduceResponse;
import org.apache.kafka.common.utils.*;
import org.apache.kafka.server.common.MetadataVersion;
import org.apache.kafka.storage.internals.log.*;
import java.io.*;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.util.*;
import java.util.zip.*;

public class Legacy {
    static class Rec implements LogValidator.MetricsRecorder {
        public void recordInvalidMagic() { }
        public void recordInvalidOffset() { }
        public void recordInvalidSequence() { }
        public void recordInvalidChecksums() { }
        public void recordNoKeyCompactedTopic() { }
    }

    static String hex(ByteBuffer b) {
        if (b == null) return "null";
        b = b.duplicate();
        byte[] a = new byte[b.remaining()];
        b.get(a);
        return a.length == 0 ? "-" : HexFormat.of().formatHex(a);
    }

    static String error(Throwable e) { return "error:" + Errors.forException(e).code(); }

    static String read(MemoryRecords in) {
        StringBuilder s = new StringBuilder();
        Iterator<MutableRecordBatch> batches = in.batches().iterator();
        try {
            while (batches.hasNext()) {
                RecordBatch b = batches.next();
                String codec;
                try {
                    codec = b.compressionType().id + "";
                } catch (IllegalArgumentException e) {
                    codec = "unknown";
                }
                s.append(" batch:" + b.magic() + ":" + codec + ":" + (b.timestampType() == TimestampType.LOG_APPEND_TIME ? 1 : 0) + ":" + b.maxTimestamp() + ":"
                    + b.lastOffset() + ":" + b.isValid());
                try {
                    for (Record r : b)
                        s.append(" record:" + r.offset() + ":" + r.timestamp() + ":" + hex(r.key()) + ":" + hex(r.value()));
                } catch (Throwable e) {
                    s.append(" " + error(e));
                }
            }
        } catch (Throwable e) {
            s.append(" end:" + Errors.forException(e).code());
        }
        return s.length() == 0 ? "-" : s.substring(1);
    }

    static String up(String[] f, byte[] raw) {
        try {
            MemoryRecords in = MemoryRecords.readableRecords(ByteBuffer.wrap(raw));
            CompressionType source = CompressionType.NONE;
            int valid = 0, max = Integer.parseInt(f[10]);
            for (MutableRecordBatch b : in.batches()) {
                if (b.magic() >= 2 && b.baseOffset() != 0)
                    throw new InvalidRecordException("base offset");
                b.lastOffset();
                if (b.sizeInBytes() > max)
                    throw new RecordTooLargeException("before");
                if (!b.isValid())
                    throw new CorruptRecordException("crc");
                b.maxTimestamp();
                valid += b.sizeInBytes();
                if (b.compressionType() != CompressionType.NONE)
                    source = b.compressionType();
            }
            if (valid == 0)
                return "empty";
            in = MemoryRecords.readableRecords(ByteBuffer.wrap(raw, 0, valid).slice());
            Compression target = f[3].equals("producer") ? Compression.of(source).build() : Compression.of(f[3]).build();
            PrimitiveRef.LongRef offset = PrimitiveRef.ofLong(Long.parseLong(f[8]));
            LogValidator v = new LogValidator(in, new TopicPartition("t", 0), new FixedTime(Long.parseLong(f[7])), source, target,
                Boolean.parseBoolean(f[2]), (byte) 2, TimestampType.forName(f[4]), Long.parseLong(f[5]), Long.parseLong(f[6]),
                Integer.parseInt(f[9]), AppendOrigin.CLIENT, MetadataVersion.IBP_3_9_IV0);
            LogValidator.ValidationResult r = v.validateMessagesAndAssignOffsets(offset, new Rec(), BufferSupplier.create());
            if (r.messageSizeMaybeChanged)
                for (RecordBatch b : r.validatedRecords.batches())
                    if (b.sizeInBytes() > max)
                        throw new RecordTooLargeException("after");
            return "0 " + r.maxTimestampMs + " " + hex(r.validatedRecords.buffer());
        } catch (RecordValidationException e) {
            StringBuilder s = new StringBuilder();
            for (ProduceResponse.RecordError re : e.recordErrors())
                s.append(s.length() == 0 ? "" : ",").append(re.batchIndex);
            return Errors.forException(e.invalidException()).code() + " " + s + " " + e.invalidException().getMessage();
        } catch (Throwable e) {
            return Errors.forException(e).code() + " - " + e;
        }
    }

    static String down(byte magic, long firstOffset, MemoryRecords in) {
        StringBuilder s = new StringBuilder();
        try {
            LazyDownConversionRecords lazy = new LazyDownConversionRecords(new TopicPartition("t", 0), in, magic, firstOffset, Time.SYSTEM);
            int size = lazy.sizeInBytes();
            Sink sink = new Sink();
            try {
                LazyDownConversionRecordsSend send = lazy.toSend();
                for (int written = 0; written < size; )
                    written += send.writeTo(sink, written, size - written);
                s.append(size + " " + hex(ByteBuffer.wrap(sink.out.toByteArray())));
            } catch (Throwable e) {
                s.append(size + " " + error(e));
            }
        } catch (Throwable e) {
            s.append(error(e) + " -");
        }
        try {
            for (RecordBatch b : in.batches()) {
                try {
                    s.append(" " + hex(RecordsUtil.downConvert(Collections.singletonList(b), magic, firstOffset, Time.SYSTEM).records().buffer()));
                } catch (Throwable e) {
                    s.append(" " + error(e));
                }
            }
        } catch (Throwable e) {
            s.append(" end:" + Errors.forException(e).code());
        }
        return s.toString();
    }

    static String run(String[] f) {
        String set = f[f.length - 1];
        byte[] raw = set.equals("-") ? new byte[0] : HexFormat.of().parseHex(set);
        switch (f[1]) {
            case "read": return read(MemoryRecords.readableRecords(ByteBuffer.wrap(raw)));
            case "up": return up(f, raw);
            default: return down(Byte.parseByte(f[2]), Long.parseLong(f[3]), MemoryRecords.readableRecords(ByteBuffer.wrap(raw)));
        }
    }

    static class Sink implements TransferableChannel {
        final ByteArrayOutputStream out = new ByteArrayOutputStream();
        public boolean hasPendingWrites() { return false; }
        public long transferFrom(FileChannel c, long p, long n) { throw new UnsupportedOperationException(); }
        public boolean isOpen() { return true; }
        public void close() { }
        public int write(ByteBuffer b) {
            byte[] a = new byte[b.remaining()];
            b.get(a);
            out.write(a, 0, a.length);
            return a.length;
        }
        public long write(ByteBuffer[] bs, int at, int n) {
            long sum = 0;
            for (int i = at; i < at + n; i++) sum += write(bs[i]);
            return sum;
        }
        public long write(ByteBuffer[] bs) { return write(bs, 0, bs.length); }
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
