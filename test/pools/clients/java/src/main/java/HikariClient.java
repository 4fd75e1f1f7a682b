import com.zaxxer.hikari.HikariConfig;
import com.zaxxer.hikari.HikariDataSource;
import java.io.IOException;
import java.sql.Connection;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.CountDownLatch;
import java.util.stream.Collectors;

/** HikariCP. It takes no lifetime below 30 s: shorter ones become 30 minutes. */
public final class HikariClient {
    private static final int THREADS = 4;
    private static volatile boolean stopping;
    private static int done;
    private static int failed;
    private static final Map<String, Integer> ERRORS = new TreeMap<>();

    public static void main(String[] args) throws Exception {
        HikariConfig config = new HikariConfig();
        config.setJdbcUrl("jdbc:postgresql://%s:%s/%s".formatted(env("PGHOST"), env("PGPORT"), env("PGDATABASE")));
        config.setUsername(env("PGUSER"));
        config.setPassword(env("PGPASSWORD"));
        config.setMaximumPoolSize(THREADS);
        config.setAutoCommit(false);
        String lifetime = env("LIFETIME_SECONDS");
        config.setMaxLifetime(lifetime.isEmpty() ? 0 : 1000L * Integer.parseInt(lifetime));
        try (HikariDataSource pool = new HikariDataSource(config)) {
            CountDownLatch started = new CountDownLatch(THREADS);
            Thread[] threads = new Thread[THREADS];
            for (int i = 0; i < THREADS; i++) {
                threads[i] = new Thread(() -> work(pool, started));
                threads[i].start();
            }
            started.await();
            System.out.println("ready");
            drain();
            stopping = true;
            for (Thread thread : threads) thread.join();
        }
        String errors = ERRORS.entrySet().stream()
            .map(entry -> "\"%s\": %d".formatted(entry.getKey().replaceAll("[\"\\\\\\s]+", " "), entry.getValue()))
            .collect(Collectors.joining(", "));
        System.out.printf("{\"done\": %d, \"failed\": %d, \"errors\": {%s}}%n", done, failed, errors);
    }

    private static void work(HikariDataSource pool, CountDownLatch started) {
        boolean first = true;
        while (!stopping) {
            try {
                transact(pool);
                synchronized (ERRORS) {
                    done++;
                }
                if (first) started.countDown();
                first = false;
            } catch (SQLException error) {
                synchronized (ERRORS) {
                    failed++;
                    ERRORS.merge(String.valueOf(error.getMessage()).lines().findFirst().orElse(""), 1, Integer::sum);
                }
                pause(100);
            }
            pause(20);
        }
    }

    private static void transact(HikariDataSource pool) throws SQLException {
        try (Connection connection = pool.getConnection(); Statement statement = connection.createStatement()) {
            statement.execute("SELECT pg_sleep(0.005)");
            connection.commit();
        }
    }

    private static void drain() throws IOException {
        byte[] buffer = new byte[64];
        while (System.in.read(buffer) >= 0) {
            continue;
        }
    }

    private static void pause(long ms) {
        try {
            Thread.sleep(ms);
        } catch (InterruptedException error) {
            Thread.currentThread().interrupt();
        }
    }

    private static String env(String name) {
        return System.getenv().getOrDefault(name, "");
    }
}
