// A rail made by hand from a live PostgreSQL in under ten clicks, the sign-in included; then its rows are watched arriving.
import { expect, test } from "@playwright/test";
import { fit, person, picture, portal } from "./house.mjs";
import { postgres } from "./postgres.mjs";

test("a provider makes a rail in under ten clicks and watches rows arrive", async ({ browser }) => {
  const source = await postgres();
  try {
    source.sql(
      `CREATE TABLE jyz (zdbm text PRIMARY KEY, zdmc text NOT NULL, zdlx text NOT NULL, fzrq date, xzqh text, jd numeric(9,5), wd numeric(8,5), wz text, sjbz text NOT NULL DEFAULT '测试数据');
       INSERT INTO jyz SELECT 'JY330106' || lpad(n::text, 5, '0'), '文三路加油站' || n, '加油站', date '2024-01-01' + n, '330106', 120.1 + n * 0.001, 30.2, 'POINT (120.1 30.2)', '测试数据'
       FROM generate_series(1, 300) n`,
    );
    const page = await (await browser.newContext()).newPage();
    let clicks = 0;
    const click = async (target) => {
      clicks += 1;
      await target.click();
    };
    const { user, password } = person("provider");
    await page.goto(`${portal}/login`);
    await page.locator("#login [name=name]").fill(user);
    await page.locator("#login [name=password]").fill(password);
    await click(page.locator("#login [type=submit]"));
    await expect(page).not.toHaveURL(/\/login/);

    await page.goto(`${portal}/console`);
    await click(page.locator("a[href='/console/sources']").first());
    const form = page.locator("#source-form");
    const fields = { name: `加油站业务库 ${source.port}`, host: "127.0.0.1", port: String(source.port), database: "source", account: "qiantang", password: "none" };
    for (const [name, text] of Object.entries(fields)) await form.locator(`[name=${name}]`).fill(text);
    await click(page.locator("#save-source"));
    await expect(page.locator("main")).toContainText(fields.name);

    await click(page.locator("a[href='/console/rails']").first());
    await click(page.locator("#new-rail a", { hasText: fields.name }));
    await expect(page.locator("#tables")).toContainText("public.jyz");
    await page.locator("#r-name").fill("加油站高铁");
    await page.locator("[name=entry-0]").fill("jyz_ml");
    await fit(page, "rail-new");
    await click(page.locator("#make-rail"));
    await expect(page).toHaveURL(/\/console\/rails\/[0-9a-z-]+/);
    expect(clicks, "clicks from the sign-in to the running rail").toBeLessThan(10);

    // The page is not loaded again: its figures move by themselves.
    const cells = page.locator("#figures #tables tbody tr td");
    await expect(cells.nth(5)).toHaveText("300", { timeout: 60_000 });
    source.sql("INSERT INTO jyz VALUES ('JY33010690001', '新建加气站', '加气站', NULL, '330106', NULL, NULL, NULL, '测试数据'); UPDATE jyz SET zdmc = '改名站' WHERE zdbm = 'JY33010600001'; DELETE FROM jyz WHERE zdbm = 'JY33010600002'");
    await expect(cells.nth(5)).toHaveText("303", { timeout: 60_000 });
    await expect(page.locator("#figures .badge").first()).toHaveClass(/s-streaming/);
    await fit(page, "rail-live");

    await page.goto(`${portal}/console/channels`);
    await expect(page.locator("#channels")).toContainText("加油站高铁");
    await picture(page, "channels");
    await page.goto(`${portal}/console/rails`);
    await page.locator("#rails a", { hasText: "加油站高铁" }).first().click();
    page.on("dialog", (dialog) => dialog.accept());
    await page.locator("#remove").click();
    await expect(page.locator("main")).not.toContainText("加油站高铁");
  } finally {
    source.stop();
  }
});
