// Runs kafka.tools.DumpLogSegments many times in one JVM. The first argument is a file with one line of arguments for each run,
// separated by tabs; the second is the file to write. For each run: "== " and its arguments; "exit 0", or "exit 1", the class of the
// exception and its message; the lines of standard output behind ">" (behind ")" a last one without an end of line); those of
// standard error behind "!".
import java.io.*;
import java.nio.charset.StandardCharsets;
import java.nio.file.*;
import java.util.*;

public class DumpLog {
    static class Switch extends OutputStream {
        ByteArrayOutputStream to = new ByteArrayOutputStream();
        @Override public void write(int b) { to.write(b); }
        @Override public void write(byte[] b, int off, int len) { to.write(b, off, len); }
    }

    static class Exited extends RuntimeException {
        Exited(int code) { super("exit " + code); }
    }

    static void lines(OutputStream w, byte[] b, char whole, char cut) throws IOException {
        int start = 0;
        for (int i = 0; i < b.length; i++) {
            if (b[i] == '\n') {
                w.write(whole);
                w.write(b, start, i + 1 - start);
                start = i + 1;
            }
        }
        if (start < b.length) {
            w.write(cut);
            w.write(b, start, b.length - start);
            w.write('\n');
        }
    }

    public static void main(String[] args) throws Exception {
        Switch out = new Switch(), err = new Switch();
        System.setOut(new PrintStream(out, true, StandardCharsets.UTF_8));
        System.setErr(new PrintStream(err, true, StandardCharsets.UTF_8));
        org.apache.kafka.common.utils.Exit.setExitProcedure((code, message) -> { throw new Exited(code); });
        try (OutputStream w = new BufferedOutputStream(new FileOutputStream(args[1]))) {
            for (String line : Files.readAllLines(Paths.get(args[0]), StandardCharsets.UTF_8)) {
                out.to.reset();
                err.to.reset();
                String exit = "exit 0";
                try {
                    kafka.tools.DumpLogSegments.main(line.split("\t", -1));
                } catch (Throwable e) {
                    exit = "exit 1 " + e.getClass().getName() + ": " + e.getMessage();
                }
                System.out.flush();
                System.err.flush();
                w.write(("== " + line + "\n" + exit.replace('\n', ' ') + "\n").getBytes(StandardCharsets.UTF_8));
                lines(w, out.to.toByteArray(), '>', ')');
                lines(w, err.to.toByteArray(), '!', '!');
            }
        }
    }
}
