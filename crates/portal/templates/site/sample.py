import hashlib, hmac, secrets, string, time, urllib.parse, urllib.request

KEY, SECRET = "{{ t('应用的 key', 'key of your application') }}", "{{ t('应用的 secret', 'secret of your application') }}"
HOST, PATH, QUERY = "{{ gateway }}", "{{ api_path }}", "limit=5"

QUERY = urllib.parse.quote(QUERY, safe=string.punctuation)  # {{ t("汉字等先百分号编码，再签名、发送", "Chinese and the like are percent-encoded before they are signed and sent") }}
timestamp, nonce = str(int(time.time() * 1000)), secrets.token_hex(16)
body_hash = hashlib.sha256(b"").hexdigest()
text = "\n".join(["GET", PATH, QUERY, body_hash, timestamp, nonce])
signature = hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).hexdigest()
call = urllib.request.Request(HOST + PATH + "?" + QUERY, headers={
    "X-Qt-Key": KEY, "X-Qt-Timestamp": timestamp, "X-Qt-Nonce": nonce,
    "X-Qt-Algorithm": "HMAC-SHA256", "X-Qt-Signature": signature,
})
print(urllib.request.urlopen(call).read().decode())
