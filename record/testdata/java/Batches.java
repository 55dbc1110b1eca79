import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.record.*;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import java.nio.ByteBuffer;
import java.nio.file.*;
import java.util.*;
import java.nio.charset.StandardCharsets;

public class Batches {
    static StringBuilder out = new StringBuilder();
    static byte[] b(String s) { return s == null ? null : s.getBytes(StandardCharsets.UTF_8); }
    static void emit(String name, MemoryRecords r) {
        ByteBuffer buf = r.buffer().duplicate();
        byte[] a = new byte[buf.remaining()];
        buf.get(a);
        out.append(name).append(' ').append(HexFormat.of().formatHex(a)).append('\n');
    }
    static Compression codec(String n) {
        switch (n) {
            case "none": return Compression.NONE;
            case "gzip": return Compression.gzip().build();
            case "snappy": return Compression.snappy().build();
            case "lz4": return Compression.lz4().build();
            default: return Compression.zstd().build();
        }
    }
    static MemoryRecordsBuilder mk(Compression c, TimestampType t, long base, long lat, long pid, short ep, int seq, boolean txn, int le) {
        return MemoryRecords.builder(ByteBuffer.allocate(1 << 16), (byte) 2, c, t, base, lat, pid, ep, seq, txn, le);
    }
    public static void main(String[] args) throws Exception {
        for (String n : new String[]{"none", "gzip", "snappy", "lz4", "zstd"}) {
            MemoryRecordsBuilder m = mk(codec(n), TimestampType.CREATE_TIME, 100, -1, -1, (short) -1, -1, false, 7);
            for (int i = 0; i < 20; i++)
                m.append(1700000000000L + (i * 37) % 11, b("key-" + i), b("value value value " + i));
            emit("plain-" + n, m.build());
            m = mk(codec(n), TimestampType.CREATE_TIME, 0, -1, 4711, (short) 3, Integer.MAX_VALUE - 1, true, -1);
            m.append(1700000000005L, null, b("v"), new Header[]{new RecordHeader("h1", b("x")), new RecordHeader("h2", (byte[]) null), new RecordHeader("", b(""))});
            m.append(1700000000001L, b(""), null);
            m.append(1700000000009L, b("k"), b(""), new Header[]{new RecordHeader("h1", b("y"))});
            m.append(-1L, (byte[]) null, (byte[]) null);
            emit("txn-headers-nulls-" + n, m.build());
            m = mk(codec(n), TimestampType.LOG_APPEND_TIME, 5, 1700000099999L, -1, (short) -1, -1, false, 0);
            m.append(1700000000005L, b("a"), b("1"));
            m.append(1700000000006L, b("b"), b("2"));
            emit("logappend-" + n, m.build());
            m = mk(codec(n), TimestampType.CREATE_TIME, 1000, -1, -1, (short) -1, -1, false, 1);
            byte[] big = new byte[100000];
            new Random(1).nextBytes(big);
            for (int i = 0; i < big.length; i++) if (i % 3000 > 300) big[i] = (byte) ('a' + (i % 7));
            m.append(1700000000000L, b("big"), big);
            m.append(1700000000000L, b("small"), b("s"));
            emit("big-" + n, m.build());
            m = mk(codec(n), TimestampType.CREATE_TIME, 200, -1, -1, (short) -1, -1, false, 1);
            m.appendWithOffset(200, 10L, b("a"), b("1"));
            m.appendWithOffset(205, 20L, b("b"), b("2"));
            m.appendWithOffset(209, 15L, b("c"), b("3"));
            m.overrideLastOffset(212);
            emit("gaps-" + n, m.build());
            m = new MemoryRecordsBuilder(new org.apache.kafka.common.utils.ByteBufferOutputStream(1024), (byte) 2, codec(n), TimestampType.CREATE_TIME, 300L, -1L, 9L, (short) 1, 17, true, false, 4, 1024, 1800000000000L);
            m.appendWithOffset(301, 1700000000123L, b("a"), null);
            emit("horizon-" + n, m.build());
        }
        emit("marker-commit", MemoryRecords.withEndTransactionMarker(55, 1700000000777L, 6, 12, (short) 4, new EndTransactionMarker(ControlRecordType.COMMIT, 33)));
        emit("marker-abort", MemoryRecords.withEndTransactionMarker(56, 1700000000778L, -1, 12, (short) 4, new EndTransactionMarker(ControlRecordType.ABORT, 0)));
        ByteBuffer e = ByteBuffer.allocate(61);
        DefaultRecordBatch.writeEmptyHeader(e, (byte) 2, 12, (short) 4, 77, 400, 409, 8, TimestampType.CREATE_TIME, 1700000000778L, true, false);
        e.flip();
        emit("empty", MemoryRecords.readableRecords(e));
        Files.write(Paths.get(args[0]), out.toString().getBytes());
    }
}
