"""Clients of CKAN against a demo: ckanapi (PyPI) as a library and by its command line, and the questions that ckanext-harvest,
udata's harvester and QGIS' CKAN browser ask. Nothing of them is changed but the address. Last, `ckanapi load` by a personal token
that a person who compiles makes in the console: drafts, which a second person publishes there.

Ends with an error at the first thing that is not as it should be.

    python ckan.py READY.json
"""

import csv
import io
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import requests
from ckanapi import NotAuthorized, NotFound, RemoteCKAN, ValidationError

ready = json.load(open(sys.argv[1]))
gateway, portal = ready["gateway"].rstrip("/"), ready["portal"].rstrip("/")
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

# --- ckanapi load: drafts by a token, published by people.


class Person:
    """Somebody at the console."""

    def __init__(self, role):
        self.session = requests.Session()
        account = next(a for a in ready["accounts"] if a["role"] == role)
        form = {"name": account["user"], "password": account["password"], "csrf": self.csrf("/login")}
        self.session.post(portal + "/login", data=form).raise_for_status()

    def get(self, page):
        answer = self.session.get(portal + page)
        answer.raise_for_status()
        return answer.text

    def csrf(self, page):
        return re.search(r'name="csrf" value="([^"]+)"', self.session.get(portal + page).text).group(1)

    def post(self, page, path, **form):
        answer = self.session.post(portal + path, data=dict(form, csrf=self.csrf(page)))
        answer.raise_for_status()
        return answer.text


provider, authority = Person("provider"), Person("authority")
made = provider.post("/account/tokens", "/account/tokens", name="ckanapi", days="7")
token = re.search(r'id="token">(qtp_[^<]+)<', made).group(1)
check(token not in provider.get("/account/tokens"), "a token is shown once")
mine = RemoteCKAN(gateway, apikey=token)
org = mine.action.organization_list_for_user()[0]
check(org["name"] and org["title"], f"the token is of {org['title']}")


def load(things, file, *more, expected=0):
    log = folder / "load.log"
    log.unlink(missing_ok=True)
    command = [home / "ckanapi", "load", things, "-I", str(file), "-r", gateway, "-a", token, "-l", str(log), *more]
    done = subprocess.run(command, env=path, capture_output=True, text=True, timeout=300)
    check(done.returncode == expected, f"ckanapi load {things} {' '.join(more)} ends with {done.returncode} {done.stderr[-300:]}")
    # [time, record, action, error, response]
    return [json.loads(line) for line in log.read_text().splitlines()]


def lines(name, all):
    file = folder / name
    file.write_text("".join(json.dumps(one, ensure_ascii=False) + "\n" for one in all))
    return file


def package(name, title, **more):
    return {
        "name": name, "title": title, "notes": f"{title}，由脚本写入", "owner_org": org["name"],
        "tags": [{"name": "脚本"}], "groups": [{"name": "ecology-and-environment"}], "license_id": "cc-by",
        "extras": [{"key": "update_cycle", "value": "monthly"}],
        "resources": [{"name": "全部", "url": "https://data.example/all.csv", "format": "CSV"}],
        **more,
    }


ours = [package("load-trees", "行道树清单"), package("load-wells", "水井清单")]
told = load("datasets", lines("new.jsonl", ours))
check([t[2:] for t in told] == [["create", None, "load_trees"], ["create", None, "load_wells"]], "two drafts are made")
for name in ("load_trees", "load-trees"):
    refused(NotFound, f"nobody sees the draft {name}", lambda: act.package_show(id=name))
    check(mine.action.package_show(id=name)["state"] == "draft", f"the token sees the draft {name}")
check("load_trees" not in act.package_list(), "it is in no list")
ours[0]["title"] = "行道树名录"
told = load("datasets", lines("again.jsonl", ours))
check([t[2:4] for t in told] == [["update", None]] * 2, "the same file once more updates them")
draft = mine.action.package_show(id="load_trees")
check(draft["title"] == "行道树名录" and draft["version"] == "2", "with what has changed")
check(mine.action.package_show(id="load_wells")["version"] == "1", "and without a version where nothing has")
told = load("datasets", lines("new.jsonl", ours), "-n", expected=3)
check([t[3] for t in told] == ["ValidationError"] * 2, "--create-only is told that they are there")
told = load("datasets", lines("unknown.jsonl", [package("load-nothing", "没有的目录")]), "-o", expected=3)
check(told[0][3] == "NotFound", "--update-only makes nothing")
told = load("datasets", lines("long.jsonl", [package("load-long", "长" * 600)]), expected=3)
check(told[0][3] == "ValidationError" and "title" in told[0][4], "what is too long is told by its field")
told = load("datasets", lines("theirs.jsonl", [package("load-theirs", "别家的", owner_org="nobody-of-ours")]), expected=3)
check(told[0][3] == "NotAuthorized", "another organisation's is refused")
lost = mine.action.package_create(**package("load-lost", "未保存的字段", author_email="a@example.org"))
check(any(f["field"] == "author_email" for f in lost["not_kept"]), "what was not kept is told")
check(mine.action.package_delete(id="load_lost") is None, "a draft is given up")
refused(NotFound, "it is gone", lambda: mine.action.package_show(id="load_lost"))

link = mine.action.resource_create(package_id="load_trees", url="https://data.example/all.json", name="接口", format="JSON")
check(mine.action.resource_patch(id=link["id"], name="数据接口")["name"] == "数据接口", "a link is patched")
refused(ValidationError, "a link that leads nowhere", lambda: mine.action.resource_create(package_id="load_trees", url="javascript:x"))
refused(ValidationError, "a file", lambda: mine.action.resource_create(package_id="load_trees", upload=io.BytesIO(b"id\n1\n")))

page = f"/console/entries/{draft['id']}"
check("行道树名录" in provider.get(page), "the department sees the draft in the console")
for who, move in ((provider, "submit"), (authority, "approve"), (provider, "put_online"), (authority, "approve")):
    who.post(page, f"{page}/moves", move=move, reason="已核对")
public = act.package_show(id="load_trees")
check(public["state"] == "active" and public["title"] == "行道树名录", "published by people, anybody sees it")
check([r["url"] for r in public["resources"]] == ["https://data.example/all.csv", "https://data.example/all.json"], "with its links")
refused(NotAuthorized, "what is published is not deleted", lambda: mine.action.package_delete(id="load_trees"))
changed = mine.action.package_patch(id="load_trees", notes="改过的摘要")
check(changed["review"]["state"] == "change-auditing", "a change of it goes to review")
check(act.package_show(id="load_trees")["notes"] == public["notes"], "and is not public before")
provider.post(page, f"{page}/moves", move="withdraw", reason="")
mine.action.package_delete(id="load_wells")

for things, show in (("organizations", "organization_show"), ("groups", "group_show")):
    name = org["name"] if things == "organizations" else "ecology-and-environment"
    told = load(things, lines(f"{things}.jsonl", [mine.call_action(show, {"id": name})]))
    check([t[2:] for t in told] == [["update", None, name]], f"ckanapi load {things}: as it is, it is answered")
    told = load(things, lines(f"{things}.jsonl", [{"name": "nobody-of-ours", "title": "新的"}]), expected=3)
    check(told[0][2:4] == ["create", "NotAuthorized"], f"new {things} are not made here")

revoke = re.search(r'action="(/account/tokens/[^"/]+/revoke)"', provider.get("/account/tokens")).group(1)
provider.post("/account/tokens", revoke)
refused(NotAuthorized, "a revoked token", lambda: mine.action.package_create(**ours[1]))
