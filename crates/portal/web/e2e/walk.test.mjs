// The main job, walked by its people: compile, publish, upload, apply, approve, call, audit, search, download.
import { expect, test } from "@playwright/test";
import { fillEntry, gateway, house, move, picture, portal, registerApplication, saveEntry, signature, signedIn, upload } from "./house.mjs";

const code = `e2e_walk_${Date.now().toString(36)}`;
const title = `浏览器走查企业信息 ${code}`;
/** Carried from step to step. */
const seen = { entry: "", app: null, request: "" };

test.describe.configure({ mode: "serial" });

const OPEN = { share_type: "unconditional", open_type: "unconditional" };
const ITEMS = [
  { identifier: "uscc", name_cn: "统一社会信用代码", data_type: "text", length: "18", grade: "L1", primary: true, lookup: true, ...OPEN },
  { identifier: "qymc", name_cn: "企业名称", data_type: "text", length: "200", grade: "L1", ...OPEN },
  { identifier: "zczb", name_cn: "注册资本", data_type: "decimal", precision: "18", scale: "2", grade: "L1", ...OPEN },
  {
    identifier: "frxm", name_cn: "法定代表人姓名", data_type: "text", length: "50", grade: "L3",
    share_type: "restricted", share_condition: "经数源单位审核同意", open_type: "none", open_basis: "含个人信息",
  },
];
// Valid check characters; the last row does not fit (capital is not a number).
const ROWS = [
  "统一社会信用代码,企业名称,注册资本,法定代表人姓名",
  "91330100799655058B,杭州走查甲有限公司,100.50,张三丰",
  "91330106673959654P,杭州走查乙有限公司,2000,李四光",
  "91440300708461136T,走查丙有限公司,不是数字,王五",
];

test("a provider compiles an entry and hands it in", async ({ browser }) => {
  const page = await signedIn(browser, "provider");
  const head = {
    code, title, description: "走查用：企业登记的少量合成数据。", region: "330000", domain: "11", tags: "走查",
    kind: "table", update_cycle: "monthly", sync_mode: "full", share_type: "restricted",
    share_condition: "经数源单位审核同意后共享", open_type: "unconditional",
  };
  await fillEntry(page, head, ITEMS);
  await picture(page, "walk-1-compile");
  seen.entry = await saveEntry(page);
  await expect(page.locator("#items")).toContainText("法定代表人姓名");
  await move(page, "submit", "首次发布");
  await expect(page.locator("#state")).toContainText("发布审核中");
});

test("the authority publishes it, the provider puts it online", async ({ browser }) => {
  const authority = await signedIn(browser, "authority");
  await authority.goto(`${portal}/console/review`);
  await expect(authority.locator("main")).toContainText(code);
  await picture(authority, "walk-2-review");
  await authority.goto(seen.entry);
  await move(authority, "approve", "要素齐全");
  await expect(authority.locator("#state")).toContainText("已发布");
  const provider = await signedIn(browser, "provider");
  await provider.goto(seen.entry);
  await move(provider, "put_online", "发布后上线");
  await expect(provider.locator("#state")).toContainText(/上线审核中|已上线/);
  await authority.goto(seen.entry);
  if (await authority.locator("button[name=move][value=approve]").count()) await move(authority, "approve", "同意上线");
  await expect(authority.locator("#state")).toContainText("已上线");
  await picture(authority, "walk-3-online");
});

test("the provider uploads a file; what does not fit is in quarantine", async ({ browser }) => {
  const page = await signedIn(browser, "provider");
  await upload(page, seen.entry, "企业.csv", ROWS);
  await page.reload();
  await expect(page.locator("#quarantine")).toContainText("不是数字");
  await picture(page, "walk-4-run");
});

