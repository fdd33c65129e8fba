// Pages over a database of the test's own: a source whose tables are catalogued and then change, and a table that rows flow back into.
import { expect, test } from "@playwright/test";
import { fit, portal, signedIn } from "./house.mjs";
import { postgres } from "./postgres.mjs";

/** Enters the test's database as a source of the person's organisation. */
async function entered(page, name, port) {
  await page.goto(`${portal}/console/sources`);
  const form = page.locator("#source-form");
  const fields = { name, host: "127.0.0.1", port: String(port), database: "source", account: "qiantang", password: "none" };
  for (const [field, text] of Object.entries(fields)) await form.locator(`[name=${field}]`).fill(text);
  await page.locator("#save-source").click();
  await expect(page.locator("main")).toContainText(name);
}

test("a source, its tables, and what changed in one are told on pages that are fit", async ({ browser }) => {
  const source = await postgres();
  try {
    source.sql(
      `CREATE TABLE yjzb (zbbm text PRIMARY KEY, zbmc text NOT NULL, bgsj timestamp);
       COMMENT ON TABLE yjzb IS '应急值班信息'; COMMENT ON COLUMN yjzb.zbbm IS '值班编码'; COMMENT ON COLUMN yjzb.zbmc IS '值班名称';
       COMMENT ON COLUMN yjzb.bgsj IS '变更时间'`,
    );
    const page = await signedIn(browser, "provider");
    const name = `值班业务库 ${source.port}`;
    await entered(page, name, source.port);
    await page.goto(`${portal}/console/sources`);
    await page.locator("#sources a", { hasText: name }).click();
    await fit(page, "source");
    await page.locator("#check-source").click();
    await expect(page.locator("#check")).toBeVisible();
    await page.locator("#tables").click();
    await expect(page.locator("#tables")).toContainText("public.yjzb");
    await fit(page, "source-tables");
    const tables = page.url().replace(/[?#].*/, "");
    await page.locator("#tables tr", { hasText: "public.yjzb" }).locator("[name=table]").check();
    await page.locator("#make").click();
    await expect(page.locator("#drafted a").first()).toBeVisible();
    await fit(page, "source-drafted");
    source.sql("ALTER TABLE yjzb ADD COLUMN lxdh text");
    await page.goto(tables);
    await page.locator("#look").click();
    await expect(page.locator("#looked")).toBeVisible();
    await page.locator("#drifts a", { hasText: "值班" }).first().click();
    await expect(page.locator("#changes")).toContainText("lxdh");
    await fit(page, "drift");
    await page.locator("#dismiss [name=reason]").fill("走查用的表");
    await page.locator("#dismiss [type=submit]").click();
    await expect(page).toHaveURL(/\/console\/drifts(\?|$)/);
    await page.context().close();
  } finally {
    source.stop();
  }
});

test("a return flow is made, and its page is fit", async ({ browser }) => {
  const target = await postgres();
  try {
    const page = await signedIn(browser, "consumer");
    const name = `便民业务库 ${target.port}`;
    await entered(page, name, target.port);
    await page.goto(`${portal}/console/outflows`);
    await page.locator('#offers a[href^="/console/outflows/new"]').first().click();
    const form = page.locator("#target-form");
    const option = form.locator("[name=source] option", { hasText: name });
    await form.locator("[name=source]").selectOption(await option.getAttribute("value"));
    await form.locator("[name=table]").fill("huiliu");
    await page.locator("#look").click();
    await expect(page.locator("#columns")).toBeVisible();
    await fit(page, "outflow-checked");
    await page.locator("#make-outflow").click();
    await expect(page).toHaveURL(/\/console\/outflows\/(?!new)[0-9a-z-]+/);
    await expect(page.locator("#figures")).toBeVisible();
    await fit(page, "outflow");
    page.on("dialog", (dialog) => dialog.accept());
    await page.locator("#remove").click();
    await expect(page.locator("#outflows")).not.toContainText(name);
    await page.context().close();
  } finally {
    target.stop();
  }
});
