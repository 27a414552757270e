// What pgjdbc can do, section by section, each step printed: directly and through crossfade it must print the same.

import java.io.StringReader;
import java.io.StringWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Array;
import java.sql.BatchUpdateException;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.ParameterMetaData;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.ResultSetMetaData;
import java.sql.SQLException;
import java.sql.SQLWarning;
import java.sql.Savepoint;
import java.sql.Statement;
import java.sql.Types;
import java.util.Arrays;
import java.util.Properties;
import java.util.TreeSet;
import org.postgresql.PGConnection;
import org.postgresql.PGNotification;
import org.postgresql.copy.CopyIn;
import org.postgresql.copy.CopyManager;
import org.postgresql.util.PSQLException;
import org.postgresql.util.ServerErrorMessage;

public class JdbcProgram {
    interface Section {
        void go(Connection connection) throws Exception;
    }

    static void tell(Object... what) {
        StringBuilder line = new StringBuilder();
        for (Object one : what) {
            line.append(one instanceof int[] counts ? Arrays.toString(counts) : one instanceof byte[] bytes ? Arrays.toString(bytes) : String.valueOf(one)).append(' ');
        }
        System.out.println(line);
    }

    static Connection connect(String... settings) throws SQLException {
        Properties properties = new Properties();
        properties.setProperty("user", System.getenv("PGUSER"));
        for (int at = 0; at < settings.length; at += 2) {
            properties.setProperty(settings[at], settings[at + 1]);
        }
        String database = properties.getProperty("database", System.getenv("PGDATABASE"));
        return DriverManager.getConnection("jdbc:postgresql://" + System.getenv("PGHOST") + ":" + System.getenv("PGPORT") + "/" + database, properties);
    }

    static void rows(ResultSet rows) throws SQLException {
        ResultSetMetaData meta = rows.getMetaData();
        StringBuilder line = new StringBuilder("columns");
        for (int at = 1; at <= meta.getColumnCount(); at++) {
            line.append(' ').append(meta.getColumnLabel(at)).append(':').append(meta.getColumnTypeName(at)).append(':').append(meta.getColumnType(at))
                .append(':').append(meta.getTableName(at)).append('.').append(meta.getColumnName(at)).append(':').append(meta.getPrecision(at))
                .append(':').append(meta.isNullable(at)).append(':').append(meta.isAutoIncrement(at));
        }
        tell(line);
        while (rows.next()) {
            line = new StringBuilder("row");
            for (int at = 1; at <= meta.getColumnCount(); at++) {
                line.append(" | ").append(rows.getString(at));
            }
            tell(line);
        }
    }

    // Everything that a statement left: results, counts, warnings.
    static void results(Statement statement, boolean isRows) throws SQLException {
        while (true) {
            if (isRows) {
                rows(statement.getResultSet());
            } else if (statement.getUpdateCount() >= 0) {
                tell("count", statement.getUpdateCount());
            } else {
                break;
            }
            isRows = statement.getMoreResults();
        }
        for (SQLWarning warning = statement.getWarnings(); warning != null; warning = warning.getNextWarning()) {
            tell("warning", warning.getSQLState(), warning.getMessage());
        }
    }

    static void refused(SQLException error) {
        tell("refused", error.getClass().getSimpleName(), error.getSQLState(), error.getMessage().replace('\n', ' '));
        ServerErrorMessage said = error instanceof PSQLException psql ? psql.getServerErrorMessage() : null;
        if (said != null) {
            tell("   ", said.getSeverity(), said.getDetail(), said.getHint(), said.getPosition(), said.getInternalPosition(), said.getInternalQuery(), said.getWhere(),
                said.getSchema(), said.getTable(), said.getColumn(), said.getDatatype(), said.getConstraint(), said.getFile(), said.getLine(), said.getRoutine());
        }
        if (error.getNextException() != null) {
            refused(error.getNextException());
        }
    }

    static void attempt(Connection connection, String text) {
        try (Statement statement = connection.createStatement()) {
            results(statement, statement.execute(text));
        } catch (SQLException error) {
            refused(error);
        }
    }

