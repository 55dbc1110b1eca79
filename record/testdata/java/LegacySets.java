// Writes message sets of magic 0 and 1 as Kafka's own MemoryRecordsBuilder makes them, one "name hex" a line.
//
//   javac -cp 'LIBS/*' LegacySets.java && java -cp 'LIBS/*:.' LegacySets ../legacy-sets.txt.gz
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.record.*;
import java.io.*;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.*;
import java.util.zip.GZIPOutputStream;

public class LegacySets {
    static byte[] b(String s) { return s == null ? null : s.getBytes(StandardCharsets.UTF_8); }

    static Compression codec(String n) {
        return Compression.of(n).build();
    }

    static PrintStream out;

    static void emit(String name, MemoryRecords r) {
        ByteBuffer buf = r.buffer().duplicate();
        byte[] a = new byte[buf.remaining()];
        buf.get(a);
        out.print(name + " " + HexFormat.of().formatHex(a) + "\n");
    }

    static MemoryRecordsBuilder mk(byte magic, String c, TimestampType t, long base, long appendTime) {
        return MemoryRecords.builder(ByteBuffer.allocate(1 << 16), magic, codec(c), t, base, appendTime);
    }

    public static void main(String[] args) throws Exception {
        out = new PrintStream(new GZIPOutputStream(new FileOutputStream(args[0])));
        for (byte magic = 0; magic <= 1; magic++) {
            for (String c : new String[]{"none", "gzip", "snappy", "lz4"}) {
                String suffix = "-" + magic + "-" + c;
                MemoryRecordsBuilder m = mk(magic, c, TimestampType.CREATE_TIME, 100, -1);
                for (int i = 0; i < 20; i++)
                    m.append(1700000000000L + (i * 37) % 11, b("key-" + i), b("value value value " + i));
                emit("plain" + suffix, m.build());
                m = mk(magic, c, TimestampType.CREATE_TIME, 0, -1);
                m.append(1700000000005L, null, b("v"));
                m.append(1700000000001L, b(""), null);
                m.append(-1L, b("k"), b(""));
                m.append(-1L, (byte[]) null, (byte[]) null);
                emit("nulls" + suffix, m.build());
                m = mk(magic, c, TimestampType.LOG_APPEND_TIME, 5, 1700000099999L);
                m.append(1700000000005L, b("a"), b("1"));
                m.append(1700000000006L, b("b"), b("2"));
                emit("logappend" + suffix, m.build());
                m = mk(magic, c, TimestampType.CREATE_TIME, 200, -1);
                m.appendWithOffset(200, 10L, b("a"), b("1"));
                m.appendWithOffset(205, 20L, b("b"), b("2"));
                m.appendWithOffset(209, 15L, b("c"), b("3"));
                emit("gaps" + suffix, m.build());
                m = mk(magic, c, TimestampType.CREATE_TIME, 1000, -1);
                byte[] big = new byte[150000];
                for (int i = 0; i < big.length; i++) big[i] = (byte) ('a' + (i / 100 % 7));
                m.append(1700000000000L, b("big"), big);
                m.append(1700000000000L, b("small"), b("s"));
                emit("big" + suffix, m.build());
                m = mk(magic, c, TimestampType.CREATE_TIME, 0, -1);
                m.append(1700000000000L, b("k"), b("one"));
                emit("one" + suffix, m.build());
            }
        }
        out.close();
    }
}
