"""The public client of Delta Sharing (PyPI `delta-sharing`: pandas, pyarrow, fsspec) against a demo.

A profile is downloaded from the console as its owner does it; tables are listed, loaded as a whole, limited, hinted, at a version
and in both forms; rows are landed (inserts, updates, deletes) and their changes loaded; a read goes on in ranges; the token is
revoked. Ends with an error at the first thing that is not as it should be.

    python delta_sharing.py READY.json DATA_FOLDER QIANTANG_BINARY
"""

import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import delta_sharing
import pandas
import requests

ready = json.load(open(sys.argv[1]))
data, binary = sys.argv[2], sys.argv[3]
portal = ready["portal"].rstrip("/")
PUBLIC = "kqzl_rb"  # air quality: the key is plain
PERSONS = "rk_jbxx"  # persons: masked


def check(truth, what):
    if not truth:
        raise SystemExit(f"FAILED: {what}")
    print("ok", what)


class Owner:
    """The person who keeps the application, at the console."""

    def __init__(self, role):
        self.session = requests.Session()
        account = next(a for a in ready["accounts"] if a["role"] == role)
        form = {"name": account["user"], "password": account["password"], "csrf": self.csrf("/login")}
        self.session.post(portal + "/login", data=form).raise_for_status()

    def csrf(self, page):
        text = self.session.get(portal + page).text
        return re.search(r'name="csrf" value="([^"]+)"', text).group(1)

    def post(self, page, path, **form):
        answer = self.session.post(portal + path, data=dict(form, csrf=self.csrf(page)))
        answer.raise_for_status()
        return answer


def ingest(text, *more):
    with tempfile.NamedTemporaryFile("w", suffix=".csv", delete=False) as file:
        file.write(text)
    command = [binary, "ingest", file.name, "--entry", PUBLIC, "--data", data, *more]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    check(done.returncode == 0, f"rows are landed {done.stdout[-300:]} {done.stderr[-300:]}")


def refused(what, work):
    try:
        work()
    except Exception as refusal:  # each layer of the client has its own
        print("ok", what, "·", type(refusal).__name__, str(refusal)[:90].replace("\n", " "))
        return
    raise SystemExit(f"FAILED: {what}: it was not refused")


owner = Owner("consumer")
app = ready["apps"][0]
page = f"/console/applications/{app['id']}/delta"
folder = Path(tempfile.mkdtemp())
profile = folder / "qiantang.share"
answer = owner.post(page, page + "/token", days="30")
check("attachment" in answer.headers["content-disposition"], "the profile file is downloaded")
profile.write_text(answer.text)
said = json.loads(answer.text)
check(said["shareCredentialsVersion"] == 1 and said["bearerToken"].startswith("qtds_"), "it is a profile of version 1")
check(said["bearerToken"] not in owner.session.get(portal + page).text, "the token is not told again")

client = delta_sharing.SharingClient(str(profile))
shares = client.list_shares()
check([s.name for s in shares] == ["qiantang"], f"one share: {shares}")
tables = client.list_all_tables()
names = {t.name: t for t in tables}
check({PUBLIC, PERSONS} <= set(names), f"list_all_tables: {sorted(names)}")
schemas = client.list_schemas(shares[0])
check({t.schema for t in tables} == {s.name for s in schemas}, f"list_schemas: {[s.name for s in schemas]}")


def url(name):
    table = names[name]
    return f"{profile}#{table.share}.{table.schema}.{table.name}"


begun = time.monotonic()
first = delta_sharing.get_table_version(url(PUBLIC))
whole = delta_sharing.load_as_pandas(url(PUBLIC))
print(f"   {len(whole)} rows in {time.monotonic() - begun:.2f} s, view made by the way")
check(list(whole.columns) == ["csdm", "rq", "csmc", "aqi", "zldj", "pm25"], f"granted columns: {list(whole.columns)}")
check(len(whole) > 1000 and not whole.duplicated(["csdm", "rq"]).any(), "load_as_pandas: the whole table, each key once")
begun = time.monotonic()
again = delta_sharing.load_as_pandas(url(PUBLIC))
print(f"   again in {time.monotonic() - begun:.2f} s")
check(again.equals(whole), "the same again")
kernel = delta_sharing.load_as_pandas(url(PUBLIC), use_delta_format=True)
order = ["csdm", "rq"]
plain = lambda frame: frame.sort_values(order).astype(object).where(frame.notna(), "").astype(str).values.tolist()
same = lambda a, b: plain(a) == plain(b)
check(same(kernel, whole), "the same by Delta's own reader (responseformat=delta)")
check(len(delta_sharing.load_as_pandas(url(PUBLIC), limit=7)) == 7, "a limit")
hint = lambda op, name, value, of: json.dumps({"op": op, "children": [
    {"op": "column", "name": name, "valueType": of}, {"op": "literal", "value": value, "valueType": of}]})