    static void attempt(Connection connection, String text, Object... values) {
        try (PreparedStatement statement = connection.prepareStatement(text)) {
            bind(statement, values);
            results(statement, statement.execute());
        } catch (SQLException error) {
            refused(error);
        }
    }

    static void bind(PreparedStatement statement, Object... values) throws SQLException {
        for (int at = 0; at < values.length; at++) {
            statement.setObject(at + 1, values[at]);
        }
    }

    static void parameters(Connection connection) throws Exception {
        tell(new java.util.TreeMap<>(connection.unwrap(PGConnection.class).getParameterStatuses()).keySet());
        tell(connection.getMetaData().getDatabaseProductVersion(), connection.getCatalog(), connection.getSchema(), connection.isValid(5));
        attempt(connection, "select pg_backend_pid() = ? as mine", connection.unwrap(PGConnection.class).getBackendPID());
        try (Connection other = connect("ApplicationName", "the program", "options", "-c work_mem=5MB", "currentSchema", "pg_catalog,public", "readOnly", "true")) {
            attempt(other, "select current_setting('work_mem'), current_setting('application_name'), current_setting('search_path'), current_setting('TimeZone')");
            attempt(other, "insert into keyless values ('read only')");
            other.setAutoCommit(false);
            attempt(other, "insert into keyless values ('read only')");
        }
        for (String[] wrong : new String[][] {{"database", "nowhere"}, {"user", "nobody"}, {"options", "-c nothing=1"}, {"sslmode", "require"}}) {
            try (Connection other = connect(wrong)) {
                tell("connected");
            } catch (SQLException error) {
                refused(error);
            }
        }
        for (String mode : new String[] {"simple", "extended", "extendedForPrepared", "extendedCacheEverything"}) {
            try (Connection other = connect("preferQueryMode", mode, "prepareThreshold", "2")) {
                tell(mode);
                for (int n = 0; n < 4; n++) {
                    attempt(other, "insert into keyed (name, n) values (?, ?)", mode + n, n);
                    attempt(other, "update keyed set n = n + ? where name = ? returning name, n", n, mode + n);
                    attempt(other, "insert into keyed (name) values ('" + mode + "') on conflict (name) do update set n = " + n + " returning n");
                }
                attempt(other, "insert into keyed (name) values (?)", mode + 1);
                attempt(other, "delete from keyed where name like ?", mode + "%");
            }
        }
    }

    static void reads(Connection connection) throws Exception {
        for (String mode : new String[] {"simple", "extended", "extendedForPrepared", "extendedCacheEverything"}) {
            try (Connection other = connect("preferQueryMode", mode, "prepareThreshold", "2")) {
                tell(mode);
                try (PreparedStatement kept = other.prepareStatement("select * from settled where id = ?")) {
                    for (int n = 1; n < 6; n++) {
                        kept.setInt(1, n);
                        rows(kept.executeQuery());
                    }
                }
                attempt(other, "select count(*), sum(int8), min(label), max(day) from settled where n > ?", 3);
                attempt(other, "select a.id, b.label from settled a join settled b on b.id = a.n where a.id < ? order by a.id", 20);
                attempt(other, "select id from settled where id = ?", -1);
                attempt(other, "table settled order by id");
                for (String wrong : new String[] {"select 1 / (id - 1) from settled where id = 1", "select nothing from settled", "select 'x'::int from settled"}) {
                    attempt(other, wrong);
                    attempt(other, "select label from settled where id = ?", 7);
                }
                for (String setting : new String[] {"TimeZone = 'Asia/Tokyo'", "bytea_output = 'escape'", "extra_float_digits = -3"}) {
                    attempt(other, "set " + setting);
                    attempt(other, "select at::text, bytea::text, float8::text from settled where id = ?", 9);
                }
                // In portions.
                other.setAutoCommit(false);
                try (PreparedStatement portions = other.prepareStatement("select id, label from settled where id < ? order by id")) {
                    portions.setFetchSize(7);
                    portions.setInt(1, 30);
                    rows(portions.executeQuery());
                }
                other.commit();
                other.setReadOnly(true);
                attempt(other, "select sum(n) from settled where id > ?", 5);
                other.commit();
                other.setReadOnly(false);
                other.setAutoCommit(true);
                for (int n = 0; n < 4; n++) {
                    attempt(other, "insert into keyed (name, n) values (?, ?)", "read " + mode + n, n);
                    attempt(other, "select name, n from keyed where name like ? order by name", "read " + mode + "%");
                    attempt(other, "update keyed set n = n + 1 where name like ?", "read " + mode + "%");
                    attempt(other, "select sum(n) from keyed where name like ?", "read " + mode + "%");
                }
            }
        }
    }

