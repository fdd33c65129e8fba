// What every browser test needs of the rehearsal house: addresses, people, signed calls, pictures.
import crypto from "node:crypto";
import fs from "node:fs";
import { expect } from "@playwright/test";
import axe from "axe-core";

if (!process.env.QT_READY) {
  throw new Error("QT_READY is not set: run `cargo xtask test browser`, or `qiantang demo --ready FILE` and QT_READY=FILE");
}

/** What the demo said of itself: portal, gateway, accounts, apps, resources. */
export const house = JSON.parse(fs.readFileSync(process.env.QT_READY, "utf8"));
export const portal = house.portal.replace(/\/$/, "");
export const gateway = house.gateway.replace(/\/$/, "");

/** An account of the role (several roles may have several people, the first is taken), or of that user name. */
export function person(role) {
  const found = house.accounts.find((a) => a.role === role) ?? house.accounts.find((a) => a.user === role);
  if (!found) throw new Error(`the demo has no account of role ${role}: ${house.accounts.map((a) => a.role)}`);
  return found;
}

/** A page of its own browser context, signed in as the person of the role. */
export async function signedIn(browser, role, options = {}) {
  return signedInAs(browser, person(role), options);
}

/** The same for an account that a walk has made. */
export async function signedInAs(browser, account, options = {}) {
  const page = await (await browser.newContext({ ...options })).newPage();
  await page.goto(`${portal}/login`);
  await signIn(page, account);
  return page;
}

/** Fills the form for signing in, where it stands. */
export async function signIn(page, { user, password }) {
  await page.locator("#login [name=name]").fill(user);
  await page.locator("#login [name=password]").fill(password);
  await page.locator("#login [type=submit]").click();
  await expect(page, `${user} should be signed in`).not.toHaveURL(/\/login/);
}

/** Opens an account as the system administrator does; answers it with its password. */
export async function openAccount(admin, { user, name, org = "", roles }) {
  const password = "Zoucha-2026!";
  await admin.goto(`${portal}/console/users`);
  const form = admin.locator("#new-user");
  await form.locator("[name=name]").fill(user);
  await form.locator("[name=display_name]").fill(name);
  if (org) await form.locator("[name=org]").selectOption({ label: org });
  await form.locator("[name=password]").fill(password);
  for (const role of roles) await form.locator(`[name=roles][value=${role}]`).check();
  await form.locator("[type=submit]").click();
  await expect(admin.locator("#faults")).toHaveCount(0);
  return { user, password };
}

/** Registers an application on the page where one is; answers its name and credential, which are shown this once. */
export async function registerApplication(page, name, description) {
  await page.goto(`${portal}/console/applications`);
  const form = page.locator("#register");
  await form.locator("[name=name]").fill(name);
  await form.locator("[name=description]").fill(description);
  await form.locator("[type=submit]").click();
  return { name, key: (await page.locator("#key").innerText()).trim(), secret: (await page.locator("#secret").innerText()).trim() };
}

/** Fills the form of a new entry: its head, and as many item rows as there are items. */
export async function fillEntry(page, head, items) {
  await page.goto(`${portal}/console/entries/new`);
  const form = page.locator("#entry");
  const set = async (name, value) => {
    const field = form.locator(`[name="${name}"]`).first();
    const tag = await field.evaluate((e) => `${e.tagName}:${e.type ?? ""}`);
    if (tag.startsWith("SELECT")) await field.selectOption(value);
    else if (tag.endsWith(":checkbox")) await field.setChecked(Boolean(value));
    else await field.fill(value);
  };
  // The form answers itself with one more row.
  while ((await form.locator('[name$="-identifier"]').count()) < items.length) {
    await form.locator('button[name=do][value=add]').first().click();
  }
  for (const [name, value] of Object.entries(head)) await set(name, value);
  await page.evaluate(() => document.querySelectorAll("#entry details").forEach((d) => (d.open = true)));
  for (const [i, item] of items.entries()) {
    for (const [name, value] of Object.entries(item)) await set(`item-${i}-${name}`, value);
  }
}

/** Saves the entry that was filled in; answers the address of its page. */
export async function saveEntry(page) {
  await page.locator("#save").click();
  await expect(page).toHaveURL(/\/console\/entries\/(?!new)[0-9a-z-]+(\?.*)?$/);
  return page.url().replace(/\?.*/, "");
}

