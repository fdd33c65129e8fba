// Calls one granted resource. Needs Node 18; the secret comes from the environment:
//   QT_SECRET=… node client.mjs
import { createHash, createHmac, randomBytes } from "node:crypto";

const HOST = "@HOST@", PATH = "@PATH@", QUERY = "@QUERY@";
const KEY = "@KEY@", SECRET = process.env.QT_SECRET;
if (!SECRET) throw new Error("set QT_SECRET");

// What is signed is the query as it is sent: Chinese and the like percent-encoded.
const url = new URL(`${HOST}${PATH}?${QUERY}`), query = url.search.slice(1);
const timestamp = String(Date.now()), nonce = randomBytes(16).toString("hex");
const bodyHash = createHash("sha256").update("").digest("hex");
const text = ["GET", PATH, query, bodyHash, timestamp, nonce].join("\n");
const signature = createHmac("sha256", SECRET).update(text).digest("hex");
const answer = await fetch(url, {
  headers: {
    "X-Qt-Key": KEY, "X-Qt-Timestamp": timestamp, "X-Qt-Nonce": nonce,
    "X-Qt-Algorithm": "HMAC-SHA256", "X-Qt-Signature": signature,
  },
});
const body = await answer.text();
if (!answer.ok) {
  console.error(answer.status, body);
  process.exitCode = 1;
} else {
  console.log(body);
}
