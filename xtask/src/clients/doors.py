"""Clients of the other doors for anybody against a demo: frictionless (Data Package), mlcroissant (Croissant), OWSLib and GDAL (OGC API), sickle
(OAI-PMH) and mcp (Model Context Protocol). Nothing of them is changed but the address.

Ends with an error at the first thing that is not as it should be.

    python doors.py READY.json
"""

import asyncio
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import mlcroissant
import requests
from frictionless import Package
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client
from owslib.ogcapi.features import Features
from owslib.ogcapi.records import Records
from sickle import Sickle

ready = json.load(open(sys.argv[1]))
gateway = ready["gateway"].rstrip("/")
PUBLIC = "kqzl_rb"  # air quality: freely open, with a key
HIDDEN = "rk_jbxx"  # persons: not open


def check(truth, what):
    if not truth:
        raise SystemExit(f"FAILED: {what}")
    print("ok", what)


def tool(name, *args):
    done = subprocess.run([name, *args], capture_output=True, text=True, timeout=300)
    check(done.returncode == 0, f"{Path(name).name} {' '.join(args[:4])} {done.stdout[-600:] if done.returncode else ''} {done.stderr[-600:]}")
    return done.stdout


bin = Path(sys.executable).parent
names = requests.get(f"{gateway}/api/3/action/package_list").json()["result"]
sets = [requests.get(f"{gateway}/api/3/action/package_show?id={n}").json()["result"] for n in names]
free = [p["name"] for p in sets if p["isopen"]]
check(PUBLIC in free, f"{len(free)} of {len(names)} data sets are freely open")

# --- Data Package and Croissant: by their own validators, rows included.
for name in [PUBLIC, *[n for n in free if n != PUBLIC][:3]]:
    report = json.loads(tool(str(bin / "frictionless"), "validate", f"{gateway}/dataset/{name}/datapackage.json", "--json"))
    check(report["valid"], f"frictionless finds {name} and its rows valid")
    tool(str(bin / "mlcroissant"), "validate", "--jsonld", f"{gateway}/dataset/{name}/croissant.jsonld")
package = Package(f"{gateway}/dataset/{PUBLIC}/datapackage.json")
total = requests.get(f"{gateway}/api/3/action/datastore_search?resource_id={PUBLIC}&limit=0").json()["result"]["total"]
check(len(package.resources[0].read_rows()) == total, f"frictionless reads all {total} rows")
croissant = mlcroissant.Dataset(f"{gateway}/dataset/{PUBLIC}/croissant.jsonld")
records = [r for r, _ in zip(croissant.records(record_set="rows"), range(10))]
check(len(records) == 10, f"mlcroissant loads records: {list(records[0])[:3]}")
catalogue = requests.get(f"{gateway}/data.json").json()
check(sorted(d["identifier"] for d in catalogue["dataset"]) == sorted(names), "data.json has them all")

# --- OGC API by OWSLib.
features = Features(f"{gateway}/ogc")
drawn = features.feature_collections()
check(len(drawn) >= 1, f"OWSLib sees {len(drawn)} collections of features")
records = Records(f"{gateway}/ogc")
check(records.records() == ["open-catalogue"], "OWSLib sees the catalogue")
found = records.collection_items("open-catalogue", q="空气质量")
check(any(f["id"] == PUBLIC for f in found["features"]), "OWSLib finds a record by Chinese words")
check(records.collection_item("open-catalogue", PUBLIC)["id"] == PUBLIC, "and reads it")
one = drawn[-1]
told = features.collection_items(one, limit=5)
check(told["type"] == "FeatureCollection" and len(told["features"]) == 5, f"OWSLib reads features of {one}")
matched = told["numberMatched"]

# --- OGC API by GDAL.
source = f"OAPIF:{gateway}/ogc"
# Left alone GDAL 3.6 asks for ten features at a time, and many calls a second are turned away.
pages = ["-oo", "PAGE_SIZE=1000"]
summary = tool("ogrinfo", "-ro", "-so", source)
check(all(name in summary for name in drawn), "ogrinfo lists the layers")
layer = tool("ogrinfo", "-ro", "-so", *pages, source, one)
check(f"Feature Count: {matched}" in layer, f"ogrinfo counts {matched} features of {one}")
folder = Path(tempfile.mkdtemp())
tool("ogr2ogr", "-f", "GPKG", *pages, str(folder / "all.gpkg"), source, one)
copied = tool("ogrinfo", "-ro", "-so", str(folder / "all.gpkg"), one)
check(f"Feature Count: {matched}" in copied, "ogr2ogr copies them all, page by page")
extent = [120.0, 30.0, 120.5, 30.5]
tool("ogr2ogr", "-f", "GPKG", *pages, str(folder / "some.gpkg"), source, one, "-spat", *map(str, extent))
tool("ogr2ogr", "-f", "GPKG", str(folder / "cut.gpkg"), str(folder / "all.gpkg"), one, "-spat", *map(str, extent))