/** Uploads lines as a CSV file on an entry's page, and waits until the run is over. */
export async function upload(page, entry, name, lines) {
  await page.goto(entry);
  const form = page.locator("#collect form:has([type=file])").first();
  const buffer = Buffer.from(`\uFEFF${lines.join("\r\n")}\r\n`);
  await form.locator("[name=file]").setInputFiles({ name, mimeType: "text/csv", buffer });
  await form.locator("[type=submit]").first().click();
  await expect(page).toHaveURL(/\/console\/runs\//);
  await expect(page.locator("#progress")).toContainText("成功", { timeout: 60_000 });
}

/** Writes into the SQL editor as somebody who types does. */
export async function write(page, text) {
  const editor = page.locator(".editor .cm-content");
  await editor.click();
  await page.keyboard.press("Control+A");
  await page.keyboard.type(text, { delay: 0 });
  // Completions are closed, so that Enter and Tab are the page's again.
  await page.keyboard.press("Escape");
}

/** Presses the button of a move (`submit`, `approve`, `put_online` …) on an entry's page, with a reason where one is asked. */
export async function move(page, name, reason = "") {
  const button = page.locator(`button[name=move][value=${name}]`);
  const form = page.locator("form", { has: button }).first();
  if (reason) await form.locator("[name=reason]").first().fill(reason);
  await button.first().click();
}

/** Headers of a signed call, as the help page of the portal describes them. */
export function signature({ key, secret }, method, url, body = "") {
  const { pathname, search } = new URL(url);
  const timestamp = String(Date.now());
  const nonce = crypto.randomBytes(16).toString("hex");
  const digest = crypto.createHash("sha256").update(body).digest("hex");
  const text = [method, pathname, search.replace(/^\?/, ""), digest, timestamp, nonce].join("\n");
  return {
    "X-Qt-Key": key,
    "X-Qt-Timestamp": timestamp,
    "X-Qt-Nonce": nonce,
    "X-Qt-Algorithm": "HMAC-SHA256",
    "X-Qt-Signature": crypto.createHmac("sha256", secret).update(text).digest("hex"),
  };
}

/** A `fetch` that signs: for clients that take one. */
export function signingFetch(app) {
  return (input, init = {}) => {
    const url = String(input.url ?? input);
    const headers = new Headers(init.headers);
    const signed = signature(app, init.method ?? "GET", url, init.body ?? "");
    for (const [name, value] of Object.entries(signed)) headers.set(name, value);
    return fetch(url, { ...init, headers });
  };
}

/** A picture for a person to look at, where QT_PICTURES asks for them: test-results/pictures/NAME.png */
export async function picture(page, name) {
  if (!process.env.QT_PICTURES) return;
  await page.screenshot({ path: `test-results/pictures/${name}.png`, fullPage: true });
}

/** The windows of a desk and of a phone. */
export const SIZES = { desktop: { width: 1280, height: 900 }, phone: { width: 390, height: 844 } };

/**
 * The page is fit for readers at a desk and on a phone: no sideways scrolling, no violation (axe). A desk's window is made a phone's: what
 * is drawn must follow, as when a tablet is turned. The window is a desk's afterwards.
 */
export async function fit(page, name) {
  for (const [size, viewport] of Object.entries(SIZES)) {
    await page.setViewportSize(viewport);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    expect(wide, `the page scrolls sideways on a ${size}`).toBeLessThanOrEqual(1);
    await picture(page, `${name}-${size}`);
    expect(await violations(page), `axe on a ${size}`).toEqual([]);
  }
  await page.setViewportSize(SIZES.desktop);
}

/** What axe finds fault with, a line each. It runs in the page itself, since our pages hold no frames. */
async function violations(page) {
  if (!(await page.evaluate(() => "axe" in window))) await page.evaluate(axe.source);
  return page.evaluate(async () => {
    const { violations } = await window.axe.run(document, { resultTypes: ["violations"] });
    return violations.map((v) => `${v.id}: ${v.help} — ${v.nodes.slice(0, 3).map((n) => n.target.join(" ")).join(", ")}`);
  });
}
