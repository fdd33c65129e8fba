"""A program of the province's older calling convention, as its callers write them: standard library only, nothing of ours.

It refreshes by the application's secret, calls, refreshes by the refresh secret, calls again with the three values in headers and
in a form, refreshes from many threads at once without anybody's secret dying, and is refused as the convention says.

    python3 irs.py ready.json
"""

import hashlib
import json
import sys
import threading
import time
import urllib.parse
import urllib.request


class Gateway:
    def __init__(self, base, key, secret):
        self.base, self.key, self.secret = base, key, secret
        self.tokens = None

    def signed(self, secret):
        stamp = str(int(time.time() * 1000))
        text = self.key + secret + stamp
        return {"appKey": self.key, "requestTime": stamp, "sign": hashlib.md5(text.encode()).hexdigest()}

    def fetch(self, path, query=None, headers=None, data=None):
        url = self.base + path
        if query:
            url += "?" + urllib.parse.urlencode(query)
        with urllib.request.urlopen(urllib.request.Request(url, data=data, headers=headers or {}), timeout=30) as answer:
            return json.loads(answer.read().decode())

    def refresh_by_key(self):
        answer = self.fetch("/gateway/app/refreshTokenByKey.htm", self.signed(self.secret))
        assert answer["code"] == "00", answer
        self.tokens = answer["datas"]
        return self.tokens

    def refresh_by_secret(self):
        answer = self.fetch("/gateway/app/refreshTokenBySec.htm", self.signed(self.tokens["refreshSecret"]))
        assert answer["code"] == "00", answer
        self.tokens = answer["datas"]
        return self.tokens

    def call(self, code, secret=None, **params):
        """Three tries on 14, as callers do."""
        path = f"/gateway/api/001003001/dataSharing/{code}.htm"
        for _ in range(3):
            answer = self.fetch(path, {**self.signed(secret or self.tokens["requestSecret"]), **params})
            if answer["code"] != "14" or secret:
                return answer
            self.refresh_by_key()
        return answer


def rows(answer):
    assert answer["code"] == "00", answer
    for name in ("msg", "data", "dataCount", "totalDataCount", "totalPage", "requestId", "interfaces"):
        assert name in answer, name
    found = json.loads(answer["datas"])
    assert len(found) == answer["dataCount"], answer
    return found


def main():
    text = "demoappkey0001" + "demosecret0001" + "1700000000000"
    assert hashlib.md5(text.encode()).hexdigest() == "f61c45db0dbf2807ab78ac44b8fd5f2b"

    with open(sys.argv[1], encoding="utf-8") as file:
        ready = json.load(file)
    app = ready["apps"][0]
    known = {i["title"]: i["code"] for i in ready["interfaces"]}
    gateway = Gateway(ready["gateway"], app["key"], app["secret"])
    tokens = gateway.refresh_by_key()
    assert 47 * 3_600_000 < tokens["refreshSecretEndTime"] - time.time() * 1000 <= 48 * 3_600_000 + 5000
    assert 14 * 60_000 < tokens["requestSecretEndTime"] - time.time() * 1000 <= 15 * 60_000 + 5000

    air = known["空气质量日报列表"]
    first = gateway.call(air, pageNum=1, pageSize=5)
    page = rows(first)
    assert len(page) == 5 and first["totalPage"] > 1 and first["totalDataCount"] > 5, first
    assert set(page[0]) == {"csdm", "csmc", "rq", "aqi", "zldj"}, page[0]
    second = rows(gateway.call(air, pageNum=2, pageSize=5))
    assert [r["rq"] for r in page] >= [r["rq"] for r in second]

    firms = rows(gateway.call(known["企业名称模糊查询"], name="公司"))
    firm = firms[0]
    gateway.refresh_by_secret()
    one = rows(gateway.call(known["企业基本信息查询"], uscc=firm["tyshxydm"]))
    assert one[0]["name"] == firm["qymc"], one

    # In headers with a JSON body; as a form; below /national/.
    path = f"/gateway/api/001003001/dataSharing/{known['企业基本信息查询']}.htm"
    sign = gateway.signed(gateway.tokens["requestSecret"])
    body = json.dumps({"uscc": firm["tyshxydm"]}).encode()
    assert rows(gateway.fetch(path, headers={**sign, "Content-Type": "application/json"}, data=body)) == one
    form = urllib.parse.urlencode({**sign, "uscc": firm["tyshxydm"]}).encode()
    assert rows(gateway.fetch(path, data=form)) == one
    national = path.replace("/dataSharing", "/national/dataSharing")
    assert rows(gateway.fetch(national, {**sign, "uscc": firm["tyshxydm"]})) == one

    # Many refresh at once: every secret that anybody got is good.
    secrets = []

    def refresh():
        mine = Gateway(ready["gateway"], app["key"], app["secret"])
        secrets.append(mine.refresh_by_key()["requestSecret"])

    threads = [threading.Thread(target=refresh) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(secrets) == 8
    for secret in secrets:
        assert gateway.call(air, secret=secret, pageSize=1)["code"] == "00"

    verdict = rows(gateway.call(known["人口姓名核验"], sfzh="110105194912310021", xm="张三"))
    assert verdict[0]["result"] in ("是", "否"), verdict
    assert gateway.call(air, secret="0" * 32)["code"] == "14"
    assert gateway.call("0" * 16)["code"] == "91"
    assert gateway.call(known["企业基本信息查询"])["code"] == "90"
    print(f"older convention: {len(page) + len(second)} rows of air quality, {len(firms)} firms, all as its callers expect")


if __name__ == "__main__":
    main()
