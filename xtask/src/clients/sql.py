"""psql, psycopg 3, SQLAlchemy and ADBC against the SQL door of a demo:

    python sql.py READY.json                              as the ready file says
    python sql.py READY.json HOST:PORT TRUST PORTAL       by TLS: the certificate is checked (sslmode=verify-full)

TRUST is a folder: ca.crt, an authority of the door and of its clients; other.crt, another; own and unknown (.crt, .key; own.pk8, too),
certificates of clients by the first. PORTAL is where the first of them is registered for the application.

Every client signs in, lists what it sees, reads rows with parameters and in its own ways, and is refused what is not
granted. By TLS one that trusts another authority (other.crt) stays outside, and the key of a registered certificate enters without
a password. What the JDBC driver is to use is written into READY.json.sql, by key READY.json.key. Ends with an error at the first thing that is not as it should be."""

import hashlib
import http.cookiejar
import json
import os
import re
import ssl
import subprocess
import sys
import threading
import urllib.parse
import urllib.request

import adbc_driver_postgresql.dbapi
import psycopg
import sqlalchemy


def check(truth, what):
    if not truth:
        raise SystemExit(f"FAILED: {what}")


def door(ready, at, tls):
    """An application that sees at least one table with rows, and how it connects. `tls`: what libpq is to check."""
    host, port = at.rsplit(":", 1)
    for app in ready["apps"]:
        url = dict(host=host, port=port, dbname="qiantang", user=app["key"], password=app["sql_password"], **tls)
        with psycopg.connect(**url) as connection:
            for (table,) in connection.execute(
                "select table_name from information_schema.tables where table_schema = 'public'"
            ).fetchall():
                count = connection.execute(f'select count(*) from "{table}"').fetchone()[0]
                if count > 10:
                    return app, url, table, count
    raise SystemExit("FAILED: no application of the demo sees a table by SQL")


def tls_of(url):
    return {name: value for name, value in url.items() if name.startswith("ssl")}


def query_of(url):
    """What is said of TLS, as the end of an address."""
    return "?" + urllib.parse.urlencode(tls_of(url)) if tls_of(url) else ""


