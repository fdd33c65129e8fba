// Batch sharing, by the people in it: a statement in the editor, its rows and a chart, an export that the provider decides on, and a job.
import { expect, test } from "@playwright/test";
import { house, picture, portal, signedIn, write } from "./house.mjs";

const project = `${portal}/console/projects/${house.projects[0].id}`;
const QUERY = "select djzt, count(*) as n from fr_jbxx group by djzt order by n desc";

test("a statement is written, seen, drawn, and asked to be taken out", async ({ browser }) => {
  test.slow();
  const page = await signedIn(browser, "consumer");
  const faults = [];
  page.on("console", (m) => m.type() === "error" && faults.push(m.text()));
  page.on("pageerror", (e) => faults.push(String(e)));
  await page.goto(`${project}/sql`);
  await expect(page.locator("#tree [data-table=fr_jbxx]")).toBeVisible();
  await expect(page.locator("#sql")).toBeHidden();
  await write(page, "select dj");
  await page.keyboard.press("Control+Space");
  await expect(page.locator(".editor .cm-tooltip-autocomplete")).toBeVisible();
  await write(page, QUERY);
  await picture(page, "project-editor");
  await page.locator("#run").click();
  await expect(page.locator("#rows tbody tr").first()).toBeVisible({ timeout: 30_000 });
  const states = await page.locator("#rows tbody tr").count();
  expect(states).toBeGreaterThan(0);
  await page.locator("#chart-kind").selectOption("bar");
  await page.locator("#draw").click();
  await expect(page.locator("[data-chart] canvas")).toBeVisible();
  await picture(page, "project-chart");
  await expect(page.locator("#history tbody tr").first()).toContainText("fr_jbxx");
  await page.locator("#explain").click();
  await expect(page.locator("#plan pre")).toContainText("fr_jbxx");
  await page.locator("#to-export").click();
  await expect(page.locator("#export-form textarea[name=sql]")).toHaveValue(QUERY);
  await page.locator("#reason").fill("交业务处核对");
  await page.locator("#ask").click();
  const row = page.locator("#exports tbody tr").first();
  await expect(row).toContainText("交业务处核对");
  await expect(page.locator("#exports .fetch")).toHaveCount(0);
  expect(faults).toEqual([]);
  await page.context().close();
});

test("what is not granted is refused in words, and a statement can be cancelled", async ({ browser }) => {
  const page = await signedIn(browser, "consumer");
  await page.goto(`${project}/sql`);
  await write(page, "delete from fr_jbxx");
  await page.locator("#run").click();
  await expect(page.locator("#answer-error")).toContainText("不允许");
  await write(page, "select count(*) from generate_series(1, 100000) a(n) cross join generate_series(1, 100000) b(m) cross join generate_series(1, 1000) c(k) where n % 7 = m % 11");
  await page.locator("#run").click();
  await page.locator("#cancel").click();
  await expect(page.locator("#answer-error")).toContainText("取消", { timeout: 30_000 });
  await page.context().close();
});

test("the workspace works without script", async ({ browser }) => {
  const page = await signedIn(browser, "consumer", { javaScriptEnabled: false });
  await page.goto(`${project}/sql`);
  await page.locator("#sql").fill(QUERY);
  await page.locator("#run").click();
  await expect(page.locator("#rows tbody tr").first()).toBeVisible();
  await page.context().close();
});

test("a job of the project has made its table", async ({ browser }) => {
  const page = await signedIn(browser, "consumer");
  await page.goto(`${project}/jobs/${house.projects[0].job}`);
  await expect(page.locator("#runs .s-succeeded").first()).toBeVisible({ timeout: 30_000 });
  await page.reload();
  await expect(page.locator("#lineage")).toContainText("fr_jbxx.djzt");
  await picture(page, "project-job-made");
  await page.context().close();
});