test("a consumer registers an application and applies", async ({ browser }) => {
  const page = await signedIn(browser, "consumer");
  const name = `走查应用 ${code}`;
  seen.app = await registerApplication(page, name, "走查用的应用");

  await page.goto(`${portal}/apply/${code}`);
  const apply = page.locator("#apply");
  await apply.locator("[name=application]").selectOption({ label: name });
  for (const box of await apply.locator("[name=items][type=checkbox]").all()) await box.check();
  await apply.locator("[name=scene]").fill("办理企业开办业务时核对法定代表人");
  await apply.locator("[name=legal_basis]").fill("《中华人民共和国市场主体登记管理条例》");
  await apply.locator("[name=period]").selectOption("90");
  await apply.locator("[name=calls_per_day]").fill("10000");
  await picture(page, "walk-5-apply");
  await apply.locator("[type=submit]").first().click();
  await expect(page).toHaveURL(/\/console\/requests\//);
  seen.request = page.url().replace(/\?.*/, "");
});

async function decide(page) {
  await page.goto(seen.request);
  const button = page.locator("button[name=do][value=approve]");
  const form = page.locator("form", { has: button }).first();
  if (await form.locator("[name=reason]").count()) await form.locator("[name=reason]").first().fill("同意");
  await button.first().click();
}

test("the provider's reviewer and the authority approve", async ({ browser }) => {
  // Before the decision the gate refuses what is not open, to anyone.
  const url = `${gateway}/api/v1/${code}?select=frxm&uscc=eq.91330100799655058B`;
  for (const headers of [signature(seen.app, "GET", url), {}]) {
    const before = await fetch(url, { headers });
    expect([401, 403, 404]).toContain(before.status);
    expect(await before.text()).not.toContain("三丰");
  }
  await decide(await signedIn(browser, "reviewer"));
  const authority = await signedIn(browser, "authority");
  await decide(authority);
  await expect(authority.locator("main")).toContainText("已通过");
  await picture(authority, "walk-6-approved");
});

test("the call sees granted columns, masked; replay and strangers are refused", async () => {
  const url = `${gateway}/api/v1/${code}?uscc=eq.91330100799655058B`;
  const headers = signature(seen.app, "GET", url);
  const answer = await fetch(url, { headers });
  expect(answer.status).toBe(200);
  const rows = await answer.json();
  expect(rows).toHaveLength(1);
  expect(rows[0].qymc).toBe("杭州走查甲有限公司");
  expect(rows[0].zczb).toBe(100.5);
  expect(rows[0].frxm, "the name is masked").toMatch(/\*/);
  expect(rows[0].frxm).not.toContain("三丰");
  expect((await fetch(url, { headers })).status, "a replay").toBe(401);
  const hidden = `${gateway}/api/v1/${code}?select=frxm`;
  for (const headers of [{}, signature(house.apps[0], "GET", hidden)]) {
    const other = await fetch(hidden, { headers });
    expect([401, 403, 404], "a stranger").toContain(other.status);
    expect(await other.text()).not.toMatch(/张|李/);
  }
});

test("the auditor sees the release and the chain is whole", async ({ browser }) => {
  const page = await signedIn(browser, "auditor");
  await page.goto(`${portal}/console/audit?object=${code}&action=rows`);
  await expect(page.locator("main")).toContainText("rows.query");
  await expect(page.locator("main")).toContainText(code);
  await picture(page, "walk-7-audit");
  await page.locator("form[action$='/console/audit/verify'] [type=submit]").first().click();
  await expect(page.locator("#verdict")).toContainText(/完整|intact/);
});

test("a citizen searches, looks and downloads only what is open", async ({ browser }) => {
  const page = await (await browser.newContext({ acceptDownloads: true })).newPage();
  await page.goto(portal);
  await page.locator("#search [name=q]").fill("走查企业信息");
  await page.locator("#search [type=submit]").first().click();
  await expect(page.locator("#results")).toContainText(title);
  await picture(page, "walk-8-search");
  await page.locator("#results a", { hasText: "走查企业信息" }).first().click();
  await expect(page).toHaveURL(new RegExp(`/data/${code}`));
  await expect(page.locator("#preview")).toContainText("杭州走查甲有限公司");
  await expect(page.locator("#preview")).not.toContainText("张三丰");
  await picture(page, "walk-9-data-set");
  const [download] = await Promise.all([
    page.waitForEvent("download"),
    page.locator(`#downloads a[href*="download.csv"]`).first().click(),
  ]);
  const chunks = [];
  for await (const chunk of await download.createReadStream()) chunks.push(chunk);
  const text = Buffer.concat(chunks).toString("utf8");
  expect(text.trim().split(/\r?\n/)).toHaveLength(3);
  expect(text).toContain("91330106673959654P");
  expect(text, "what is not open never leaves").not.toMatch(/张三丰|frxm|法定代表人/);
});
