// Checks a demo that was started with `--load`: what the log says was collected is found, downloaded whole and called.
// Run by `cargo xtask real-data DIR`; reads QT_READY (addresses) and QT_LOG (what was collected).
import { readFileSync } from "node:fs";

const ready = JSON.parse(readFileSync(process.env.QT_READY, "utf8"));
const log = readFileSync(process.env.QT_LOG, "utf8");
const collected = [...log.matchAll(/^ {2}(\w+): read (\d+) = accepted (\d+) \+ quarantined (\d+)$/gm)].map(
  ([, code, read, accepted, quarantined]) => ({ code, read: +read, accepted: +accepted, quarantined: +quarantined }),
);

/** Records of a CSV stream after its header: line ends outside quotes. */
async function records(response) {
  let [quoted, lines, last] = [false, 0, 10];
  for await (const chunk of response.body) {
    for (const byte of chunk) {
      if (byte === 34) quoted = !quoted;
      else if (byte === 10 && !quoted) lines += 1;
      last = byte;
    }
  }
  return (last === 10 ? lines : lines + 1) - 1;
}

async function checks({ code, read, accepted, quarantined }) {
  const faults = [];
  const expect = (what, got, want) => got === want || faults.push(`${what}: ${got}, not ${want}`);
  expect("accepted + quarantined", accepted + quarantined, read);
  const resource = ready.resources.find((r) => r.code === code);
  if (!resource) return [`not among the resources of the ready file`];
  expect("rows in the ready file", resource.rows, accepted);

  const call = await fetch(`${resource.url}?limit=3`, { headers: { Prefer: "count=exact" } });
  const rows = await call.json();
  expect("status of the call", call.status, accepted > 3 ? 206 : 200);
  expect("rows of the call", rows.length, Math.min(3, accepted));
  expect("Content-Range", call.headers.get("content-range")?.split("/")[1], String(accepted));

  const found = await (await fetch(`${ready.portal}/data?q=${encodeURIComponent(resource.name)}`)).text();
  expect("found by its title", found.includes(`href="/data/${code}"`), true);

  const file = await fetch(`${ready.portal}/data/${code}/download.csv`);
  expect("status of the download", file.status, 200);
  expect("records of the download", await records(file), accepted);
  return faults;
}

let [failed, total] = [0, 0];
for (const set of collected) {
  const faults = await checks(set);
  total += set.read;
  failed += faults.length > 0;
  console.log(`${faults.length ? "FAILED" : "ok    "} ${set.code}: ${set.read} = ${set.accepted} + ${set.quarantined}`);
  for (const fault of faults) console.log(`       ${fault}`);
}
console.log(`${collected.length} data sets, ${total} rows: ${collected.length - failed} passed, ${failed} failed`);
if (failed || collected.length === 0) process.exit(1);
