// Looking and reading: elder mode by keyboard alone, reading aloud, dark, paper; a citizen finds, charts and downloads.
import fs from "node:fs";
import { expect, test } from "@playwright/test";
import { SIZES, house, picture, portal } from "./house.mjs";

const open = house.resources.find((r) => r.open);

/** Presses Tab until the element has the focus; fails when the keyboard does not come there. */
async function tabTo(page, selector, most = 60) {
  const target = page.locator(selector).first();
  for (let i = 0; i < most; i++) {
    await page.keyboard.press("Tab");
    if (await target.evaluate((e) => e === document.activeElement)) {
      const outline = await target.evaluate((e) => getComputedStyle(e).outlineStyle);
      expect(outline, `${selector} shows that it has the focus`).not.toBe("none");
      return;
    }
  }
  throw new Error(`the keyboard does not reach ${selector}`);
}

test("elder mode, by keyboard alone", async ({ page }) => {
  await page.goto(portal);
  await tabTo(page, "#elder-mode");
  await page.keyboard.press("Enter");
  await expect(page.locator("html")).toHaveClass(/elder/);
  const measured = await page.evaluate(() => {
    const p = document.querySelector("main p"), style = getComputedStyle(p), font = parseFloat(style.fontSize);
    const line = parseFloat(style.lineHeight), button = document.querySelector("#search button").getBoundingClientRect();
    return { font, lines: line / font, paragraph: parseFloat(style.marginBottom) / line, button: button.height, cursor: getComputedStyle(document.body).cursor };
  });
  expect(measured.font).toBeGreaterThanOrEqual(18);
  expect(measured.lines).toBeGreaterThanOrEqual(1.3);
  expect(measured.paragraph).toBeGreaterThanOrEqual(1.3);
  expect(measured.button).toBeGreaterThanOrEqual(44);
  expect(measured.cursor).toContain("pointer.svg");
  await tabTo(page, "#search [name=q]");
  await page.keyboard.type("企业");
  await page.keyboard.press("Enter");
  await expect(page.locator("#total")).toBeVisible();
  await expect(page.locator("html"), "the choice holds on the next page").toHaveClass(/elder/);
  // Past the header in one step.
  await page.keyboard.press("Tab");
  await expect(page.locator(".skip")).toBeFocused();
  await page.keyboard.press("Enter");
  await tabTo(page, "article.hit a", 80);
  await page.keyboard.press("Enter");
  await expect(page.locator("#metadata")).toBeVisible();
  await picture(page, "elder-data-set");
});

test("a page is read aloud from a button, and stops on Escape", async ({ page }) => {
  // No voice is installed in this browser: what it is given to say is written down, and said at once.
  await page.addInitScript(() => {
    window.said = [];
    const voice = { cancel() {}, speak(one) { window.said.push(one.text); window.setTimeout(() => window.hold || one.onend(), 0); } };
    Object.defineProperty(window, "speechSynthesis", { value: voice });
  });
  await page.goto(`${portal}/about`);
  const button = page.locator("#read-aloud");
  await expect(button).toBeVisible();
  await tabTo(page, "#read-aloud");
  await page.keyboard.press("Enter");
  await expect(button, "it has come to the end").toHaveAttribute("aria-pressed", "false");
  const said = await page.evaluate(() => window.said);
  expect(said[0]).toContain((await page.locator("h1").textContent()).trim());
  expect(said.length).toBeGreaterThan(5);
  await page.evaluate(() => { window.hold = true; window.said = []; });
  await page.keyboard.press("Enter");
  await expect(button).toHaveAttribute("aria-pressed", "true");
  await expect(page.locator(".reading")).toHaveCount(1);
  await page.keyboard.press("Escape");
  await expect(button).toHaveAttribute("aria-pressed", "false");
  await expect(page.locator(".reading")).toHaveCount(0);
});

test("modes and charts work without script", async ({ browser }) => {
  const page = await (await browser.newContext({ javaScriptEnabled: false })).newPage();
  await page.goto(`${portal}/data/${open.code}/chart`);
  await page.locator("#elder-mode").click();
  await expect(page.locator("html")).toHaveClass(/elder/);
  expect(page.url()).toContain(`/data/${open.code}/chart`);
  await expect(page.locator("#read-aloud")).toBeHidden();
  await page.locator("#themes a").last().click();
  await expect(page.locator("html")).toHaveAttribute("data-theme", "dark");
  await page.locator("#kind").selectOption("pie");
  await page.locator("#draw").click();
  await expect(page.locator("svg.still")).toBeVisible();
  await expect(page.locator("#chart-table tbody tr").first()).toBeVisible();
});

