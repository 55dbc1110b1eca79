// Runs main methods of Kafka's tools in one JVM, one after the other, as it is told on standard input: a line with the class and its arguments, separated
// by tabs. For each: "exit N", or "exit 1", the class of the exception and its message; the lines of standard output behind ">", those of standard error
// behind "!"; and "." at the end.
import java.io.*;
import java.nio.charset.StandardCharsets;

public class Tools {
    static class Switch extends OutputStream {
        ByteArrayOutputStream to = new ByteArrayOutputStream();
        @Override public synchronized void write(int b) { to.write(b); }
        @Override public synchronized void write(byte[] b, int off, int len) { to.write(b, off, len); }
        synchronized String take() {
            String s = new String(to.toByteArray(), StandardCharsets.UTF_8);
            to.reset();
            return s;
        }
    }

    // outcome is set by the tool's thread: a call of exit ends it there, as it would end a process; no catch or finally of the tool runs.
    static volatile String outcome;

    static void exit(int code) {
        outcome = "exit " + code;
        synchronized (Tools.class) { Tools.class.notifyAll(); }
        while (true)
            java.util.concurrent.locks.LockSupport.park();
    }

    static void run(String[] words) {
        String end = "exit 0";
        try {
            Class.forName(words[0]).getMethod("main", String[].class).invoke(null, (Object) java.util.Arrays.copyOfRange(words, 1, words.length));
        } catch (Throwable e) {
            Throwable cause = e instanceof java.lang.reflect.InvocationTargetException ? e.getCause() : e;
            end = "exit 1 " + cause.getClass().getName() + ": " + cause.getMessage();
        }
        outcome = end;
        synchronized (Tools.class) { Tools.class.notifyAll(); }
    }

    static void lines(PrintStream w, String s, char mark) {
        for (String line : s.split("\n", -1)) {
            if (!line.isEmpty())
                w.print(mark + line + "\n");
        }
    }

    public static void main(String[] args) throws Exception {
        PrintStream w = new PrintStream(new BufferedOutputStream(new FileOutputStream(FileDescriptor.out)), false, StandardCharsets.UTF_8);
        Switch out = new Switch(), err = new Switch();
        System.setOut(new PrintStream(out, true, StandardCharsets.UTF_8));
        System.setErr(new PrintStream(err, true, StandardCharsets.UTF_8));
        org.apache.kafka.common.utils.Exit.setExitProcedure((code, message) -> exit(code));
        org.apache.kafka.common.utils.Exit.setHaltProcedure((code, message) -> exit(code));
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line; (line = in.readLine()) != null; ) {
            String[] words = line.split("\t", -1);
            outcome = null;
            Thread tool = new Thread(() -> run(words));
            tool.setDaemon(true);
            tool.start();
            synchronized (Tools.class) {
                while (outcome == null)
                    Tools.class.wait();
            }
            w.print(outcome.replace('\n', ' ') + "\n");
            lines(w, out.take(), '>');
            lines(w, err.take(), '!');
            w.print(".\n");
            w.flush();
        }
    }
}
