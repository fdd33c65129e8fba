// The JDBC driver of PostgreSQL against the SQL door: `java -cp postgresql.jar Jdbc.java FILE`, where FILE holds address,
// user, password, table and its number of rows, a line each.

import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.DatabaseMetaData;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.List;

public class Jdbc {
    static void check(boolean truth, String what) {
        if (!truth) {
            System.err.println("FAILED: " + what);
            System.exit(1);
        }
    }

    public static void main(String[] arguments) throws Exception {
        List<String> given = Files.readAllLines(Path.of(arguments[0]));
        String table = given.get(3);
        long count = Long.parseLong(given.get(4));
        try (Connection connection = DriverManager.getConnection(given.get(0), given.get(1), given.get(2))) {
            DatabaseMetaData meta = connection.getMetaData();
            boolean listed = false;
            try (ResultSet tables = meta.getTables(null, "public", "%", new String[] {"TABLE"})) {
                while (tables.next()) {
                    listed |= table.equals(tables.getString("TABLE_NAME"));
                }
            }
            check(listed, "getTables lists " + table);
            int columns = 0;
            try (ResultSet found = meta.getColumns(null, "public", table, "%")) {
                while (found.next()) {
                    check(found.getString("TYPE_NAME") != null, "getColumns tells types");
                    columns++;
                }
            }
            check(columns > 0, "getColumns lists columns");
            try (ResultSet keys = meta.getPrimaryKeys(null, "public", table)) {
                while (keys.next()) {
                    check(keys.getString("COLUMN_NAME") != null, "getPrimaryKeys tells columns");
                }
            }
            try (ResultSet schemas = meta.getSchemas()) {
                check(schemas.next(), "getSchemas");
            }
            try (PreparedStatement sum = connection.prepareStatement("select ?::bigint + ?::bigint")) {
                // The driver goes over to statements at the server after some uses.
                for (int n = 0; n < 8; n++) {
                    sum.setLong(1, n);
                    sum.setLong(2, 1);
                    try (ResultSet row = sum.executeQuery()) {
                        check(row.next() && row.getLong(1) == n + 1, "parameters");
                    }
                }
            }
            connection.setAutoCommit(false);
            try (Statement pieces = connection.createStatement()) {
                pieces.setFetchSize(5);
                long rows = 0;
                try (ResultSet row = pieces.executeQuery("select * from \"" + table + "\"")) {
                    while (row.next()) {
                        rows++;
                    }
                }
                check(rows == count, "rows by pieces: " + rows);
            }
            connection.commit();
            connection.setAutoCommit(true);
            try (Statement statement = connection.createStatement()) {
                statement.execute("delete from \"" + table + "\"");
                check(false, "a DELETE is refused");
            } catch (SQLException refused) {
                check("42501".equals(refused.getSQLState()), "SQLSTATE " + refused.getSQLState());
            }
        }
        String address = given.get(0);
        System.out.println("JDBC: ok" + (address.contains("sslmode=") ? ", by TLS" : "") + (address.contains("sslcert=") ? ", by key" : ""));
    }
}
