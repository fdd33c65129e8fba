# Calls one granted resource. Needs Python 3.8; the secret comes from the environment:
#   QT_SECRET=… python3 client.py
import hashlib, hmac, os, secrets, string, sys, time, urllib.error, urllib.parse, urllib.request

HOST, PATH, QUERY = "@HOST@", "@PATH@", "@QUERY@"
KEY, SECRET = "@KEY@", os.environ["QT_SECRET"]

# Chinese and the like are percent-encoded before they are signed and sent; what is encoded already stays.
QUERY = urllib.parse.quote(QUERY, safe=string.punctuation)
timestamp, nonce = str(int(time.time() * 1000)), secrets.token_hex(16)
body_hash = hashlib.sha256(b"").hexdigest()
text = "\n".join(["GET", PATH, QUERY, body_hash, timestamp, nonce])
signature = hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).hexdigest()
call = urllib.request.Request(HOST + PATH + "?" + QUERY, headers={
    "X-Qt-Key": KEY, "X-Qt-Timestamp": timestamp, "X-Qt-Nonce": nonce,
    "X-Qt-Algorithm": "HMAC-SHA256", "X-Qt-Signature": signature,
})
try:
    print(urllib.request.urlopen(call).read().decode())
except urllib.error.HTTPError as error:
    sys.exit(f"{error.code} {error.read().decode()}")