hinted = delta_sharing.load_as_pandas(url(PUBLIC), jsonPredicateHints=hint("greaterThan", "aqi", "100000", "long"))
check(len(hinted) == 0, "a hint that no file satisfies")
hinted = delta_sharing.load_as_pandas(url(PUBLIC), jsonPredicateHints=hint("equal", "csdm", "330100", "string"))
check((hinted.csdm == "330100").sum() == (whole.csdm == "330100").sum(), "a hint leaves out no row that satisfies it")
check(len(delta_sharing.load_as_pandas(url(PUBLIC), jsonPredicateHints="{nonsense")) == len(whole), "a hint that is none")

persons = delta_sharing.load_as_pandas(url(PERSONS))
check(len(persons) > 0 and persons.sfzh.str.contains("*", regex=False).all(), f"identity numbers are masked: {persons.sfzh.iloc[0]}")
check(persons.xm.str.contains("*", regex=False).all(), f"names are masked: {persons.xm.iloc[0]}")

# Changes: two rows come, one changes, one goes.
keep, gone = whole.iloc[0], whole.iloc[1]
ingest(
    "op,csdm,rq,csmc,aqi,zldj,pm25,sjbz\n"
    "I,330100,2031-01-01,杭州市,41,优,20.5,演示数据\nI,330200,2031-01-01,宁波市,42,优,21.5,演示数据\n"
    f"U,{keep.csdm},{keep.rq},{keep.csmc},499,重度污染,,演示数据\n"
    f"D,{gone.csdm},{gone.rq},{gone.csmc},,,,\n",
    "--mode", "incremental", "--operation-column", "op",
)
version = delta_sharing.get_table_version(url(PUBLIC))
check(version > first, f"version {first} → {version}")
newest = delta_sharing.load_as_pandas(url(PUBLIC))
check(len(newest) == len(whole) + 1, f"{len(whole)} → {len(newest)} rows")
changed = newest[(newest.csdm == keep.csdm) & (newest.rq == keep.rq)]
check(changed.aqi.tolist() == [499], "the changed row")
check(same(delta_sharing.load_as_pandas(url(PUBLIC), version=first), whole), "the version before is as it was")
for form in (False, True):
    changes = delta_sharing.load_table_changes_as_pandas(
        url(PUBLIC), starting_version=version, ending_version=version, use_delta_format=form)
    kinds = changes._change_type.value_counts().to_dict()
    check(kinds == {"insert": 2, "update_preimage": 1, "update_postimage": 1, "delete": 1}, f"changes (delta form: {form}): {kinds}")
    check((changes._commit_version == version).all(), "their version")
    before = changes[changes._change_type == "update_preimage"].iloc[0]
    check((before.aqi, before.csdm) == (keep.aqi, keep.csdm), "the row before it changed")
everything = delta_sharing.load_table_changes_as_pandas(url(PUBLIC), starting_version=0)
came = everything._change_type.isin(["insert", "update_postimage"]).sum()
went = everything._change_type.isin(["delete", "update_preimage"]).sum()
check(came - went == len(newest), f"all changes from the beginning lead to the newest version: {came} - {went}")

# A read in ranges, by hand, as pyarrow does it.
session = requests.Session()
session.headers["Authorization"] = "Bearer " + said["bearerToken"]
table = names[PUBLIC]
place = f"{said['endpoint']}/shares/{table.share}/schemas/{table.schema}/tables/{table.name}"
answer = session.post(place + "/query", json={}, headers={"Accept-Encoding": "gzip"})
check(answer.headers.get("content-encoding") == "gzip", "answers are compressed for who takes it")
files = [json.loads(line)["file"] for line in answer.text.splitlines()[2:]]
file = files[0]
head = requests.head(file["url"])
check(head.headers["accept-ranges"] == "bytes" and int(head.headers["content-length"]) == file["size"], "HEAD tells the size")
pieces, at = b"", 0
while at < file["size"]:
    end = min(at + 10_000, file["size"]) - 1
    part = requests.get(file["url"], headers={"Range": f"bytes={at}-{end}", "If-Range": head.headers["etag"]})
    check(part.status_code == 206, f"bytes {at}-{end}") if at == 0 else None
    pieces, at = pieces + part.content, end + 1
check(pieces == requests.get(file["url"]).content, "the pieces are the file")
check(requests.get(file["url"].replace("&sp=r", "x")).status_code == 401, "an address that was tampered with")

# OAuth 2: the profile of version 2, the application's own key and secret.
oauth = owner.session.get(portal + page + "/oauth.share").json()
check(oauth["shareCredentialsVersion"] == 2 and app["secret"] not in json.dumps(oauth), "the OAuth profile holds no secret")
oauth["clientSecret"] = app["secret"]
(folder / "oauth.share").write_text(json.dumps(oauth))
check(len(delta_sharing.SharingClient(str(folder / "oauth.share")).list_all_tables()) == len(tables), "OAuth 2 client credentials")

# The token is revoked: it, and the addresses it was given.
owner.post(page, page + "/revoke", token="")
refused("a revoked token", lambda: delta_sharing.load_as_pandas(url(PUBLIC)))
check(requests.get(file["url"]).status_code == 401, "the addresses it was given")
print("delta-sharing", delta_sharing.__version__, "pandas", pandas.__version__, "ok")
