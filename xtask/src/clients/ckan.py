"""Clients of CKAN against a demo: ckanapi (PyPI) as a library and by its command line, and the questions that ckanext-harvest,
udata's harvester and QGIS' CKAN browser ask. Nothing of them is changed but the address.

Ends with an error at the first thing that is not as it should be.

    python ckan.py READY.json
"""

import csv
import io
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import requests
from ckanapi import NotAuthorized, NotFound, RemoteCKAN, ValidationError

ready = json.load(open(sys.argv[1]))
gateway = ready["gateway"].rstrip("/")
PUBLIC = "kqzl_rb"  # air quality: freely open, with a key
HIDDEN = "rk_jbxx"  # persons: not open


def check(truth, what):
    if not truth:
        raise SystemExit(f"FAILED: {what}")
    print("ok", what)


def refused(kind, what, work):
    try:
        work()
    except kind as refusal:
        print("ok", what, "·", type(refusal).__name__, str(refusal)[:100])
        return
    raise SystemExit(f"FAILED: {what}: it was not refused")


ckan = RemoteCKAN(gateway, apikey="whatever", user_agent="ckanapi clients")
act = ckan.action

# --- The catalogue, as a library.
check(act.status_show()["ckan_version"].startswith("2."), "status_show tells a version")
check(act.site_read() is True, "site_read")
names = act.package_list()
check(PUBLIC in names and HIDDEN not in names, f"package_list names {len(names)} open data sets")
every = {}
while True:
    page = act.package_search(q="*:*", rows=7, start=len(every), sort="id asc")
    if not page["results"]:
        break
    every.update((p["name"], p) for p in page["results"])
check(sorted(every) == sorted(names), "package_search pages over all of them, once each")
check(page["count"] == len(names), "and counts them")
for name in names:
    shown = act.package_show(id=name)
    if shown != every[name]:
        raise SystemExit(f"FAILED: package_show of {name} differs from the search")
print("ok package_show tells what the search told")
first = act.package_show(id=PUBLIC)
check(act.package_show(id=first["id"])["name"] == PUBLIC, "a set is found by its id")
found = act.package_search(q="空气质量", fq="res_format:CSV", **{"facet.field": ["organization", "groups", "res_format"]})
check(any(p["name"] == PUBLIC for p in found["results"]), "Chinese words find it")
check(found["search_facets"]["organization"]["items"][0]["count"] >= 1, "facets are counted")
group = act.group_list(all_fields=True)[0]
check(act.group_show(id=group["name"])["package_count"] == group["package_count"], "group_show")
for org in act.organization_list(all_fields=True):
    count = act.package_search(fq=f'organization:{org["name"]}', rows=0)["count"]
    if count != org["package_count"]:
        raise SystemExit(f"FAILED: {org['name']} has {count}, its list says {org['package_count']}")
print("ok organisations are counted alike by list and search")
refused(NotFound, "a hidden set", lambda: act.package_show(id=HIDDEN))
refused(NotFound, "an unknown set", lambda: act.package_show(id="nothing"))
refused(NotAuthorized, "a write", lambda: act.package_create(name="mine"))
refused(NotAuthorized, "SQL", lambda: act.datastore_search_sql(sql="SELECT 1"))
refused(ValidationError, "a wrong limit", lambda: act.datastore_search(resource_id=PUBLIC, limit="many"))

# --- Rows.
table = next(r for r in first["resources"] if r["datastore_active"])
head = act.datastore_search(resource_id=table["id"], limit=0)
columns = [f["id"] for f in head["fields"] if f["id"] != "_id"]
whole = requests.get(table["url"])
lines = list(csv.DictReader(io.StringIO(whole.text)))
check(len(lines) == head["total"], f"the dump has all {head['total']} rows")
check(list(lines[0]) == ["_id", *columns], "and all columns")
rows = []
while page := act.datastore_search(resource_id=table["id"], limit=500, offset=len(rows))["records"]:
    rows += page
check([r["_id"] for r in rows] == list(range(1, len(lines) + 1)), "pages number all rows")
# A dump tells rows as they were landed, pages tell them by their key.
key = columns[:3]
told = lambda all: sorted(tuple(str(r[c]) for c in key) for r in all)
check(told(rows) == told(lines), "pages tell the same rows")
some = act.datastore_search(resource_id=table["id"], filters={columns[0]: [lines[0][columns[0]], lines[1][columns[0]]]})
check(some["total"] >= 2 and all(r[columns[0]] in (lines[0][columns[0]], lines[1][columns[0]]) for r in some["records"]), "filters by a list")
distinct = act.datastore_search(resource_id=table["id"], fields=[columns[0]], distinct=True, limit=10000)
check(distinct["total"] == len({line[columns[0]] for line in lines}), "distinct values are counted")
info = act.datastore_info(id=table["id"])
check([f["id"] for f in info["fields"]] == columns, "datastore_info names the columns")
head = requests.head(table["url"])
check(head.ok and head.headers["content-type"].startswith("text/csv"), "HEAD of a resource, as QGIS asks")