    static void types(Connection connection) throws Exception {
        attempt(connection, "insert into typed select (typed_values()).*");
        // Text at first, binary from the fifth on.
        for (int n = 0; n < 7; n++) {
            attempt(connection, "select * from typed where id = ?", 1);
        }
        try (PreparedStatement insert = connection.prepareStatement(
                "insert into typed (id, bool, int2, int4, int8, float4, float8, numeric, text, bytea, date, time, timestamp, timestamptz, uuid, jsonb, ints, texts, mood, pair)"
                + " values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?::jsonb, ?, ?, ?::mood, ?::pair) returning *")) {
            ParameterMetaData meta = insert.getParameterMetaData();
            StringBuilder line = new StringBuilder("parameters");
            for (int at = 1; at <= meta.getParameterCount(); at++) {
                line.append(' ').append(meta.getParameterTypeName(at));
            }
            tell(line);
            for (int n = 2; n < 10; n++) {
                Array ints = connection.createArrayOf("int4", new Integer[] {1, null, n});
                Array texts = connection.createArrayOf("text", new String[] {"a", null, "b,\"c"});
                bind(insert, n, n % 2 == 0, (short) -n, Integer.MIN_VALUE, Long.MAX_VALUE, 1.5f, Double.NaN, new java.math.BigDecimal("123.4500"), "ü € 😀", new byte[] {0, -1, 92},
                    java.time.LocalDate.of(2026, 1, 2), java.time.LocalTime.of(3, 4, 5), java.time.LocalDateTime.of(2026, 1, 2, 3, 4, 5, 678901000),
                    java.time.OffsetDateTime.parse("2026-01-02T03:04:05Z"), java.util.UUID.fromString("00000000-0000-0000-0000-000000000007"), "{\"n\": " + n + "}", ints, texts, "ok", "(1,x)");
                results(insert, insert.execute());
            }
        }
        try (PreparedStatement update = connection.prepareStatement("update typed set int8 = ?, text = ?, bytea = ?, float8 = ? where id = ? returning id, int8, text, bytea, float8")) {
            for (int n = 1; n < 8; n++) {
                update.setLong(1, n);
                update.setNull(2, Types.VARCHAR);
                update.setBytes(3, new byte[n]);
                update.setDouble(4, n / 2.0);
                update.setInt(5, n);
                try (ResultSet returned = update.executeQuery()) {
                    while (returned.next()) {
                        tell(returned.getInt(1), returned.getLong(2), returned.getString(3), returned.wasNull(), returned.getBytes(4), returned.getDouble(5));
                    }
                }
            }
        }
        try (ResultSet read = connection.createStatement().executeQuery("select * from typed where id = 3")) {
            read.next();
            tell(read.getObject("numeric"), read.getObject("date"), read.getObject("timestamptz", java.time.OffsetDateTime.class), read.getObject("uuid"), read.getArray("texts"), read.getObject("jsonb"));
        }
        attempt(connection, "select to_jsonb(t) from typed t order by id");
    }