def psql(url, *commands):
    arguments = ["psql", "-X", "-w", "-A", "-t", "-v", "ON_ERROR_STOP=1"]
    for command in commands:
        arguments += ["-c", command]
    env = dict(os.environ, PGHOST=url["host"], PGPORT=url["port"], PGDATABASE=url["dbname"],
               PGUSER=url["user"], PGPASSWORD=url.get("password", ""))
    for name, value in tls_of(url).items():
        env["PG" + name.upper()] = value
    done = subprocess.run(arguments, env=env, capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout, done.stderr


def try_psql(url, table, count):
    for command in ["\\dt", "\\l", "\\dn", f"\\d {table}", "\\dt+", f"\\d+ {table}", "\\conninfo", "\\encoding", "show server_version"]:
        code, out, err = psql(url, command)
        check(code == 0 and not err.strip(), f"psql {command}: {err}")
        if command == "\\dt":
            check(table in out, f"psql \\dt lists {table}: {out}")
        if command == "\\conninfo" and tls_of(url):
            check("ssl connection" in out.lower(), f"psql says that it comes by TLS: {out}")
    code, out, _ = psql(url, "select to_char(date '2026-03-02', 'YYYY-MM')")
    check(code == 0 and out.strip() == "2026-03", f"patterns of dates are PostgreSQL's: {out}")
    code, out, _ = psql(url, f"select distinct data_type from information_schema.columns where table_name = '{table}'")
    check(code == 0 and not {"Utf8View", "Utf8", "Int64", "Date32"} & set(out.split()), f"types go by SQL's names: {out}")
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


def try_tls(url, other):
    """Who cannot check the certificate stays outside; who does not want to check it comes in by TLS all the same."""
    code, _, err = psql(dict(url, sslrootcert=other), "select 1")
    check(code != 0 and "certificate" in err, f"psql by another authority: {err}")
    code, _, err = psql(dict(url, host="127.0.0.1"), "select 1")
    check(code != 0 and "127.0.0.1" in err and "match" in err, f"psql by a name that is not in the certificate: {err}")
    for way in ["require", "verify-ca"]:
        code, out, err = psql(dict(url, sslmode=way), "select 1")
        check(code == 0 and out.strip() == "1", f"psql with sslmode={way}: {err}")
    with psycopg.connect(**url) as connection:
        check(connection.pgconn.ssl_in_use, "psycopg comes by TLS")


class Owner:
    """Who keeps the application, at the console."""

    def __init__(self, ready, portal, app):
        jar = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        self.opener, self.portal = urllib.request.build_opener(urllib.request.ProxyHandler({}), jar), portal.rstrip("/")
        self.page = f"/console/applications/{app['id']}/certificates"
        account = next(a for a in ready["accounts"] if a["role"] == "consumer")
        self.post("/login", "/login", name=account["user"], password=account["password"])

    def post(self, page, path, **form):
        text = self.opener.open(self.portal + page, timeout=60).read().decode()
        form["csrf"] = re.search(r'name="csrf" value="([^"]+)"', text).group(1)
        return self.opener.open(self.portal + path, urllib.parse.urlencode(form).encode(), timeout=60).read().decode()

    def register(self, pem):
        page = self.post(self.page, self.page, name="clients", certificate=pem)
        check(thumbprint(pem) in page, "a certificate is registered")

    def remove(self, pem):
        page = self.post(self.page, f"{self.page}/remove", thumbprint=thumbprint(pem))
        check(thumbprint(pem) not in page, "a certificate is removed")


def thumbprint(pem):
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()


def shown(url, trust, name):
    """The same client with a certificate."""
    return dict(url, sslcert=f"{trust}/{name}.crt", sslkey=f"{trust}/{name}.key")


def refused_key(url, words, what):
    code, _, err = psql(url, "select 1")
    check(code != 0 and words in err, f"psql, {what}: {err}")
    try:
        psycopg.connect(**url)
        check(False, f"psycopg, {what}")
    except psycopg.OperationalError as refusal:
        check(words in str(refusal), f"psycopg, {what}: {refusal}")


def try_keys(ready, app, url, table, count, trust, portal):
    """By the key of a certificate (sslcert, sslkey), once and as long as it is registered; with a certificate that is not no
    password helps."""
    owner = Owner(ready, portal, app)
    with open(f"{trust}/own.crt", encoding="ascii") as file:
        pem = file.read()
    plain = {name: value for name, value in url.items() if name != "password"}
    own, unknown = shown(plain, trust, "own"), shown(plain, trust, "unknown")
    code, _, err = psql(plain, "select 1")
    check(code != 0 and "password" in err, f"psql with neither: {err}")
    refused_key(own, "registered for no application", "a key that is not registered yet")
    owner.register(pem)
    code, out, err = psql(own, f'select count(*) from "{table}"')
    check(code == 0 and int(out.strip()) == count, f"psql by key: {err}")
    refused_key(unknown, "registered for no application", "a key that nobody registered")
    refused_key(dict(unknown, password=url["password"]), "registered for no application", "the same with a password")
    another = next(a["key"] for a in ready["apps"] if a["key"] != url["user"])
    refused_key(dict(own, user=another), "another application", "a key under another name")
    if psycopg.pq.version() >= 160000:
        with psycopg.connect(**shown(url, trust, "unknown"), sslcertmode="disable") as connection:
            check(connection.execute("select 1::int8").fetchone() == (1,), "psycopg by password, with the certificate kept back")
    with psycopg.connect(**own) as connection:
        check(connection.execute(f'select count(*) from "{table}"').fetchone() == (count,), "psycopg by key")
        owner.remove(pem)
        try:
            connection.execute("select 1")
            check(False, "a session whose certificate was removed")
        except psycopg.errors.InvalidAuthorizationSpecification:
            connection.close()
    refused_key(own, "registered for no application", "a key that was taken back")
    owner.register(pem)
    # ADBC, and JDBC after it, with the certificate registered anew.
    uri = f"postgresql://{own['user']}@{own['host']}:{own['port']}/{own['dbname']}{query_of(own)}"
    with adbc_driver_postgresql.dbapi.connect(uri) as connection, connection.cursor() as cursor:
        cursor.execute(f'select * from "{table}"')
        check(cursor.fetch_arrow_table().num_rows == count, "ADBC by key")


def try_no_tls(url):
    """A door without a certificate says so to a client that wants TLS."""
    code, _, err = psql(dict(url, sslmode="require"), "select 1")
    check(code != 0 and "SSL" in err, f"psql with sslmode=require at a door without a certificate: {err}")


def try_cancel(url, table):
    """As a person presses Ctrl-C: the statement ends, the session goes on."""
    with psycopg.connect(**url) as connection:
        long = f'select count(*) from generate_series(1, 100000000000) a(n), "{table}"'
        later = threading.Timer(1.0, connection.cancel)
        later.start()
        try:
            connection.execute(long)
            check(False, "a statement that is cancelled")
        except psycopg.errors.QueryCanceled:
            connection.rollback()
        later.join()
        check(connection.execute("select 1::int8").fetchone() == (1,), "the session goes on")


def try_psycopg(url, table, count):
    try_cancel(url, table)
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
                                    int(url["port"]), url["dbname"], query=tls_of(url))
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
    uri = f"postgresql://{url['user']}:{url['password']}@{url['host']}:{url['port']}/{url['dbname']}{query_of(url)}"
    with adbc_driver_postgresql.dbapi.connect(uri) as connection, connection.cursor() as cursor:
        cursor.execute(f'select * from "{table}"')
        found = cursor.fetch_arrow_table()
        check(found.num_rows == count and found.num_columns > 0, f"ADBC reads: {found.num_rows}")
        cursor.execute("select 1::int8 as a, 'x'::text as b where false")
        check(cursor.fetch_arrow_table().num_rows == 0, "ADBC reads nothing")


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        ready = json.load(file)
    at, tls, trust, portal = ready["sql"], {}, None, None
    if len(sys.argv) > 2:
        at, trust, portal = sys.argv[2:5]
        tls = dict(sslmode="verify-full", sslrootcert=f"{trust}/ca.crt")
    app, url, table, count = door(ready, at, tls)
    print(f"{table}: {count} rows{', by TLS' if tls else ''}")
    if tls:
        try_tls(url, f"{trust}/other.crt")
        try_keys(ready, app, url, table, count, trust, portal)
        print("by key: ok")
    else:
        try_no_tls(url)
    for name, attempt in [("psql", try_psql), ("psycopg", try_psycopg), ("SQLAlchemy", try_sqlalchemy), ("ADBC", try_adbc)]:
        attempt(url, table, count)
        print(f"{name}: ok")
    for_jdbc(sys.argv[1] + ".sql", url, table, count)
    if tls:
        # This driver reads a key as PKCS#8 in DER.
        by_key = dict(shown(url, trust, "own"), sslkey=f"{trust}/own.pk8", password="")
        for_jdbc(sys.argv[1] + ".key", by_key, table, count)


def for_jdbc(path, url, table, count):
    """What Jdbc.java reads."""
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join([f"jdbc:postgresql://{url['host']}:{url['port']}/{url['dbname']}{query_of(url)}", url["user"],
                              url["password"], table, str(count)]))


main()