test("a citizen finds, charts and downloads", async ({ page }) => {
  await page.goto(portal);
  await page.locator("#search [name=q]").fill("企业");
  await page.locator("#search [type=submit]").first().click();
  await page.locator("article.hit a").first().click();
  await page.goto(`${portal}/data/${open.code}`);
  await page.locator("#to-chart").click();
  await expect(page.locator("#chart [data-chart]")).toBeVisible();
  await expect(page.locator("#chart canvas")).toBeVisible();
  await expect(page.locator("svg.still"), "the still drawing makes room").toBeHidden();
  await page.locator("#kind").selectOption("pie");
  await page.locator("#draw").click();
  await expect(page).toHaveURL(/kind=pie/);
  await picture(page, "chart-pie");
  const rows = await page.locator("#chart-table tbody tr").count();
  await page.goto(page.url());
  expect(await page.locator("#chart-table tbody tr").count(), "the address brings the chart back").toBe(rows);
  await page.goto(`${portal}/data/${open.code}`);
  await expect(page.locator("#to-downloads"), "the downloads are in sight on a desk").toBeHidden();
  const [download] = await Promise.all([page.waitForEvent("download"), page.locator("#download-csv").click()]);
  expect(fs.statSync(await download.path()).size).toBeGreaterThan(20);
});

test("on a phone the downloads are one step from the first screen", async ({ page }) => {
  await page.setViewportSize(SIZES.phone);
  for (const look of ["", "?look=elder"]) {
    await page.goto(`${portal}/data/${open.code}${look}`);
    for (const id of ["#to-downloads", "#at-once-csv", "#at-once-xlsx"]) {
      const box = await page.locator(id).boundingBox();
      expect(box.y + box.height, `${look}: ${id} stands in the first screen`).toBeLessThanOrEqual(SIZES.phone.height);
    }
    await expect(page.locator("#downloads-h")).not.toBeInViewport();
    await page.locator("#to-downloads").click();
    await expect(page, `${look}: the address says where`).toHaveURL(/#downloads$/);
    await expect(page.locator("#downloads-h"), `${look}: the jump goes there`).toBeInViewport();
    const wide = await page.evaluate(() => document.documentElement.scrollWidth);
    expect(wide, `${look}: nothing sticks out`).toBeLessThanOrEqual(SIZES.phone.width);
  }
  const [download] = await Promise.all([page.waitForEvent("download"), page.locator("#at-once-csv").click()]);
  expect(fs.statSync(await download.path()).size).toBeGreaterThan(20);
});

test("colours follow the system until they are chosen, and paper is light", async ({ browser }) => {
  const page = await (await browser.newContext({ colorScheme: "dark" })).newPage();
  const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  await page.goto(portal);
  const dark = await ground();
  await page.locator("#themes a", { hasText: "浅色" }).click();
  const light = await ground();
  expect(light).not.toBe(dark);
  await page.locator("#themes a", { hasText: "深色" }).click();
  expect(await ground()).toBe(dark);
  await page.emulateMedia({ media: "print" });
  expect(await ground()).toBe("rgb(255, 255, 255)");
  await expect(page.locator("#main-nav")).toBeHidden();
  await page.goto(`${portal}/data/${open.code}`);
  await page.emulateMedia({ media: "print" });
  await picture(page, "data-set-on-paper");
});

test("the layers of the map are drawn", async ({ page }) => {
  await page.goto(`${portal}/maps`);
  const boxes = page.locator("#layers [name=layer]");
  if ((await boxes.count()) > 1) {
    await boxes.nth(1).check();
    await page.locator("#layers [type=submit]").click();
  }
  await expect(page.locator("#map-canvas canvas")).toBeVisible();
  await expect(page.locator("#layer-list tbody tr")).toHaveCount(Math.min(2, await boxes.count()));
  await picture(page, "maps-layers");
});

for (const way of ["button", "shift"]) {
  test(`an area drawn on the map finds the data sets in it (${way})`, async ({ page }) => {
    await page.goto(`${portal}/maps`);
    const canvas = page.locator("#map-canvas canvas");
    await expect(canvas).toBeVisible();
    if (way === "button") {
      await page.locator("#draw-area").click();
      await expect(page.locator("#draw-area")).toHaveAttribute("aria-pressed", "true");
    }
    await canvas.evaluate((e) => e.scrollIntoView({ block: "center", behavior: "instant" }));
    const box = await canvas.boundingBox();
    if (way === "shift") await page.keyboard.down("Shift");
    await page.mouse.move(box.x + 6, box.y + 6);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2, { steps: 4 });
    await page.mouse.move(box.x + box.width - 60, box.y + box.height - 6, { steps: 4 });
    await Promise.all([page.waitForURL(/west=/), page.mouse.up()]);
    if (way === "shift") await page.keyboard.up("Shift");
    const asked = new URL(page.url()).searchParams;
    expect(Number(asked.get("west"))).toBeLessThan(Number(asked.get("east")));
    expect(Number(asked.get("south"))).toBeLessThan(Number(asked.get("north")));
    await expect(page.locator("#within-list tbody tr").first(), "what is on the map is in the area").toBeVisible();
    await picture(page, `maps-drawn-${way}`);
  });
}