    static void prepared(Connection connection) throws Exception {
        try (PreparedStatement insert = connection.prepareStatement("insert into keyed (name, n) values (?, ?)");
             PreparedStatement update = connection.prepareStatement("update keyed set n = n + ? where name = ? returning name, n");
             PreparedStatement keyless = connection.prepareStatement("insert into keyless values (?, ?)");
             PreparedStatement delete = connection.prepareStatement("delete from keyless where n = ?")) {
            for (int n = 0; n < 12; n++) {
                bind(insert, "name " + n, n);
                tell(insert.executeUpdate());
                bind(update, n, "name " + n);
                results(update, update.execute());
                bind(keyless, "again", n);
                tell(keyless.executeUpdate(), keyless.executeUpdate());
                bind(delete, n);
                tell(delete.executeLargeUpdate());
            }
            bind(keyless, "again", 1);
            attempt(connection, "alter table keyless add extra text");
            tell(keyless.executeUpdate());
            attempt(connection, "alter table keyless drop extra");
            tell(keyless.executeUpdate());
            bind(insert, "name 1", 1);
            for (int n = 0; n < 2; n++) {
                try {
                    insert.executeUpdate();
                } catch (SQLException error) {
                    refused(error);
                }
            }
            attempt(connection, "deallocate all");
            bind(insert, "gone", 1);
            tell(insert.executeUpdate());
            attempt(connection, "discard all");
            bind(update, 1, "name 1");
            results(update, update.execute());
        }
        // More statements than the driver's cache holds, so that it closes some.
        try (Connection other = connect("preparedStatementCacheQueries", "3", "prepareThreshold", "1")) {
            for (int n = 0; n < 12; n++) {
                attempt(other, "insert into keyless values (?, " + n % 5 + ")", "cached");
                attempt(other, "update keyed set n = " + n % 6 + " where name = ?", "name 1");
            }
            attempt(other, "delete from keyless where name = ?", "cached");
        }
    }

    static void batches(Connection connection) throws Exception {
        for (String rewrite : new String[] {"false", "true"}) {
            try (Connection other = connect("reWriteBatchedInserts", rewrite)) {
                String name = "batch " + rewrite;
                try (PreparedStatement insert = other.prepareStatement("insert into keyed (name, n) values (?, ?)")) {
                    for (int n = 0; n < 300; n++) {
                        bind(insert, name + n, n);
                        insert.addBatch();
                    }
                    tell(insert.executeBatch());
                    for (String wrong : new String[] {name + "x", name + "y", name + 1, name + "z"}) {
                        bind(insert, wrong, 1);
                        insert.addBatch();
                    }
                    insert.executeBatch();
                } catch (BatchUpdateException error) {
                    tell(error.getUpdateCounts());
                    refused(error);
                }
                try (PreparedStatement insert = other.prepareStatement("insert into made (n) values (?)", Statement.RETURN_GENERATED_KEYS)) {
                    for (int n = 0; n < 20; n++) {
                        bind(insert, n);
                        insert.addBatch();
                    }
                    tell(insert.executeBatch());
                    rows(insert.getGeneratedKeys());
                }
                try (Statement mixed = other.createStatement()) {
                    mixed.addBatch("insert into keyless values ('batched', 1)");
                    mixed.addBatch("update keyless set n = 2 where name = 'batched'");
                    mixed.addBatch("delete from keyed where name like '" + name + "%'");
                    mixed.addBatch("delete from keyless where name = 'batched'");
                    tell(mixed.executeBatch());
                    mixed.addBatch("insert into keyless values ('undone')");
                    mixed.addBatch("select 1");
                    tell(mixed.executeBatch());
                } catch (BatchUpdateException error) {
                    tell(error.getUpdateCounts());
                    refused(error);
                }
                attempt(other, "select count(*) from keyless where name = 'undone'");
            }
        }
    }

    static void copies(Connection connection) throws Exception {
        CopyManager manager = connection.unwrap(PGConnection.class).getCopyAPI();
        StringBuilder lines = new StringBuilder();
        for (int n = 0; n < 200; n++) {
            lines.append("copied ").append(n).append('\t').append(n).append('\n');
        }
        tell(manager.copyIn("copy keyed (name, n) from stdin", new StringReader(lines.toString())));
        tell(manager.copyIn("copy keyless from stdin (format csv, header)", new StringReader("name,n\n\"csv, one\",1\ncsv two,\n")));
        for (String text : new String[] {"copy (select name, n from keyed order by id) to stdout", "copy keyless to stdout (format csv)"}) {
            StringWriter out = new StringWriter();
            tell(manager.copyOut(text, out), out);
        }
        for (String wrong : new String[] {"copied\t1\nnonsense\n", "a\tb\n", "copied 1\t1\n"}) {
            try {
                manager.copyIn("copy keyed (name, n) from stdin", new StringReader(wrong));
            } catch (SQLException error) {
                refused(error);
            }
        }
        CopyIn given = manager.copyIn("copy keyed (name) from stdin");
        byte[] half = "half\n".getBytes(StandardCharsets.UTF_8);
        given.writeToCopy(half, 0, half.length);
        given.cancelCopy();
        attempt(connection, "select count(*), count(n) from keyed");
    }

