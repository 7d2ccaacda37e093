// pgJDBC: it prepares a statement on the server after prepareThreshold executions, fetches in portions, and has three query modes.
import java.io.StringReader;
import java.io.StringWriter;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Savepoint;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.Properties;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.postgresql.PGConnection;
import org.postgresql.PGNotification;

public final class JdbcProgram {
  private static final int CLIENTS = (int) number("DRIVERS_CLIENTS"); // more than the pool has servers
  private static final int ROUNDS = (int) number("DRIVERS_ROUNDS");
  private static final long LIMIT_MS = (long) (number("DRIVERS_LIMIT_S") * 1000);

  private interface Check {
    void run() throws Exception;
  }

  private interface Work {
    void run(int client) throws Exception;
  }

  private static double number(String name) {
    return Double.parseDouble(System.getenv(name));
  }

  // ---- what all checks use

  private static Connection connect(String... options) throws SQLException {
    Properties all = new Properties();
    all.setProperty("user", System.getenv("PGUSER"));
    all.setProperty("password", System.getenv("PGPASSWORD"));
    all.setProperty("sslmode", "disable");
    for (int i = 0; i < options.length; i += 2) {
      all.setProperty(options[i], options[i + 1]);
    }
    return DriverManager.getConnection(
        "jdbc:postgresql://" + System.getenv("PGHOST") + ":" + System.getenv("PGPORT") + "/" + System.getenv("PGDATABASE"), all);
  }

  private static void equal(Object got, Object want) {
    if (!Objects.equals(got, want)) {
      throw new AssertionError(got + ", not " + want);
    }
  }

  private static void fails(String state, Check action) throws Exception {
    try {
      action.run();
    } catch (SQLException problem) {
      equal(problem.getSQLState(), state);
      return;
    }
    throw new AssertionError("no error, not " + state);
  }

  private static void execute(Connection connection, String sql) throws SQLException {
    try (Statement statement = connection.createStatement()) {
      statement.execute(sql);
    }
  }

  /** The columns of the only row, as text. */
  private static List<String> row(PreparedStatement statement, Object... values) throws SQLException {
    for (int i = 0; i < values.length; i++) {
      statement.setObject(i + 1, values[i]);
    }
    try (ResultSet result = statement.executeQuery()) {
      List<String> columns = new ArrayList<>();
      result.next();
      for (int i = 1; i <= result.getMetaData().getColumnCount(); i++) {
        columns.add(result.getString(i));
      }
      equal(result.next(), false);
      return columns;
    }
  }

  private static List<String> row(Connection connection, String sql, Object... values) throws SQLException {
    try (PreparedStatement statement = connection.prepareStatement(sql)) {
      return row(statement, values);
    }
  }

  private static List<String> texts(Object... values) {
    return Arrays.stream(values).map(value -> value == null ? null : value.toString()).toList();
  }

  private static void freshTable() throws SQLException {
    try (Connection connection = connect()) {
      execute(connection, "DROP TABLE IF EXISTS jdbc_rows; CREATE TABLE jdbc_rows (owner int, n int, word text, PRIMARY KEY (owner, n))");
    }
  }

  private static void allClients(Work work) throws Exception {
    ExecutorService threads = Executors.newFixedThreadPool(CLIENTS, JdbcProgram::daemon);
    List<Future<?>> all = new ArrayList<>();
    for (int i = 0; i < CLIENTS; i++) {
      int client = i;
      all.add(threads.submit((Callable<Void>) () -> {
        work.run(client);
        return null;
      }));
    }
    for (Future<?> one : all) {
      one.get();
    }
    threads.shutdown();
  }

  private static Thread daemon(Runnable body) {
    Thread thread = new Thread(body);
    thread.setDaemon(true);
    return thread;
  }

  // ---- the checks

  private static void types() throws Exception {
    try (Connection connection = connect("prepareThreshold", "2");
        PreparedStatement statement = connection.prepareStatement("SELECT ?::int, ?::text, ?::numeric, ?::bool, ?::float8, ?::date, ?::text")) {
      for (int i = 0; i < 8; i++) { // unnamed, then named, then binary
        equal(row(statement, 7, "zwölf", new java.math.BigDecimal("1.50"), true, 0.25, java.sql.Date.valueOf("2024-02-29"), null),
            texts(7, "zwölf", "1.50", "t", 0.25, "2024-02-29", null));
      }
    }
  }

