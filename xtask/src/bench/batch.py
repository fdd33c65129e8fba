"""DuckDB's side of `cargo xtask bench batch`: the same Parquet files, the same statements, as many threads.

    batch.py ask LAKE PLAN ROUNDS THREADS     asks what PLAN holds, prints one JSON object a line
    batch.py wide TABLE ROWS THREADS          writes a table of two narrow columns

What a grant does on our side (rows of one province, a masked name) stands in the views here.
"""
import datetime
import glob
import json
import os
import resource
import sys
import time

import duckdb

MASKED = "left(xm, 1) || repeat('*', length(xm) - 1)"


def text(cell):
    if cell is None:
        return None
    if isinstance(cell, bool):
        return "t" if cell else "f"
    if isinstance(cell, float):
        return repr(cell)
    if isinstance(cell, (datetime.date, datetime.datetime)):
        return str(cell)
    return str(cell)


def ask(lake, plan, rounds, threads):
    plan = json.load(open(plan, encoding="utf-8"))
    db = duckdb.connect()
    db.execute(f"SET threads = {threads}")
    db.execute("SET enable_progress_bar = false")
    for table in sorted(os.listdir(lake)):
        files = sorted(glob.glob(f"{lake}/{table}/*.parquet"))
        if not files:
            continue
        rows = f"read_parquet({files!r})"
        columns = [c[0] for c in db.execute(f"DESCRIBE SELECT * FROM {rows}").fetchall()]
        shown = [f"{MASKED} AS xm" if c == "xm" else f'"{c}"' for c in columns if not c.startswith("dsc_")]
        where = "WHERE region_code LIKE '33%'" if "region_code" in columns else ""
        db.execute(f"CREATE VIEW {table} AS SELECT {', '.join(shown)} FROM {rows} {where}")
    for round in range(rounds):
        for question in plan:
            begun, cpu = time.perf_counter(), time.process_time()
            rows = db.execute(question.get("theirs") or question["ours"]).fetchall()
            seconds, cpu = time.perf_counter() - begun, time.process_time() - cpu
            rows = [[text(cell) for cell in row] for row in rows]
            told = {"name": question["name"], "round": round, "seconds": seconds, "cpu": cpu, "rows": rows}
            print(json.dumps(told, ensure_ascii=False), flush=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(json.dumps({"peak_mb": peak, "version": duckdb.__version__}))


def wide(table, rows, threads):
    """Two columns whose values look like chance and are the same everywhere, in files of a hundred million rows."""
    os.makedirs(table, exist_ok=True)
    db = duckdb.connect()
    db.execute(f"SET threads = {threads}")
    db.execute("SET enable_progress_bar = false")
    step = 100_000_000
    for part, first in enumerate(range(0, rows, step)):
        last = min(first + step, rows)
        mixed = "(xor(x, x >> 13) * 1274126177) % 4294967296"
        values = (
            f"SELECT y >> 24 AS k, (y >> 8) % 100 AS v FROM (SELECT {mixed} AS y FROM "
            f"(SELECT (i * 2654435761) % 4294967296 AS x FROM range({first}, {last}) t(i)))"
        )
        db.execute(f"COPY ({values}) TO '{table}/part-{part:02}.parquet' (FORMAT parquet, COMPRESSION zstd)")
    size = sum(os.path.getsize(f) for f in glob.glob(f"{table}/*.parquet"))
    print(json.dumps({"rows": rows, "mb": size // 1_000_000}))


command, *rest = sys.argv[1:]
if command == "ask":
    ask(rest[0], rest[1], int(rest[2]), int(rest[3]))
else:
    wide(rest[0], int(rest[1]), int(rest[2]))
