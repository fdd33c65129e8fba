// What every browser test needs of the rehearsal house: addresses, people, signed calls, pictures.
import crypto from "node:crypto";
import fs from "node:fs";
import { expect } from "@playwright/test";

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
  const context = await browser.newContext({ ...options });
  const page = await context.newPage();
  const { user, password } = person(role);
  await page.goto(`${portal}/login`);
  await page.locator("#login [name=name]").fill(user);
  await page.locator("#login [name=password]").fill(password);
  await page.locator("#login [type=submit]").click();
  await expect(page, `${user} should be signed in`).not.toHaveURL(/\/login/);
  return page;
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

/** A picture for a person to look at: test-results/pictures/NAME.png */
export async function picture(page, name) {
  await page.screenshot({ path: `test-results/pictures/${name}.png`, fullPage: true });
}