// Nothing moves under the reader's eye: what scripts draw and show has its room before.
const STEADY = ["/", "/data?q=企业", `/data/${open.code}`, `/data/${open.code}/chart`, "/maps", "/index", "/developer", "/city/hangzhou", "/interact", "/about"];
for (const [size, viewport] of [["desktop", { width: 1280, height: 900 }], ["phone", { width: 390, height: 844 }]]) {
  test(`no page moves while it is loaded, on a ${size}`, async ({ browser }) => {
    const context = await browser.newContext({ viewport });
    await context.addInitScript(() => {
      window.moved = [];
      const name = (node) => (node ? node.id || node.className || node.nodeName : "?");
      new PerformanceObserver((list) => {
        for (const entry of list.getEntries()) {
          if (!entry.hadRecentInput) window.moved.push({ by: entry.value, what: entry.sources.map((s) => String(name(s.node))) });
        }
      }).observe({ type: "layout-shift", buffered: true });
    });
    const page = await context.newPage();
    for (const path of STEADY) {
      await page.goto(portal + path);
      await page.waitForLoadState("networkidle");
      // Shifts are told with the next frames.
      await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
      const moved = await page.evaluate(() => window.moved);
      const sum = moved.reduce((all, m) => all + m.by, 0);
      expect(sum, `${path}: ${JSON.stringify(moved)}`).toBeLessThanOrEqual(0.01);
    }
    await context.close();
  });
}

test("a place is found by its name, with and without script", async ({ page, browser }) => {
  await page.goto(`${portal}/maps`);
  await page.fill("#place", "余杭区");
  await page.click("#find-place");
  await expect(page.locator("#places li").first()).toContainText("余杭区");
  await picture(page, "maps-place");
  const plain = await browser.newContext({ javaScriptEnabled: false });
  const bare = await plain.newPage();
  await bare.goto(`${portal}/maps`);
  await bare.fill("#place", "亚特兰蒂斯");
  await bare.click("#find-place");
  await expect(bare.locator("#no-place")).toBeVisible();
  await plain.close();
});

test("the head of a phone is small, and all of it is reached without script", async ({ browser }) => {
  const phone = { width: 390, height: 844 };
  const context = await browser.newContext({ viewport: phone, javaScriptEnabled: false });
  const page = await context.newPage();
  for (const path of ["/", "/?look=elder", "/data?region=330100"]) {
    await page.goto(`${portal}${path}`);
    const head = await page.locator("header.top").boundingBox();
    expect(head.height, `${path}: the head takes little of the screen`).toBeLessThan(phone.height * 0.2);
    await expect(page.locator("#main-nav a").first()).toBeHidden();
    for (const [fold, inside] of [["#display", "#themes a"], ["#menu", "#main-nav a"]]) {
      await page.locator(`${fold} > summary`).focus();
      await page.keyboard.press("Enter");
      await expect(page.locator(inside).first(), `${path}: ${fold} unfolds`).toBeVisible();
      await page.keyboard.press("Tab");
      expect(await page.locator(fold).evaluate((e) => e.contains(document.activeElement)), `${path}: the keyboard goes into ${fold}`).toBe(true);
    }
    const wide = await page.evaluate(() => document.documentElement.scrollWidth);
    expect(wide, `${path}: nothing sticks out`).toBeLessThanOrEqual(phone.width);
  }
  await page.setViewportSize({ width: 1280, height: 900 });
  await page.goto(portal);
  await expect(page.locator("#main-nav a").last(), "a wide page shows all").toBeVisible();
  await expect(page.locator("#menu > summary")).toBeHidden();
  await context.close();
});