  private static Check workers(String... options) {
    return () -> {
      freshTable();
      allClients(client -> {
        try (Connection connection = connect(options);
            PreparedStatement insert = connection.prepareStatement("INSERT INTO jdbc_rows VALUES (?, ?, ?)");
            PreparedStatement sums = connection.prepareStatement("SELECT count(*), sum(n) FROM jdbc_rows WHERE owner = ?")) {
          connection.setAutoCommit(false);
          for (int n = 0; n < ROUNDS; n++) {
            insert.setInt(1, client);
            insert.setInt(2, n);
            insert.setString(3, "word " + n);
            equal(insert.executeUpdate(), 1);
            equal(row(sums, client), texts(n + 1, n * (n + 1) / 2));
            connection.commit();
          }
        }
      });
      try (Connection connection = connect()) {
        equal(row(connection, "SELECT count(*) FROM jdbc_rows"), texts(CLIENTS * ROUNDS));
      }
    };
  }

  private static void transactions() throws Exception {
    freshTable();
    try (Connection connection = connect()) {
      connection.setAutoCommit(false);
      execute(connection, "INSERT INTO jdbc_rows VALUES (1, 1, 'kept')");
      Savepoint here = connection.setSavepoint("here");
      fails("23505", () -> execute(connection, "INSERT INTO jdbc_rows VALUES (1, 1, 'twice')"));
      fails("25P02", () -> execute(connection, "SELECT 1"));
      connection.rollback(here);
      connection.commit();
      execute(connection, "DELETE FROM jdbc_rows");
      connection.rollback();
      equal(row(connection, "SELECT word FROM jdbc_rows"), texts("kept"));
      connection.commit();
    }
  }

  /** setTransactionIsolation and setReadOnly are SET SESSION CHARACTERISTICS, or options of BEGIN. */
  private static void isolationAndReadOnly() throws Exception {
    allClients(client -> {
      try (Connection connection = connect("readOnlyMode", client % 2 == 0 ? "always" : "transaction")) {
        connection.setTransactionIsolation(client % 3 == 0 ? Connection.TRANSACTION_SERIALIZABLE : Connection.TRANSACTION_REPEATABLE_READ);
        connection.setReadOnly(true);
        connection.setAutoCommit(false);
        for (int n = 0; n < ROUNDS; n++) {
          equal(row(connection, "SELECT current_setting('transaction_isolation'), current_setting('transaction_read_only')"),
              texts(client % 3 == 0 ? "serializable" : "repeatable read", "on"));
          fails("25006", () -> execute(connection, "CREATE TABLE jdbc_never (n int)"));
          connection.rollback();
        }
      }
    });
  }

  private static void errors() throws Exception {
    try (Connection connection = connect("prepareThreshold", "1");
        PreparedStatement division = connection.prepareStatement("SELECT 1 / ?::int")) {
      for (int n = 0; n < 5; n++) {
        fails("42601", () -> execute(connection, "SELEC 1"));
        fails("42P01", () -> row(connection, "SELECT * FROM nowhere_to_be_found WHERE n = ?", 1));
        fails("22012", () -> row(division, 0));
        equal(row(division, 1), texts(1));
      }
    }
  }

  private static void moreStatementsThanKept() throws Exception {
    allClients(client -> {
      try (Connection connection = connect("prepareThreshold", "1", "preparedStatementCacheQueries", "5")) {
        for (int n = 0; n < 3 * ROUNDS; n++) {
          equal(row(connection, "SELECT ?::int + " + n % 13, client), texts(client + n % 13));
        }
      }
    });
  }

  /** One statement that lives for the whole session, over commits and with others between. */
  private static void preparedOverTransactions() throws Exception {
    allClients(client -> {
      try (Connection connection = connect("prepareThreshold", "1");
          PreparedStatement mine = connection.prepareStatement("SELECT ?::int + " + client);
          PreparedStatement same = connection.prepareStatement("SELECT ?::int * 2")) {
        for (int n = 0; n < ROUNDS; n++) {
          connection.setAutoCommit(n % 2 == 0);
          equal(row(mine, n), texts(n + client));
          equal(row(same, n), texts(2 * n));
          if (n % 2 != 0) {
            connection.commit();
          }
        }
      }
    });
  }

