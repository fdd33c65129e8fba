"""Signs every request that schemathesis makes, as any client of the gate must. Loaded through SCHEMATHESIS_HOOKS.

QT_READY names the ready file of a running demo. Run as a program it fetches the interface description of the first
application: `python signing.py OPENAPI.json`.
"""

import hashlib
import hmac
import json
import os
import secrets
import sys
import time
from urllib.parse import urlsplit

import requests

with open(os.environ["QT_READY"], encoding="utf-8") as ready:
    HOUSE = json.load(ready)
APP = HOUSE["apps"][0]


class Signer(requests.auth.AuthBase):
    """HMAC-SHA256 over method, path, query, body hash, time and nonce."""

    def __call__(self, request):
        url = urlsplit(request.url)
        body = request.body or b""
        if isinstance(body, str):
            body = body.encode()
        stamp, nonce = str(int(time.time() * 1000)), secrets.token_hex(16)
        digest = hashlib.sha256(body).hexdigest()
        text = "\n".join([request.method, url.path, url.query, digest, stamp, nonce])
        request.headers.update({
            "X-Qt-Key": APP["key"],
            "X-Qt-Timestamp": stamp,
            "X-Qt-Nonce": nonce,
            "X-Qt-Algorithm": "HMAC-SHA256",
            "X-Qt-Signature": hmac.new(APP["secret"].encode(), text.encode(), hashlib.sha256).hexdigest(),
        })
        return request


if __name__ == "__main__":
    answer = requests.get(HOUSE["gateway"].rstrip("/") + "/openapi.json", auth=Signer(), timeout=30)
    answer.raise_for_status()
    with open(sys.argv[1], "w", encoding="utf-8") as out:
        json.dump(answer.json(), out, ensure_ascii=False)
else:
    import schemathesis

    schemathesis.auth.set_from_requests(Signer())
