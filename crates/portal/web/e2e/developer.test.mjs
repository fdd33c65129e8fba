// 开发者中心, walked by a developer: a first call without a key, an account, an application with its key, the page's own sample run with
// it, the interface tried on its page, and what was called seen afterwards.
import { execFileSync } from "node:child_process";
import { expect, test } from "@playwright/test";
import { fit, gateway, house, openAccount, portal, registerApplication, signIn, signature, signedIn } from "./house.mjs";

test.describe.configure({ mode: "serial" });

const mark = Date.now().toString(36);
const open = house.resources.find((r) => r.open && r.rows > 5);
/** Carried from step to step. */
const seen = { account: null, app: null };

test("the first call of the page works without account and key", async ({ page }) => {
  await page.goto(portal);
  await page.locator("#main-nav a", { hasText: "开发者中心" }).click();
  await expect(page.locator("#begin")).toContainText("不需要账号和密钥");
  await fit(page, "developer-1-guest");
  for (const [line, is] of (await page.locator("#sample-curl").innerText()).split("\n").map((l, i) => [l, i ? "csv" : "json"])) {
    const url = line.match(/'(http[^']+)'$/)[1].replace("CODE", open.code);
    const answer = await fetch(url, { headers: line.includes("text/csv") ? { accept: "text/csv" } : {} });
    expect(answer.status, line).toBe(200);
    const text = await answer.text();
    expect(is === "json" ? JSON.parse(text) : text.trim().split("\n").slice(1)).toHaveLength(5);
  }
});

test("an account is opened, and leads from the page to an application with its key", async ({ browser }) => {
  const admin = await signedIn(browser, "system_administrator");
  seen.account = await openAccount(admin, { user: `walk-dev-${mark}`, name: "开发者 李某", roles: ["citizen"] });
  const page = await (await browser.newContext()).newPage();
  await page.goto(`${portal}/developer`);
  await page.locator("#begin a", { hasText: "登录" }).click();
  await signIn(page, seen.account);
  await expect(page, "where the page led to").toHaveURL(/\/console\/applications/);
  seen.app = await registerApplication(page, `走查开发 ${mark}`, "读取开放数据的小程序");
  expect(seen.app.key && seen.app.secret).toBeTruthy();
  await fit(page, "developer-2-key");
  await page.goto(`${portal}/console/applications`);
  await expect(page.locator("#applications")).toContainText(seen.app.key);
  await expect(page.locator("main"), "the secret is shown once").not.toContainText(seen.app.secret);
  await page.goto(`${portal}/developer`);
  await expect(page.locator("#own")).toHaveText("1");
  await fit(page, "developer-3-signed-in");
});

test("the sample of the page, with the key put in, reads rows; a wrong secret does not", async ({ browser }) => {
  const page = await (await browser.newContext()).newPage();
  await page.goto(`${portal}/developer`);
  const sample = (await page.locator("#sample-python").innerText())
    .replace("应用的 key", seen.app.key)
    .replace("应用的 secret", seen.app.secret)
    .replace("/CODE", `/${open.code}`);
  const rows = JSON.parse(execFileSync("python3", ["-c", sample], { encoding: "utf8" }));
  expect(rows).toHaveLength(5);
  const url = `${gateway}/api/v1/${open.code}?limit=5`;
  const good = await fetch(url, { headers: signature(seen.app, "GET", url) });
  expect(await good.json()).toEqual(rows);
  const wrong = await fetch(url, { headers: signature({ ...seen.app, secret: "0".repeat(64) }, "GET", url) });
  expect(wrong.status).toBe(401);
});

test("the interface is found in the list and tried on its page", async ({ page }) => {
  await page.goto(`${portal}/developer`);
  await page.locator("#begin a", { hasText: "接口列表" }).click();
  await expect(page.locator("#interfaces")).toBeVisible();
  await page.goto(`${portal}/data/${open.code}/api`);
  const form = page.locator("#try");
  await form.locator("[name=limit]").fill("3");
  await form.locator("[type=submit]").click();
  await expect(page.locator("#answer-call")).toContainText(`/api/v1/${open.code}`);
  expect(JSON.parse(await page.locator("#answer-body").innerText())).toHaveLength(3);
  await fit(page, "developer-4-tried");
});

test("the developer sees what the application called", async ({ browser }) => {
  const page = await (await browser.newContext()).newPage();
  await page.goto(`${portal}/login?next=/console/applications`);
  await signIn(page, seen.account);
  const href = await page.locator("#applications a", { hasText: "用量" }).first().getAttribute("href");
  await expect(async () => {
    await page.goto(portal + href);
    await expect(page.locator("#total dd").first()).toHaveText(/^[1-9]/, { timeout: 1000 });
  }).toPass({ timeout: 60_000 });
  await fit(page, "developer-5-usage");
});
