// The public's voice, by the people in it: a citizen reports an error in a data set and judges the answer, another wants the same
// data, comments come out harmless, and the pages are fit for readers and phones.
import { expect, test } from "@playwright/test";
import { fit, house, portal, signedIn } from "./house.mjs";

// Of the organisation that the account `provider` answers for.
const open = house.resources.find((r) => r.open && r.code.startsWith("scjg_"));
const mark = Date.now().toString(36);
const seen = { number: "", desk: "" };
const EVIL = '<script>document.title = "owned"</script><img src=x onerror="document.title = \'owned\'">';

test.describe.configure({ mode: "serial" });

test("a citizen reports an error from the data set's page", async ({ browser }) => {
  const page = await signedIn(browser, "citizen");
  await page.goto(`${portal}/data/${open.code}`);
  await page.locator("#to-error").click();
  const form = page.locator("#ticket-form");
  await expect(form.locator("input[name=kind][value=error]")).toBeChecked();
  await form.locator("[name=title]").fill(`走查纠错 ${mark}`);
  await form.locator("[name=text]").fill(`这一行有误 ${EVIL}`);
  await form.locator("[name=row]").fill("第 3 行");
  await form.locator("[name=contact]").fill("walk@example.cn");
  await form.locator("[type=submit]").click();
  await expect(page).toHaveURL(/\/interact\/JC-\d{8}-\d{6}/);
  seen.number = (await page.locator("#number").innerText()).trim();
  await expect(page.locator("#text")).toContainText("<script>");
  expect(await page.title()).not.toBe("owned");
  await fit(page, "voice-1-filed");
  await page.goto(`${portal}/me`);
  await expect(page.locator("#my-tickets")).toContainText(seen.number);
});

test("nobody else reads it before the department has accepted it", async ({ page }) => {
  const answer = await page.goto(`${portal}/interact/${seen.number}`);
  expect(answer.status()).toBe(404);
});

test("the department finds it on its desk and answers", async ({ browser }) => {
  // The bureau oversees every desk of the province: by its list the ticket is found.
  const bureau = await signedIn(browser, "authority");
  await bureau.goto(`${portal}/console/tickets?view=region&q=${seen.number}`);
  seen.desk = new URL(await bureau.locator("#tickets tbody a").first().getAttribute("href"), portal).href;
  await bureau.goto(seen.desk);
  await expect(bureau.locator("main")).not.toContainText("walk@example.cn");
  const page = await signedIn(browser, "provider");
  await page.goto(`${portal}/console`);
  await expect(page.locator("#inbox-tickets")).toBeVisible();
  await page.goto(seen.desk);
  await page.locator("#contact button").click();
  await expect(page.locator("#contact-shown")).toContainText("walk@example.cn");
  await fit(page, "voice-2-desk");
  await page.locator("#answer-text").fill("已联系数据科更正");
  await page.locator("#public-text").fill("已核实更正，感谢指正。");
  await page.locator("#answer button[value=answer]").click();
  await expect(page.locator("#public-reply")).toContainText("已核实更正");
});

test("everybody reads the public answer, the citizen alone the rest, and judges it", async ({ browser }) => {
  const guest = await (await browser.newContext()).newPage();
  await guest.goto(`${portal}/interact?q=${mark}`);
  await guest.locator("#tickets a", { hasText: mark }).first().click();
  await expect(guest.locator("#public-reply")).toContainText("已核实更正");
  await expect(guest.locator("main")).not.toContainText("已联系数据科更正");
  await expect(guest.locator("main")).not.toContainText("walk@example.cn");
  await fit(guest, "voice-3-public");
  const page = await signedIn(browser, "citizen");
  await page.goto(`${portal}/console/notices`);
  await expect(page.locator("#notices")).toContainText(seen.number);
  await page.goto(`${portal}/interact/${seen.number}`);
  await expect(page.locator("#reply")).toContainText("已联系数据科更正");
  await page.locator("#evaluate [name=satisfied][value=yes]").check();
  await page.locator("#evaluate [name=score]").selectOption("5");
  await page.locator("#evaluate button").click();
  await expect(page.locator("#timeline")).toContainText("5 / 5");
});

test("a citizen follows a data set, and not any more", async ({ browser }) => {
  const page = await signedIn(browser, "citizen");
  await page.goto(`${portal}/data/${open.code}`);
  await page.locator("#follow-button").click();
  await expect(page.locator("#follow-button")).toHaveText("取消关注");
  await page.goto(`${portal}/console/notices`);
  await expect(page.locator("#subscriptions")).toContainText(open.title ?? "");
  await page.goto(`${portal}/data/${open.code}`);
  await page.locator("#follow-button").click();
  await expect(page.locator("#follow-button")).toHaveText("关注此数据集");
  await page.context().close();
});

test("a comment is harmless, without script too", async ({ browser }) => {
  const context = await browser.newContext({ javaScriptEnabled: false });
  const page = await context.newPage();
  const { user, password } = house.accounts.find((a) => a.role === "citizen");
  await page.goto(`${portal}/login?next=/data/${open.code}`);
  await page.locator("#login [name=name]").fill(user);
  await page.locator("#login [name=password]").fill(password);
  await page.locator("#login [type=submit]").click();
  await page.locator("#rate [name=stars]").selectOption("4");
  await page.locator("#rate button").click();
  await expect(page.locator("#stars")).toBeVisible();
  await page.locator("#comment-form textarea").fill(`评论 ${mark} ${EVIL}`);
  await page.locator("#comment-form button").click();
  await expect(page.locator("#comments")).toContainText(mark);
  const guest = await (await browser.newContext()).newPage();
  await guest.goto(`${portal}/data/${open.code}`);
  await expect(guest.locator("#comments")).toContainText("<script>");
  expect(await guest.title()).not.toBe("owned");
});

test("a search that finds nothing leads to a request that others support", async ({ browser }) => {
  const page = await signedIn(browser, "citizen");
  await page.goto(`${portal}/data?q=${encodeURIComponent("月球背面岩石" + mark)}`);
  await page.locator("#ask-for-it").click();
  await expect(page.locator("#ticket-form [name=title]")).toHaveValue(new RegExp(mark));
  await page.locator("#ticket-form [name=text]").fill("研究需要这些数据，请予开放。");
  await page.locator("#ticket-form [type=submit]").click();
  await expect(page).toHaveURL(/\/interact\/XQ-/);
  const number = (await page.locator("#number").innerText()).trim();
  const bureau = await signedIn(browser, "authority");
  await bureau.goto(`${portal}/console/tickets?q=${number}`);
  await bureau.locator("#tickets tbody a").first().click();
  await bureau.locator("#answer button[value=accept]").click();
  const other = await signedIn(browser, "enterprise");
  await other.goto(`${portal}/interact/${number}`);
  await other.locator("#support button").click();
  await expect(other.locator("#support")).toContainText("1");
  await expect(other.locator("#support button")).toHaveCount(0);
});

test("the pages of what was said and made are fit", async ({ browser }) => {
  const page = await (await browser.newContext()).newPage();
  for (const [name, path] of [["voice-list", "/interact"], ["showcase-list", "/showcase"]]) {
    await page.goto(portal + path);
    await fit(page, name);
  }
  await page.locator("#all-showcases a").first().click();
  await expect(page.locator("#datasets")).toBeVisible();
  await fit(page, "showcase-one");
});
