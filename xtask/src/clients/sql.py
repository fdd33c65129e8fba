"""psql, psycopg 3, SQLAlchemy and ADBC against the SQL door of a demo: `python sql.py READY.json`.

Every client signs in, lists what it sees, reads rows with parameters and in its own ways, and is refused what is not
granted. Ends with an error at the first thing that is not as it should be."""

import json
import os
import subprocess
import sys

import adbc_driver_postgresql.dbapi
import psycopg
import sqlalchemy


def check(truth, what):
    if not truth:
        raise SystemExit(f"FAILED: {what}")


def door(ready):
    """Host, port, and an application that sees at least one table with rows."""
    host, port = ready["sql"].rsplit(":", 1)
    for app in ready["apps"]:
        url = dict(host=host, port=port, dbname="qiantang", user=app["key"], password=app["sql_password"])
        with psycopg.connect(**url) as connection:
            for (table,) in connection.execute(
                "select table_name from information_schema.tables where table_schema = 'public'"
            ).fetchall():
                count = connection.execute(f'select count(*) from "{table}"').fetchone()[0]
                if count > 10:
                    return url, table, count
    raise SystemExit("FAILED: no application of the demo sees a table by SQL")


def psql(url, *commands):
    arguments = ["psql", "-X", "-A", "-t", "-v", "ON_ERROR_STOP=1"]
    for command in commands:
        arguments += ["-c", command]
    env = dict(os.environ, PGHOST=url["host"], PGPORT=url["port"], PGDATABASE=url["dbname"],
               PGUSER=url["user"], PGPASSWORD=url["password"])
    done = subprocess.run(arguments, env=env, capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout, done.stderr


def try_psql(url, table, count):
    for command in ["\\dt", "\\l", "\\dn", f"\\d {table}", "\\conninfo", "\\encoding", "show server_version"]:
        code, out, err = psql(url, command)
        check(code == 0 and not err.strip(), f"psql {command}: {err}")
        if command == "\\dt":
            check(table in out, f"psql \\dt lists {table}: {out}")
    code, out, _ = psql(url, f'select count(*) from "{table}"')
    check(code == 0 and int(out.strip()) == count, "psql counts the rows")
    code, out, _ = psql(url, f'copy (select * from "{table}" limit 5) to stdout with csv header')
    check(code == 0 and len(out.strip().splitlines()) == 6, f"psql copies five rows: {out}")
    code, _, err = psql(url, f'delete from "{table}"')
    check(code != 0 and "SELECT" in err, "psql is refused a DELETE in words")
    code, _, err = psql(dict(url, password="wrong"), "select 1")
    check(code != 0, "psql with a wrong password is refused")
    code, out, err = psql(url, "\\set FETCH_COUNT 3", f'select * from "{table}" limit 10')
    check(code == 0 and len(out.strip().splitlines()) == 10, f"psql reads by a cursor: {err}")


def try_psycopg(url, table, count):
    with psycopg.connect(**url) as connection:
        row = connection.execute("select %s::int8 + 1, %s::text, %s::bool", (41, "x", True)).fetchone()
        check(row == (42, "x", True), f"psycopg's parameters: {row}")
        rows = connection.execute(f'select * from "{table}" limit 7', binary=True).fetchall()
        check(len(rows) == 7, "psycopg reads binary")
        with connection.cursor("pieces") as cursor:
            cursor.itersize = 4
            cursor.execute(f'select * from "{table}" limit 10')
            check(len(list(cursor)) == 10, "psycopg's cursor at the server")
        with connection.cursor() as cursor:
            with cursor.copy(f'copy (select * from "{table}" limit 9) to stdout') as copy:
                check(len(list(copy.rows())) == 9, "psycopg copies")
        connection.commit()
        try:
            connection.execute("select * from no_such_table")
            check(False, "a table that is not granted")
        except psycopg.errors.UndefinedTable:
            connection.rollback()
        try:
            connection.execute(f'create table x as select * from "{table}"')
            check(False, "only reading")
        except psycopg.errors.InsufficientPrivilege:
            connection.rollback()


def try_sqlalchemy(url, table, count):
    address = sqlalchemy.URL.create("postgresql+psycopg", url["user"], url["password"], url["host"],
                                    int(url["port"]), url["dbname"])
    engine = sqlalchemy.create_engine(address)
    seen = sqlalchemy.inspect(engine)
    check(table in seen.get_table_names(), f"SQLAlchemy lists {table}")
    columns = seen.get_columns(table)
    null = sqlalchemy.types.NullType
    check(columns and all(c["name"] and not isinstance(c["type"], null) for c in columns), f"SQLAlchemy's columns: {columns}")
    check(all(c["comment"] and c["default"] is None for c in columns), f"SQLAlchemy's comments: {columns}")
    check(seen.get_table_comment(table)["text"], "SQLAlchemy reads the table's comment")
    check(seen.get_foreign_keys(table) == [] and seen.get_indexes(table) == [], "no foreign keys, no further indexes")
    check(seen.get_unique_constraints(table) == [] and seen.get_check_constraints(table) == [], "no further constraints")
    check(seen.get_view_names() == [] and seen.get_schema_names() == ["information_schema", "public"], "no views, two schemas")
    check(not seen.has_table("no_such_table") and seen.has_table(table), "what is there, and what is not")
    # Everything at once, and one by one: the same tables, columns and keys.
    everything = sqlalchemy.MetaData()
    everything.reflect(engine)
    check(sorted(everything.tables) == sorted(seen.get_table_names()), f"SQLAlchemy reflects all: {list(everything.tables)}")
    for name, reflected in everything.tables.items():
        names = [c["name"] for c in seen.get_columns(name)]
        check([c.name for c in reflected.columns] == names, f"SQLAlchemy's columns of {name}")
        key = seen.get_pk_constraint(name)["constrained_columns"]
        check([c.name for c in reflected.primary_key] == key and set(key) <= set(names), f"SQLAlchemy's key of {name}: {key}")
        check(all(c.nullable != (c.name in key) for c in reflected.columns), f"what of {name} may be null")
        code, out, err = psql(url, "\\pset tuples_only off", f'\\d "{name}"')
        check(code == 0 and not err.strip() and all(f"{column}|" in out for column in names), f"psql \\d {name}: {out}{err}")
        check((f"PRIMARY KEY, btree ({', '.join(key)})" in out) == bool(key), f"psql \\d {name} tells its key: {out}")
    reflected = sqlalchemy.Table(table, sqlalchemy.MetaData(), autoload_with=engine)
    with engine.connect() as connection:
        found = connection.execute(sqlalchemy.select(sqlalchemy.func.count()).select_from(reflected)).scalar()
        check(found == count, f"SQLAlchemy counts: {found}")
        check(len(connection.execute(sqlalchemy.select(reflected).limit(3)).fetchall()) == 3, "SQLAlchemy reads")


def try_adbc(url, table, count):
    uri = f"postgresql://{url['user']}:{url['password']}@{url['host']}:{url['port']}/{url['dbname']}"
    with adbc_driver_postgresql.dbapi.connect(uri) as connection, connection.cursor() as cursor:
        cursor.execute(f'select * from "{table}"')
        found = cursor.fetch_arrow_table()
        check(found.num_rows == count and found.num_columns > 0, f"ADBC reads: {found.num_rows}")
        cursor.execute("select 1::int8 as a, 'x'::text as b where false")
        check(cursor.fetch_arrow_table().num_rows == 0, "ADBC reads nothing")


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        ready = json.load(file)
    url, table, count = door(ready)
    print(f"{table}: {count} rows")
    for name, attempt in [("psql", try_psql), ("psycopg", try_psycopg), ("SQLAlchemy", try_sqlalchemy), ("ADBC", try_adbc)]:
        if len(sys.argv) > 2 and name not in sys.argv[2:]:
            continue
        attempt(url, table, count)
        print(f"{name}: ok")
    with open(sys.argv[1] + ".sql", "w", encoding="utf-8") as file:
        file.write("\n".join([f"jdbc:postgresql://{url['host']}:{url['port']}/{url['dbname']}", url["user"],
                              url["password"], table, str(count)]))


main()