    static void cursors(Connection connection) throws Exception {
        connection.setAutoCommit(false);
        for (int size : new int[] {0, 3, 7}) {
            try (PreparedStatement select = connection.prepareStatement("select g, 'row ' || g as label from generate_series(1, 20) g where g > ?")) {
                select.setFetchSize(size);
                bind(select, 2);
                rows(select.executeQuery());
            }
        }
        try (Statement insert = connection.createStatement()) {
            insert.setFetchSize(3);
            rows(insert.executeQuery("insert into keyless select 'portion', g from generate_series(1, 10) g returning n"));
        }
        try (PreparedStatement update = connection.prepareStatement("update keyed set n = n + 1 where name like 'copied 1%' returning name")) {
            update.setFetchSize(4);
            try (ResultSet returned = update.executeQuery()) {
                for (int n = 0; n < 6 && returned.next(); n++) {
                    tell(returned.getString(1));
                }
            }
        }
        connection.commit();
        try (Statement limited = connection.createStatement()) {
            limited.setMaxRows(4);
            rows(limited.executeQuery("update keyless set n = n + 1 where name = 'portion' returning n"));
            rows(limited.executeQuery("select g from generate_series(1, 10) g"));
        }
        connection.commit();
        attempt(connection, "select sum(n) from keyless where name = 'portion'");
        try (Statement select = connection.createStatement(ResultSet.TYPE_SCROLL_INSENSITIVE, ResultSet.CONCUR_UPDATABLE)) {
            ResultSet changing = select.executeQuery("select id, name, n from keyed where name like 'copied 5%' order by id");
            changing.absolute(2);
            changing.updateInt("n", 500);
            changing.updateRow();
            changing.next();
            changing.deleteRow();
            changing.moveToInsertRow();
            changing.updateString("name", "inserted by the cursor");
            changing.insertRow();
            tell(changing.getInt("id") > 0, changing.getString("name"));
        }
        connection.commit();
        attempt(connection, "select name, n from keyed where name like 'copied 5%' or name like 'inserted%' order by id");
        connection.commit();
    }

    static void transactions(Connection connection) throws Exception {
        connection.setAutoCommit(false);
        for (int level : new int[] {Connection.TRANSACTION_READ_COMMITTED, Connection.TRANSACTION_REPEATABLE_READ, Connection.TRANSACTION_SERIALIZABLE}) {
            connection.setTransactionIsolation(level);
            attempt(connection, "update keyed set n = n + 1 where name = ?", "copied 1");
            attempt(connection, "show transaction_isolation");
            connection.commit();
        }
        connection.setTransactionIsolation(Connection.TRANSACTION_READ_COMMITTED);
        connection.setReadOnly(true);
        attempt(connection, "insert into keyless values (?)", "read only");
        attempt(connection, "select 1");
        connection.rollback();
        connection.setReadOnly(false);
        attempt(connection, "insert into keyed (name) values (?)", "rolled back");
        connection.rollback();
        attempt(connection, "insert into keyed (name, n) values ('in parts', 0)");
        Savepoint one = connection.setSavepoint("one");
        attempt(connection, "update keyed set n = 1 where name = 'in parts'");
        Savepoint two = connection.setSavepoint();
        attempt(connection, "insert into keyed (name) values (?)", "in parts");
        attempt(connection, "insert into keyless values (?)", "never");
        connection.rollback(two);
        connection.rollback(one);
        attempt(connection, "insert into keyless values (?)", "behind the savepoint");
        connection.releaseSavepoint(one);
        connection.commit();
        attempt(connection, "insert into keyed (name) values (?)", "in parts");
        try {
            connection.commit();
        } catch (SQLException error) {
            refused(error);
        }
        attempt(connection, "select n from keyed where name = 'in parts'");
        connection.rollback();
        try (Connection saving = connect("autosave", "always")) {
            saving.setAutoCommit(false);
            attempt(saving, "insert into keyed (name) values (?)", "saved 1");
            attempt(saving, "insert into keyed (name) values (?)", "saved 1");
            attempt(saving, "insert into keyed (name) values (?)", "saved 2");
            saving.commit();
            attempt(saving, "select name from keyed where name like 'saved%' order by id");
            saving.rollback();
        }
    }