# --- ckanapi by its command line.
# It starts workers by its own name.
home = Path(sys.executable).parent
path = {**os.environ, "PATH": f"{home}{os.pathsep}{os.environ['PATH']}"}
folder = Path(tempfile.mkdtemp())


def run(*args):
    command = [home / "ckanapi", *args, "-r", gateway]
    done = subprocess.run(command, env=path, capture_output=True, text=True, timeout=300)
    check(done.returncode == 0, f"ckanapi {' '.join(args[:4])} {done.stderr[-300:]}")
    return done.stdout


dumped = folder / "d.jsonl"
run("dump", "datasets", "--all", "-O", str(dumped), "-q")
kept = [json.loads(line) for line in dumped.read_text().splitlines()]
check(sorted(p["name"] for p in kept) == sorted(names), "ckanapi dump datasets --all has them all")
for what in ("groups", "organizations"):
    file = folder / f"{what}.jsonl"
    run("dump", what, "--all", "-O", str(file), "-q")
    check(len(file.read_text().splitlines()) >= 1, f"ckanapi dump {what} --all")
searched = run("search", "datasets", "q=空气").splitlines()
check(any(json.loads(line)["name"] == PUBLIC for line in searched), "ckanapi search datasets finds it")
told = json.loads(run("action", "datastore_search", f"resource_id={PUBLIC}", "limit:3", "-g"))
check(len(told["records"]) == 3, "ckanapi action by GET")
packaged = folder / "packages"
packaged.mkdir()
run("dump", "datasets", PUBLIC, "-D", str(packaged), "-d", "-q")
described = json.loads((packaged / PUBLIC / "datapackage.json").read_text())
check(described["name"] == PUBLIC and described["resources"], "ckanapi writes a data package")

# --- ckanext-harvest: pages of a hundred, in order of id, until one is empty; then what changed since.
seen, start, before = set(), 0, None
while True:
    url = f"{gateway}/api/3/action/package_search?rows=100&start={start}&sort=id asc"
    page = requests.get(url).json()["result"]["results"]
    if not page:
        break
    check(page != before, "no page comes twice")
    seen |= {p["id"] for p in page}
    before, start = page, start + 100
check(len(seen) == len(names), "a harvest has them all")
newest = max(p["metadata_modified"] for p in every.values())
ask = {"fq": f"metadata_modified:[{newest[:23]}Z TO *]", "rows": 100}
since = requests.get(f"{gateway}/api/3/action/package_search", params=ask).json()["result"]
wanted = {p["name"] for p in every.values() if p["metadata_modified"] >= newest}
check({p["name"] for p in since["results"]} == wanted, "a harvest since then has what changed")
some = act.organization_list()[:2]
fq = " OR ".join(f"organization:{o}" for o in some)
check(act.package_search(fq=f"({fq})", rows=0)["count"] > 0, "a harvest of two organisations")

# --- QGIS' CKAN browser.
groups = requests.get(f"{gateway}/api/3/action/group_list?all_fields=true").json()["result"]
check(all(g["display_name"] and g["name"] for g in groups), "QGIS lists groups")
two = " OR ".join(f"groups:{g['name']}" for g in groups[:2])
ask = f"{gateway}/api/3/action/package_search?q=&fq=({two.replace(' ', '+')})&sort=name+asc&rows=10&start=0"
told = requests.get(ask).json()["result"]
check(told["count"] >= len(told["results"]) > 0, "QGIS searches within two groups, by name")

# --- udata's harvester: the JSON type, and the older way to ask whether CKAN is there.
answer = requests.get(f"{gateway}/api/3/action/package_list")
check(answer.headers["content-type"] == "application/json", "udata reads JSON")
check("ckan_version" in requests.get(f"{gateway}/api/util/status").json(), "udata asks for the status")
wrong = requests.get(f"{gateway}/api/3/action/package_search?q=colour:red")
check(wrong.status_code == 400 and wrong.json()["error"]["__type"] == "Search Query Error", "what cannot be searched is refused")
