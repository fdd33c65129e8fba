"""Signs every request that schemathesis makes, as any client of the gate must. Loaded through SCHEMATHESIS_HOOKS.

QT_READY names the ready file of a running demo. Run as a program it fetches every description that the index names, as the first
application, and prints a line for each, the doors first: what it is (door or interface), the address its paths stand under, where it
is: `python signing.py FOLDER`.
"""

import hashlib
import hmac
import json
import os
import secrets
import sys
import time
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

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


class Older(requests.auth.AuthBase):
    """The older convention: key, time and their MD5 under the present secret, in the address."""

    def __init__(self):
        self.secrets, self.until = None, 0

    def signed(self, secret):
        stamp = str(int(time.time() * 1000))
        sign = hashlib.md5((APP["key"] + secret + stamp).encode()).hexdigest()
        return {"appKey": APP["key"], "requestTime": stamp, "sign": sign}

    def secret(self, which):
        if time.time() > self.until:
            answer = requests.get(
                HOUSE["gateway"].rstrip("/") + "/gateway/app/refreshTokenByKey.htm",
                params=self.signed(APP["secret"]), timeout=30)
            self.secrets, self.until = answer.json()["datas"], time.time() + 300
        return self.secrets[which]

    def __call__(self, request):
        url = urlsplit(request.url)
        if "refreshTokenByKey" in url.path:
            secret = APP["secret"]
        elif "refreshTokenBySec" in url.path:
            secret = self.secret("refreshSecret")
        else:
            secret = self.secret("requestSecret")
        given = [(k, v) for k, v in parse_qsl(url.query, keep_blank_values=True)
                 if k not in ("appKey", "requestTime", "sign")]
        query = urlencode(given + list(self.signed(secret).items()), errors="surrogatepass")
        request.url = urlunsplit((url.scheme, url.netloc, url.path, query, ""))
        return request


class AnyDoor(requests.auth.AuthBase):
    """As the door wants it: client credentials for tokens, the older convention, or our signature."""

    older, signer = Older(), Signer()

    def __call__(self, request):
        path = urlsplit(request.url).path
        if path.startswith("/oauth2/"):
            return requests.auth.HTTPBasicAuth(APP["key"], APP["secret"])(request)
        return (self.older if path.startswith("/gateway/") else self.signer)(request)


def fetch(url, path):
    answer = requests.get(url, auth=Signer(), timeout=30)
    answer.raise_for_status()
    with open(path, "w", encoding="utf-8") as out:
        json.dump(answer.json(), out, ensure_ascii=False)
    return answer.json()


if __name__ == "__main__":
    base = HOUSE["gateway"].rstrip("/")

    def here(url):
        """The same on the gateway that is asked, whatever name it goes by."""
        url = urlsplit(url)
        return base + url.path + (f"?{url.query}" if url.query else "")

    index, interfaces = fetch(base + "/openapi/index.json", os.path.join(sys.argv[1], "index.json")), []
    found = [("door", here(index[name]), f"{name}.json") for name in ["resources", "doors", "ogc"]]
    page = index
    while True:
        interfaces += page["interfaces"]
        if not page["next"]:
            break
        page = fetch(here(page["next"]), os.path.join(sys.argv[1], "index.json"))
    assert len(interfaces) >= 9, index
    for one in interfaces:
        found.append(("interface", here(one["openapi"]), f"{one['code']}-{one['version']}.json"))
    for kind, url, name in found:
        path = os.path.join(sys.argv[1], name)
        document = fetch(url, path)
        assert document["paths"], url
        print(kind, here(document["servers"][0]["url"]).rstrip("/"), path, sep="\t")
else:
    import schemathesis

    schemathesis.auth.set_from_requests(AnyDoor())