    static void errors(Connection connection) throws Exception {
        for (String text : new String[] {"insert into keyed (id, name) values (1, 'taken')", "insert into keyed (name) values ('copied 1')", "insert into keyed (n) values (1000)",
            "insert into keyed (parent) values (-1)", "insert into keyed (nothing) values (1)", "insert into nothing values (1)", "update keyed set n = 'x'",
            "update keyed set n = 1 / 0", "update keyed set n = nothing(1)", "delete from keyed where", "delete from keyed where 'ü' = nothing", "insert into made (id) values (1)",
            "update made set twice = 1", "insert into parted values (5000)", "insert into typed (id, positive) values (99, -1)", "selec 1",
            "do $$ begin raise exception 'raised' using errcode = 'UX001', detail = 'd', hint = 'h', column = 'c', table = 't', schema = 's', datatype = 'x', constraint = 'y'; end $$"}) {
            attempt(connection, text);
            attempt(connection, "insert into keyless values (?, 0)", "after it");
        }
        attempt(connection, "insert into keyed (name, n) values (?, ?)", "a", "b");
        attempt(connection, "insert into keyed (name, n) values (?, ?)", "a");
        for (int n = 0; n < 8; n++) {
            attempt(connection, "insert into keyed (n) values (?::int / ?::int)", 4, n % 2);
        }
        attempt(connection, "select count(*) from keyless where name = 'after it'");
    }

    static void several(Connection connection) throws Exception {
        attempt(connection, "insert into keyed (name, n) values ('several', 1); update keyed set n = 2 where name = 'several' returning n; select 1 as one, 2 as two;"
            + "insert into keyless values ('several'), ('several'); delete from keyed where name = 'several';; values (1), (2)");
        attempt(connection, "insert into keyed (name) values (?); insert into keyless values (?, 1); select ?::int; delete from keyless where name = ?", "several", "several", 3, "several");
        attempt(connection, "insert into keyed (name) values ('a'); insert into keyed (name) values ('a'); select 1");
        attempt(connection, "insert into keyed (name) values (?); insert into keyed (name) values (?); select 1", "a", "a");
        attempt(connection, "insert into keyed (name) values ('a'); selec 1");
        attempt(connection, "begin; insert into keyless values ('one message', 1); commit; insert into keyless values ('one message', 2) returning *");
        attempt(connection, "select * from keyless where name = 'one message'");
        attempt(connection, "");
        attempt(connection, ";;");
    }

    static void generated(Connection connection) throws Exception {
        try (Statement insert = connection.createStatement()) {
            tell(insert.executeUpdate("insert into made (n) values (4), (5)", Statement.RETURN_GENERATED_KEYS));
            rows(insert.getGeneratedKeys());
            tell(insert.executeUpdate("insert into made (n) values (6)", new String[] {"id", "twice"}));
            rows(insert.getGeneratedKeys());
            tell(insert.executeUpdate("update made set n = n + 1 where n = 6", Statement.RETURN_GENERATED_KEYS));
            rows(insert.getGeneratedKeys());
        }
        try (PreparedStatement insert = connection.prepareStatement("insert into made (n) values (?)", new String[] {"id"})) {
            for (int n = 0; n < 7; n++) {
                bind(insert, n);
                tell(insert.executeUpdate());
                rows(insert.getGeneratedKeys());
            }
        }
        attempt(connection, "insert into keyed (name) values ('conflict'), ('copied 3') on conflict (name) do update set n = 9 returning name, n, xmax = 0 as fresh");
        attempt(connection, "insert into keyed (name) values ('conflict') on conflict do nothing");
        attempt(connection, "insert into parted values (1, 'low'), (500, 'high') returning *");
        attempt(connection, "update parted set id = id + 200 where id = ? returning *", 1);
        attempt(connection, "delete from parted returning id");
    }

