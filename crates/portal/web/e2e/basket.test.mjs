// One basket of four kinds: found by searching, filed with one form, decided differently by three owners, followed on one
// line; what was granted is built from the page: key, sample code that runs as it is given, synthetic rows.
import { execFile } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { expect, test } from "@playwright/test";
import { fit, house, picture, portal, signedIn } from "./house.mjs";

const name = `一揽子走查 ${Date.now().toString(36)}`;
const seen = { app: null, bundle: "", parts: {} };

test.describe.configure({ mode: "serial" });

/** A page signed in by login name: owners are told apart by their people, not by their roles. */
async function signedInAs(browser, user) {
  const { password } = house.accounts.find((a) => a.user === user);
  const page = await (await browser.newContext()).newPage();
  await page.goto(`${portal}/login`);
  await page.locator("#login [name=name]").fill(user);
  await page.locator("#login [name=password]").fill(password);
  await page.locator("#login [type=submit]").click();
  await expect(page, `${user} should be signed in`).not.toHaveURL(/\/login/);
  return page;
}

/** Searches the ledgers, opens what bears the title, and puts it into the basket. */
async function put(page, words, title) {
  await page.goto(`${portal}/console/search?q=${encodeURIComponent(words)}`);
  await page.locator("#hits a", { hasText: title }).first().click();
  await expect(page.locator("h1")).toContainText(title);
  await page.locator("#to-basket button").click();
  await expect(page).toHaveURL(/\/console\/basket/);
  await expect(page.locator("main")).toContainText(title);
}

test("a consumer finds four kinds of things and files them with one form", async ({ browser }) => {
  const page = await signedIn(browser, "consumer");
  await page.goto(`${portal}/console/applications`);
  const form = page.locator("#register");
  await form.locator("[name=name]").fill(name);
  await form.locator("[name=description]").fill("一揽子走查用的应用");
  await form.locator("[type=submit]").click();
  seen.app = {
    key: (await page.locator("#key").innerText()).trim(),
    secret: (await page.locator("#secret").innerText()).trim(),
  };
  await page.goto(`${portal}/console/basket`);
  const remove = page.locator("button[form^=remove-]");
  while (await remove.count()) await remove.first().click();
  await put(page, "rkjbxx", "人口基本信息"); // pinyin initials
  await put(page, "社会保险参保", "社会保险参保信息");
  await put(page, "统一用户组件", "统一用户组件");
  await put(page, "政务云主机", "政务云主机");

  const line = (title) => page.locator("#basket > section", { hasText: title }).first();
  const batch = line("社会保险参保信息");
  await batch.locator("[name$=-way]").selectOption("batch");
  await batch.locator("details > summary").click();
  await batch.locator("[name$=-destination]").fill("ods_sb_cbxx");
  await batch.locator("[name$=-frequency]").selectOption("daily");
  await line("统一用户组件").locator("[name$=-detail]").fill("群众登录");
  await line("政务云主机").locator("[name$=-vcpu]").fill("8");
  const fields = page.locator("#form-fields");
  for (const [field, text] of Object.entries({
    name, scene: "办理出生一件事时核对申请人与参保情况", legal_basis: "《浙江省公共数据条例》", contact: "王用", phone: "0571-88888888",
  })) {
    await fields.locator(`[name=${field}]`).fill(text);
  }
  await fields.locator("[name=application]").selectOption({ label: name });
  await picture(page, "basket-1-form");
  await page.locator("#basket button.main").click();
  await expect(page).toHaveURL(/\/console\/bundles\/[0-9a-z-]+/);
  seen.bundle = page.url().replace(/\?.*/, "");
  await expect(page.locator("#total")).toHaveText("4");
  for (const title of ["人口基本信息", "社会保险参保信息", "统一用户组件", "政务云主机"]) {
    const link = page.locator("#parts a", { hasText: title }).first();
    seen.parts[title] = new URL(await link.getAttribute("href"), portal).href;
  }
  await picture(page, "basket-2-filed");
});

/** Presses a button of the first step that waits for this person on an approval's page. */
async function act(page, url, what, fill = {}) {
  await page.goto(url);
  const form = page.locator("section[id^=act-] form").first();
  await expect(form, `something waits for this person at ${url}`).toBeVisible();
  for (const [field, value] of Object.entries(fill)) {
    const box = form.locator(`[name=${field}]`).first();
    if ((await box.evaluate((e) => e.tagName)) === "SELECT") await box.selectOption(value);
    else {
      if (!(await box.isVisible())) await form.locator("details > summary").first().click();
      await box.fill(value);
    }
  }
  const button = form.locator(`button[name=do][value=${what}]`).first();
  if (!(await button.isVisible())) await form.locator("details > summary").first().click();
  await button.click();
  await expect(page.locator("main")).not.toContainText("操作未完成");
}

test("three owners decide differently", async ({ browser }) => {
  const { 人口基本信息: people, 社会保险参保信息: insured, 统一用户组件: component, 政务云主机: cloud } = seen.parts;
  const authority = await signedIn(browser, "authority");
  await act(authority, people, "approve", { opinion: "受理" });
  await act(authority, insured, "approve", { opinion: "受理" });

  const police = await signedInAs(browser, "sga");
  await act(police, people, "approve", { opinion: "同意共享" });
  const srst = await signedInAs(browser, "srst");
  await act(srst, insured, "return", { opinion: "请补充", missing: "共享时间范围" });
  const market = await signedIn(browser, "reviewer");
  await act(market, component, "refuse", { opinion: "组件正在升级", reason: "not_ready" });
  await act(market, cloud, "approve", { opinion: "资源充足" });

  // The register of people is graded L3: authority and security officer answer side by side.
  await act(authority, people, "approve", { opinion: "同意" });
  await act(await signedIn(browser, "security_officer"), people, "approve", { opinion: "脱敏后可用" });
});

test("the applicant sees one line of progress", async ({ browser }) => {
  const page = await signedIn(browser, "consumer");
  await page.goto(seen.bundle);
  const state = (title) => page.locator("#parts tr", { hasText: title });
  await expect(state("人口基本信息")).toContainText(/已通过|已办结|已授权/);
  await expect(state("统一用户组件")).toContainText(/驳回|不同意|未通过/);
  await expect(state("社会保险参保信息")).toContainText(/补正|退回/);
  await expect(state("政务云主机")).not.toContainText(/驳回|退回/);
  await expect(page.locator("[id^=amend-]")).toContainText("共享时间范围");
  await picture(page, "basket-3-progress");
});

test("the key is issued and the sample code runs as it is given", async ({ browser }) => {
  const page = await signedIn(browser, "consumer");
  await page.goto(seen.bundle);
  await page.locator("#build").click();
  await expect(page.locator("#key")).toHaveText(seen.app.key);
  await fit(page, "basket-4-build");
  const code = await page.locator("#rk_jbxx-javascript").textContent();
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "qt-sample-"));
  const file = path.join(folder, "client.mjs");
  fs.writeFileSync(file, code);
  const env = { ...process.env, QT_SECRET: seen.app.secret };
  const { stdout } = await promisify(execFile)(process.execPath, [file], { env });
  expect(stdout, "rows of the granted resource").toMatch(/[[{]/);
  const rows = JSON.parse(stdout.slice(stdout.search(/[[{]/)));
  expect((Array.isArray(rows) ? rows : [rows]).length).toBeGreaterThan(0);
  fs.rmSync(folder, { recursive: true });
});