  /** Outside of a transaction pgJDBC prepares anew after "cached plan must not change result type", and nobody notices. */
  private static void aTableChanges() throws Exception {
    try (Connection connection = connect("prepareThreshold", "1"); Connection other = connect()) {
      execute(other, "DROP TABLE IF EXISTS jdbc_change; CREATE TABLE jdbc_change (n int); INSERT INTO jdbc_change VALUES (1)");
      List<String> want = new ArrayList<>(List.of("1"));
      try (PreparedStatement statement = connection.prepareStatement("SELECT * FROM jdbc_change")) {
        for (int n = 0; n < 4; n++) {
          equal(row(statement), want);
          equal(row(statement), want);
          execute(other, "ALTER TABLE jdbc_change ADD COLUMN c" + n + " text DEFAULT 'new'");
          want.add("new");
        }
      }
    }
  }

  private static void batches() throws Exception {
    freshTable();
    allClients(client -> {
      try (Connection connection = connect(client % 2 == 0 ? "reWriteBatchedInserts" : "prepareThreshold", client % 2 == 0 ? "true" : "1");
          PreparedStatement insert = connection.prepareStatement("INSERT INTO jdbc_rows VALUES (?, ?, ?)")) {
        for (int part = 0; part < 3; part++) {
          for (int n = 0; n < 200; n++) {
            insert.setInt(1, client);
            insert.setInt(2, part * 200 + n);
            insert.setString(3, "batch");
            insert.addBatch();
          }
          equal(insert.executeBatch().length, 200);
        }
        insert.setInt(1, client);
        insert.setInt(2, 1);
        insert.setString(3, "twice");
        insert.addBatch();
        fails("23505", insert::executeBatch);
        equal(row(connection, "SELECT count(*), sum(n) FROM jdbc_rows WHERE owner = ?", client), texts(600, 599 * 600 / 2));
      }
    });
  }

  /** A portal that is read in portions, which needs its transaction. */
  private static void fetchInPortions() throws Exception {
    allClients(client -> {
      try (Connection connection = connect()) {
        connection.setAutoCommit(false);
        for (int n = 0; n < 3; n++) {
          try (PreparedStatement statement = connection.prepareStatement("SELECT g FROM generate_series(?, ? + 999) g")) {
            statement.setInt(1, client);
            statement.setInt(2, client);
            statement.setFetchSize(50);
            int next = client;
            try (ResultSet result = statement.executeQuery()) {
              while (result.next()) {
                equal(result.getInt(1), next++);
              }
            }
            equal(next, client + 1000);
          }
          connection.commit();
        }
      }
    });
  }

  private static void copy() throws Exception {
    freshTable();
    allClients(client -> {
      try (Connection connection = connect()) {
        var copies = connection.unwrap(PGConnection.class).getCopyAPI();
        StringBuilder rows = new StringBuilder();
        for (int n = 0; n < 500; n++) {
          rows.append(client).append('\t').append(n).append("\tword\n");
        }
        equal(copies.copyIn("COPY jdbc_rows FROM STDIN", new StringReader(rows.toString())), 500L);
        fails("23505", () -> copies.copyIn("COPY jdbc_rows FROM STDIN", new StringReader(rows.toString())));
        StringWriter out = new StringWriter();
        copies.copyOut("COPY (SELECT * FROM jdbc_rows WHERE owner = " + client + " ORDER BY n) TO STDOUT", out);
        equal(out.toString(), rows.toString());
      }
    });
  }

  private static void settings() throws Exception {
    allClients(client -> {
      try (Connection connection = connect("ApplicationName", "client " + client, "options", "-c app.born=" + client, "prepareThreshold", "1")) {
        execute(connection, "SET app.who = 'client " + client + "'");
        connection.setSchema("pg_catalog");
        for (int n = 0; n < ROUNDS; n++) {
          equal(row(connection, "SELECT current_setting('application_name'), current_setting('app.born'), current_setting('app.who'), current_schema()"),
              texts("client " + client, client, "client " + client, "pg_catalog"));
          if (n == ROUNDS / 2) {
            connection.setClientInfo("ApplicationName", "client " + client);
          }
        }
      }
    });
  }

  private static void cancel() throws Exception {
    try (Connection connection = connect(); Statement statement = connection.createStatement()) {
      for (int n = 0; n < 2; n++) {
        statement.setQueryTimeout(1);
        fails("57014", () -> statement.execute("SELECT pg_sleep(15)"));
        equal(row(connection, "SELECT ?::int", n), texts(n));
      }
    }
  }