    static void large(Connection connection) throws Exception {
        String big = "0123456789abcdef".repeat(250_000);
        attempt(connection, "insert into keyed (name, big) values ('big', ?) returning length(big)", big);
        attempt(connection, "update keyed set big = big || 'x' where name = 'big' returning length(big), md5(big)");
        attempt(connection, "insert into keyless values ('" + big + "', 1)");
        attempt(connection, "delete from keyless where length(name) > ?", 100);
        attempt(connection, "insert into keyless select 'wide', g from generate_series(1, 20000) g");
        try (Statement delete = connection.createStatement(); ResultSet gone = delete.executeQuery("delete from keyless where name = 'wide' returning n")) {
            int count = 0;
            while (gone.next()) {
                count++;
            }
            tell(count);
        }
    }

    static void talk(Connection connection) throws Exception {
        attempt(connection, "do $$ begin raise notice 'hello' using hint = 'h'; raise warning 'careful'; end $$");
        attempt(connection, "drop table if exists nothing");
        attempt(connection, "rollback");
        attempt(connection, "listen news");
        try (Connection other = connect()) {
            attempt(other, "notify news, 'from another'");
            attempt(other, "begin; insert into keyless values ('notified', 1); select pg_notify('news', 'in a transaction'); commit");
        }
        attempt(connection, "notify news, 'from myself'");
        TreeSet<String> heard = new TreeSet<>();
        PGConnection session = connection.unwrap(PGConnection.class);
        for (int tries = 0; heard.size() < 3 && tries < 100; tries++) {
            PGNotification[] arrived = session.getNotifications(100);
            for (PGNotification one : arrived == null ? new PGNotification[0] : arrived) {
                heard.add(one.getName() + " " + one.getParameter() + " " + (one.getPID() == session.getBackendPID()));
            }
        }
        tell(heard);
    }

    static void cancel(Connection connection) throws Exception {
        for (String text : new String[] {"select pg_sleep(60)", "update keyed set n = 1 where pg_sleep(60) is not null"}) {
            try (PreparedStatement statement = connection.prepareStatement(text)) {
                Thread canceller = new Thread(() -> {
                    try {
                        Thread.sleep(500);
                        statement.cancel();
                    } catch (InterruptedException | SQLException error) {
                        tell(error);
                    }
                });
                canceller.start();
                statement.execute();
            } catch (SQLException error) {
                refused(error);
            }
            attempt(connection, "insert into keyless values (?)", "after the cancel");
        }
        try (Statement late = connection.createStatement()) {
            late.setQueryTimeout(1);
            late.execute("update keyed set n = 1 where pg_sleep(60) is not null");
        } catch (SQLException error) {
            refused(error);
        }
        attempt(connection, "insert into keyless values (?)", "after the timeout");
    }

    static void section(String name, Section section) throws Exception {
        tell("== " + name);
        try (Connection connection = connect()) {
            section.go(connection);
        }
    }

    public static void main(String[] arguments) throws Exception {
        Path here = Path.of(System.getProperty("program.folder"));
        try (Connection connection = connect()) {
            connection.createStatement().execute(Files.readString(here.resolve("tables.sql")));
        }
        // Writes are captured once the new tables are known.
        Thread.sleep((long) (1000 * Double.parseDouble(System.getenv("SETTLE"))));
        section("parameters", JdbcProgram::parameters);
        section("reads", JdbcProgram::reads);
        section("types", JdbcProgram::types);
        section("prepared", JdbcProgram::prepared);
        section("batches", JdbcProgram::batches);
        section("copies", JdbcProgram::copies);
        section("cursors", JdbcProgram::cursors);
        section("transactions", JdbcProgram::transactions);
        section("errors", JdbcProgram::errors);
        section("several", JdbcProgram::several);
        section("generated", JdbcProgram::generated);
        section("large", JdbcProgram::large);
        section("talk", JdbcProgram::talk);
        section("cancel", JdbcProgram::cancel);
    }
}