def counted(file):
    text = tool("ogrinfo", "-ro", "-so", str(folder / file), one)
    return next(line for line in text.splitlines() if line.startswith("Feature Count"))


check(counted("some.gpkg") == counted("cut.gpkg"), f"a box asked of the door is the box cut out of the whole: {counted('some.gpkg')}")

# --- Vector tiles by GDAL: the tile of the whole world holds what can be drawn, up to its limit.
for name in drawn:
    answer = requests.get(f"{gateway}/ogc/collections/{name}/tiles/WebMercatorQuad/0/0/0")
    check(answer.status_code in (200, 204), f"the tile of {name}: {answer.status_code}")
    if answer.status_code == 204:
        continue
    check(answer.headers["content-type"] == "application/vnd.mapbox-vector-tile", f"{name} is a vector tile")
    place = folder / f"{name}.mvt"
    place.write_bytes(answer.content)
    read = tool("ogrinfo", "-ro", "-so", "-oo", "X=0", "-oo", "Y=0", "-oo", "Z=0", f"MVT:{place}", name)
    inside = int(next(line for line in read.splitlines() if line.startswith("Feature Count")).split(":")[1])
    there = features.collection_items(name, limit=1)
    check(0 < inside <= there.get("numberMatched", inside), f"GDAL reads {inside} features of the tile of {name}")
    again = requests.get(answer.url, headers={"If-None-Match": answer.headers["etag"]})
    check(again.status_code == 304, f"the tile of {name} is known again")
matrices = requests.get(f"{gateway}/ogc/tileMatrixSets/WebMercatorQuad").json()["tileMatrices"]
check(len(matrices) == 23 and matrices[0]["matrixWidth"] == 1, "the tile matrix set is told")

# --- OAI-PMH by sickle.
sickle = Sickle(f"{gateway}/oai")
identity = sickle.Identify()
check(identity.protocolVersion == "2.0", f"sickle: {identity.repositoryName}")
check({f.metadataPrefix for f in sickle.ListMetadataFormats()} == {"oai_dc", "dcat"}, "sickle lists formats")
harvested = [r for r in sickle.ListRecords(metadataPrefix="oai_dc") if not r.deleted]
codes = {v for r in harvested for v in r.metadata["identifier"] if not v.startswith("http")}
check(codes == set(names), f"sickle harvests all {len(codes)} records")
parts = [h for s in sickle.ListSets() for h in sickle.ListIdentifiers(metadataPrefix="oai_dc", set=s.setSpec) if not h.deleted]
check(len(parts) == len(harvested), "and the same by sets")
dcat = sickle.GetRecord(metadataPrefix="dcat", identifier=harvested[0].header.identifier)
check("dcat:Dataset" in dcat.raw or "dcat#Dataset" in dcat.raw, "sickle reads a record as DCAT")
newest = max(r.header.datestamp for r in harvested)
since = list(sickle.ListIdentifiers(**{"metadataPrefix": "oai_dc", "from": newest}))
check(0 < len(since) <= len(harvested), f"a harvest from {newest} has {len(since)}")


# --- MCP by its own client.
async def assistant():
    async with streamable_http_client(f"{gateway}/mcp") as streams:
        async with ClientSession(*streams[:2]) as session:
            await session.initialize()
            tools = [t.name for t in (await session.list_tools()).tools]
            check("query_rows" in tools, f"mcp lists {tools}")
            found = await session.call_tool("search_datasets", {"query": "空气质量"})
            check(PUBLIC in found.content[0].text, "mcp finds a data set")
            rows = await session.call_tool("query_rows", {"id": PUBLIC, "limit": 3})
            check(len(json.loads(rows.content[0].text)["rows"]) == 3, "mcp reads rows")
            hidden = await session.call_tool("get_dataset", {"id": HIDDEN})
            check("Not found" in hidden.content[0].text, "mcp is told nothing of what is hidden")


asyncio.run(assistant())