  private static void notifications() throws Exception {
    try (Connection listener = connect(); Connection speaker = connect()) {
      execute(listener, "LISTEN jdbc_news");
      List<String> heard = new ArrayList<>();
      for (int n = 0; n < 5; n++) {
        row(speaker, "SELECT pg_notify('jdbc_news', ?)", "number " + n);
        PGNotification[] news = listener.unwrap(PGConnection.class).getNotifications(30000);
        for (PGNotification one : news == null ? new PGNotification[0] : news) {
          heard.add(one.getParameter());
        }
      }
      equal(heard, texts("number 0", "number 1", "number 2", "number 3", "number 4"));
    }
  }

  /** With autocommit off, BEGIN and LISTEN are one batch, also of a client that listens already. */
  private static void notificationsInTransactions() throws Exception {
    try (Connection listener = connect(); Connection speaker = connect()) {
      listener.setAutoCommit(false);
      for (int n = 0; n < 5; n++) {
        execute(listener, "LISTEN jdbc_" + n);
        listener.commit();
        List<String> want = new ArrayList<>(), heard = new ArrayList<>();
        for (int channel = 0; channel <= n; channel++) {
          row(speaker, "SELECT pg_notify(?, ?)", "jdbc_" + channel, n + " of " + channel);
          if (channel == 0 || channel > n - 2) { // the last two, and the first
            want.add(n + " of " + channel);
          }
        }
        while (heard.size() < want.size()) {
          PGNotification[] news = listener.unwrap(PGConnection.class).getNotifications(30000);
          if (news == null || news.length == 0) {
            break;
          }
          for (PGNotification one : news) {
            heard.add(one.getParameter());
          }
        }
        equal(heard, want);
        if (n > 1) {
          execute(listener, "UNLISTEN jdbc_" + (n - 1));
          listener.rollback();
        }
        if (n > 0) {
          execute(listener, "UNLISTEN jdbc_" + (n - 1 > 0 ? n - 1 : 4711));
          listener.commit();
        }
      }
    }
  }

  // ---- the frame

  private static void run(String name, Check check) throws InterruptedException {
    Throwable[] caught = new Throwable[1];
    Thread thread = daemon(() -> {
      try {
        check.run();
      } catch (Throwable problem) {
        caught[0] = problem;
      }
    });
    thread.start();
    thread.join(LIMIT_MS);
    if (thread.isAlive()) {
      caught[0] = new AssertionError("not done after " + TimeUnit.MILLISECONDS.toSeconds(LIMIT_MS) + " s");
    }
    if (caught[0] == null) {
      System.out.println("ok - " + name);
      return;
    }
    System.out.println("not ok - " + name + ": " + String.valueOf(caught[0].getMessage()).replaceAll("\\s+", " "));
    for (StackTraceElement place : caught[0].getStackTrace()) {
      if (place.getClassName().startsWith("JdbcProgram")) {
        System.out.println("# " + place);
      }
    }
  }

  public static void main(String[] arguments) throws Exception {
    run("types", JdbcProgram::types);
    run("workers", workers());
    run("workers, prepared at once", workers("prepareThreshold", "1"));
    run("workers, never prepared", workers("prepareThreshold", "0"));
    run("workers, simple protocol", workers("preferQueryMode", "simple"));
    run("workers, savepoints around each statement", workers("autosave", "always"));
    run("transactions", JdbcProgram::transactions);
    run("isolation and read only", JdbcProgram::isolationAndReadOnly);
    run("errors", JdbcProgram::errors);
    run("more statements than kept", JdbcProgram::moreStatementsThanKept);
    run("prepared over transactions", JdbcProgram::preparedOverTransactions);
    run("a table changes", JdbcProgram::aTableChanges);
    run("batches", JdbcProgram::batches);
    run("fetch in portions", JdbcProgram::fetchInPortions);
    run("copy", JdbcProgram::copy);
    run("settings", JdbcProgram::settings);
    run("cancel", JdbcProgram::cancel);
    run("notifications", JdbcProgram::notifications);
    run("notifications in transactions", JdbcProgram::notificationsInTransactions);
    System.exit(0); // what hangs must not keep us
  }
}
