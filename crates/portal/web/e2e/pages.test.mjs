// The pages: no accessibility violation (axe), nothing on the error console, no sideways scrolling on a phone. Pages that a walk of
// its own comes by are held to the same there (`fit`): restricted, sandbox, voice, developer, basket, rail, source.
import { expect, test } from "@playwright/test";
import { fit, house, picture, portal, signedIn, SIZES } from "./house.mjs";

const open = house.resources.find((r) => r.open);

// A client of the identity centre asks somebody who is signed in.
const client = house.apps.find((a) => a.name === "出行助手");
const asked = new URLSearchParams({
  client_id: client.key, redirect_uri: "https://travel.example/signed-in", response_type: "code", scope: "openid profile",
  state: "s", nonce: "n", code_challenge: "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM", code_challenge_method: "S256",
});

const PAGES = [
  ["home", "nobody", "/"],
  ["results", "nobody", "/data?q=企业"],
  ["data-set", "nobody", `/data/${open.code}`],
  ["interface", "nobody", `/data/${open.code}/api`],
  ["chart", "nobody", `/data/${open.code}/chart`],
  ["versions", "nobody", `/data/${open.code}/versions`],
  ["interfaces-list", "nobody", "/apis"],
  ["maps", "nobody", "/maps"],
  ["developer", "nobody", "/developer"],
  ["city", "nobody", "/city/hangzhou"],
  ["city-list", "nobody", "/data?region=330100"],
  ["city-interact", "nobody", "/interact?region=330100"],
  ["open-index", "nobody", "/index"],
  ["failing", "nobody", "/index/failing?defect=low_capacity"],
  ["about", "nobody", "/about"],
  ["help-api", "nobody", "/help/api"],
  ["errors", "nobody", "/help/errors"],
  ["login", "nobody", "/login"],
  ["register", "nobody", "/register"],
  ["register-enterprise", "nobody", "/register?kind=enterprise&next=/developer"],
  ["interact", "nobody", "/interact"],
  ["interact-form", "citizen", `/interact/new?kind=error&code=${open.code}`],
  ["interact-sign-in", "nobody", "/interact/new"],
  ["restricted", "enterprise", "/restricted"],
  ["restricted-form", "citizen", "/restricted/new"],
  ["restricted-statistics", "nobody", "/restricted/statistics"],
  ["restricted-verify", "nobody", "/agreements/verify?number=KF-1-XY&digest=00"],
  ["restricted-desk", "authority", "/console/restricted"],
  ["restricted-desk-reports", "authority", "/console/restricted?report=overdue"],
  ["credit", "authority", "/console/credit?view=all"],
  ["no-result", "nobody", "/data?q=月球背面的数据集"],
  ["data-set-signed-in", "citizen", `/data/${open.code}`],
  ["showcase", "nobody", "/showcase"],
  ["showcase-form", "enterprise", `/showcase/new?code=${open.code}`],
  ["tickets", "authority", "/console/tickets"],
  ["plans", "nobody", "/plans"],
  ["policies", "nobody", "/policies"],
  ["contests", "nobody", "/contests"],
  ["site-search", "nobody", "/search?q=企业"],
  ["plans-desk", "provider", "/console/plans"],
  ["plans-authority", "authority", "/console/plans"],
  ["contests-desk", "authority", "/console/contests"],
  ["contest-form", "authority", "/console/contests/new"],
  ["policies-desk", "authority", "/console/policies"],
  ["policy-form", "authority", "/console/policies/new"],
  ["comments", "provider", "/console/comments?view=all"],
  ["showcases", "authority", "/console/showcases?state=all"],
  ["profile", "citizen", "/me"],
  ["consents", "citizen", "/account/consents"],
  ["tokens", "provider", "/account/tokens"],
  ["consent", "citizen", `/oauth/authorize?${asked}`],
  ["sign-out", "citizen", "/oauth/logout"],
  ["signed-out", "nobody", "/oauth/logout"],
  ["authorisations", "citizen", "/account/authorisations"],
  ["real-name", "citizen", "/account/realname"],
  ["real-name-enterprise", "enterprise", "/account/realname"],
  ["developer-citizen", "citizen", "/developer"],
  ["real-name-desk", "authority", "/console/realnames?state=all"],
  ["application-client", "consumer", `/console/applications/${house.apps[0].id}/client`],
  ["application-authorisations", "consumer", `/console/applications/${house.apps[0].id}/authorisations`],
  ["inbox", "authority", "/console"],
  ["review", "authority", "/console/review"],
  ["entries", "provider", "/console/entries"],
  ["compile", "provider", "/console/entries/new"],
  ["runs", "provider", "/console/runs"],
  ["quarantine", "provider", "/console/quarantine"],
  ["requests", "consumer", "/console/requests"],
  ["applications", "consumer", "/console/applications"],
  ["delta", "consumer", `/console/applications/${house.apps[0].id}/delta`],
  ["users", "system_administrator", "/console/users"],
  ["audit", "auditor", "/console/audit"],
  ["seals", "auditor", "/console/audit/seals"],
  ["sources", "provider", "/console/sources"],
  ["rails", "provider", "/console/rails"],
  ["channels", "provider", "/console/channels"],
  ["channels-authority", "authority", "/console/channels"],
  ["exchanges", "provider", "/console/exchanges"],
  ["exchange-form", "provider", "/console/exchanges/new"],
  ["pipelines", "provider", "/console/pipelines"],
  ["pipeline-new", "provider", "/console/pipelines/new"],
  ["pipeline-secrets", "provider", "/console/pipelines/secrets"],
  ["reports", "provider", "/console/reports"],
  ["reports-waiting", "authority", "/console/reports?view=waiting"],
  ["report-forms", "provider", "/console/report-forms"],
  ["report-plans", "authority", "/console/report-plans"],
  ["outflows", "consumer", "/console/outflows"],
  ["outflow-form", "consumer", `/console/outflows/new?request=${house.deliveries[0].request}`],
  ["deliveries", "consumer", "/console/deliveries"],
  ["delivery", "consumer", `/console/deliveries/${house.deliveries[0].id}`],
  ["delivery-form", "consumer", `/console/deliveries/new?request=${house.deliveries[0].request}`],
  ["harvests", "authority", "/console/harvests"],
  ["harvest-form", "authority", "/console/harvests/new"],
  ["interfaces", "consumer", "/console/interfaces"],
  ["interface-form", "authority", "/console/interfaces/new?entry=fr_jbxx&kind=query"],
  ["interface-kept", "authority", `/console/interfaces/${house.interfaces[0].id}`],
  ["interface-read", "consumer", `/console/interfaces/${house.interfaces[0].id}`],
  ["interface-edit", "authority", `/console/interfaces/${house.interfaces[0].id}/edit`],
  ["projects", "consumer", "/console/projects"],
  ["sandboxes", "consumer", "/console/sandboxes"],
  ["sandbox-form", "consumer", "/console/sandboxes/new"],
  ["sandbox", "analyst", `/console/sandboxes/${house.sandboxes[0].id}`],
  ["restricted-refused", "debtor", "/restricted"],
  ["releases", "authority", "/console/releases"],
  ["project-form", "consumer", "/console/projects/new"],
  ["project", "consumer", `/console/projects/${house.projects[0].id}`],
  ["project-members", "consumer", `/console/projects/${house.projects[0].id}/members`],
  ["project-sql", "consumer", `/console/projects/${house.projects[0].id}/sql`],
  ["project-jobs", "consumer", `/console/projects/${house.projects[0].id}/jobs`],
  ["project-job", "consumer", `/console/projects/${house.projects[0].id}/jobs/${house.projects[0].job}`],
  ["project-job-form", "consumer", `/console/projects/${house.projects[0].id}/jobs/new`],
  ["project-exports", "consumer", `/console/projects/${house.projects[0].id}/exports`],
  ["halts", "security_officer", "/console/halts?kind=interface&name=0123456789abcdef"],
  ["halts-read", "consumer", "/console/halts"],
  ["bounds-entry", "security_officer", "/console/bounds/entry/fr_jbxx"],
  ["older-convention", "system_administrator", "/console/convention"],
  ["security", "security_officer", "/console/security"],
  ["system", "system_administrator", "/console/system"],
  ["ledgers", "provider", "/console/ledger"],
  ["asset-form", "provider", "/console/ledger/application/new"],
  ["one-stop", "provider", "/console/search?q=企业"],
  ["proposals", "consumer", "/console/proposals"],
  ["basket", "consumer", "/console/basket"],
  ["bundles", "consumer", "/console/bundles"],
  ["approvals", "reviewer", "/console/approvals"],
  ["flows", "authority", "/console/flows"],
  ["control", "authority", "/console/control"],
  ["wall", "authority", "/console/control/wall"],
  ["calls", "authority", "/console/control/calls"],
  ["stale", "authority", "/console/control/stale"],
  ["usage", "authority", "/console/usage?by=city"],
  ["dispatch", "authority", "/console/dispatch"],
  ["holder", "authority", "/console/dispatch/region/330000"],
  ["calendar", "system_administrator", "/console/dispatch/calendar"],
  ["job", "system_administrator", "/console/dispatch/jobs/figures"],
  ["idle", "authority", "/console/dispatch/idle"],
  ["reclaims", "authority", "/console/dispatch/reclaims"],
  ["findings", "authority", "/console/findings"],
  ["findings-rule", "provider", "/console/findings?rule=ledger.item-english"],
  ["findings-fix", "provider", "/console/findings/fix?rule=ledger.item-english"],
  ["drifts", "provider", "/console/drifts"],
  ["notices", "provider", "/console/notices"],
  ["application-certificates", "consumer", `/console/applications/${house.apps[0].id}/certificates`],
  ["application-sql", "consumer", `/console/applications/${house.apps[0].id}/sql`],
  ["application-usage", "consumer", `/console/applications/${house.apps[0].id}/usage`],
  ["apply", "consumer", "/apply/fr_jbxx"],
  ["demand", "consumer", "/console/demand"],
  ["objection", "consumer", "/console/objection?ledger=data&id=fr_jbxx"],
  ["import", "provider", "/console/import"],
  ["ledger-list", "provider", "/console/ledger/application"],
  ["ledger-import", "provider", "/console/ledger/application/import"],
  ["ranking", "provider", "/console/ledger/ranking"],
  ["leave", "reviewer", "/console/leave"],
  ["quota-moves", "authority", "/console/dispatch/moves"],
  ["sources-away", "authority", "/console/control/sources"],
  ["organisations", "system_administrator", "/console/orgs"],
];

// How the open site may be asked to look: every page of it is held to the same in each.
const LOOKS = {
  plain: [],
  elder: [["qt_look", "elder"]],
  dark: [["qt_theme", "dark"]],
  "largest-dark": [["qt_look", "largest"], ["qt_theme", "dark"]],
  english: [["qt_lang", "en"]],
};

// Who uses the open site: its pages are held to every look, those of the console to the plain one.
const OUTSIDE = ["nobody", "citizen", "enterprise", "debtor"];

// Each role keeps a browser for each look, signed in once: what is looked at here is the page, not the way in.
const contexts = new Map();
async function pageOf(browser, role, look = "plain") {
  const called = `${role} ${look}`;
  if (!contexts.has(called)) {
    const size = { viewport: SIZES.desktop };
    const context = role === "nobody" ? await browser.newContext(size) : (await signedIn(browser, role, size)).context();
    await Promise.all(context.pages().map((page) => page.close()));
    await context.addCookies(LOOKS[look].map(([name, value]) => ({ name, value, url: portal })));
    contexts.set(called, context);
  }
  return contexts.get(called).newPage();
}

// Pages that lists lead to: from a page to the first of its links by a selector, and so on; what begins with `/` is further below the
// address where one is. A list without a link fails.
const LED = [
  ["plan", "nobody", "/plans", 'article.hit a[href^="/plans/"]'],
  ["policy", "nobody", "/policies", 'article.hit a[href^="/policies/"]'],
  ["contest", "nobody", "/contests", 'article.hit a[href^="/contests/"]'],
  ["ticket", "nobody", "/interact", 'h2 a[href^="/interact/"]'],
  ["showcase-page", "nobody", "/showcase", 'article.hit a[href^="/showcase/"]'],
  ["use", "enterprise", "/restricted", '#uses a[href^="/restricted/"]'],
  ["authorisation", "operator", "/account/authorisations", "#authorisations a"],
  ["real-name-filing", "authority", "/console/realnames?state=all", "#filings a"],
  ["use-at-the-desk", "authority", "/console/restricted", '#uses a[href^="/console/restricted/"]'],
  ["ticket-at-the-desk", "authority", "/console/tickets?view=region", "#tickets tbody a"],
  ["plan-at-the-desk", "authority", "/console/plans", '#plans a[href^="/console/plans/"]'],
  ["policy-at-the-desk", "authority", "/console/policies", '#policies a[href^="/console/policies/"]'],
  ["contest-at-the-desk", "authority", "/console/contests", '#contests a[href^="/console/contests/"]'],
  ["contest-judged", "provider", "/console/contests", "#judged a"],
  ["entry", "provider", "/console/entries?org=mine", "#entries tbody a"],
  ["entry-edit", "provider", "/console/entries?org=mine", "#entries tbody a", "/edit"],
  ["entry-query", "provider", "/console/entries?org=mine", "#entries tbody a", "#query-link"],
  ["entry-walk", "provider", "/console/entries?org=mine", "#entries tbody a", 'a[href$="/walk?back=1"]'],
  ["entry-changing", "authority", "/console/entries?publish_state=change-auditing", "#entries tbody a"],
  ["entry-compare", "authority", "/console/entries?publish_state=change-auditing", "#entries tbody a", 'a[href*="/compare?"]'],
  ["run", "provider", "/console/runs", '#runs a[href^="/console/runs/"]'],
  ["quarantine-group", "provider", "/console/quarantine", '#groups a[href^="/console/quarantine/"]'],
  ["exchange", "provider", "/console/exchanges", '#exchanges a[href^="/console/exchanges/"]'],
  ["pipeline", "provider", "/console/pipelines", '#pipelines a[href^="/console/pipelines/"]'],
  ["report", "city", "/console/reports", "#tasks tbody a"],
  ["report-waiting", "city", "/console/reports?view=waiting", "#tasks tbody a"],
  ["report-form", "sdsj", "/console/report-forms", '#forms a[href^="/console/report-forms/"]'],
  ["report-preview", "sdsj", "/console/report-forms", '#forms a[href^="/console/report-forms/"]', "/preview"],
  ["report-plan", "sdsj", "/console/report-plans", '#plans a[href^="/console/report-plans/"]'],
  ["request", "consumer", "/console/requests", "#requests tbody a"],
  ["request-to-decide", "sga", "/console/requests?state=provider-auditing", "#requests tbody a"],
  ["bundle", "consumer", "/console/bundles", "#bundles tbody a"],
  ["approval", "authority", "/console/approvals", "#tasks tbody a"],
  ["approval-applicant", "consumer", "/console/bundles", "#bundles tbody a", '#parts a[href^="/console/approvals/"]'],
  ["flow", "authority", "/console/flows", "#flows a"],
  ["calendar-day", "system_administrator", "/console/dispatch/calendar", "#month a[aria-current=date]"],
  ["asset", "provider", "/console/ledger/cloud", '#assets a[href^="/console/ledger/cloud/"]'],
  ["asset-edit", "provider", "/console/ledger/cloud?org=mine", '#assets a[href^="/console/ledger/cloud/"]', "#edit"],
  ["asset-walk", "provider", "/console/ledger/cloud", '#assets a[href^="/console/ledger/cloud/"]', 'a[href$="/walk?back=1"]'],
  ["user", "system_administrator", "/console/users", '#users a[href^="/console/users/"]'],
  ["organisation", "system_administrator", "/console/orgs", '#orgs a[href^="/console/orgs/"]'],
];

/** Goes to a page, and on by the hops of [`LED`]. */
async function led(page, path, hops) {
  const to = async (address) => expect((await page.goto(address)).status(), address).toBe(200);
  await to(portal + path);
  for (const hop of hops) {
    if (hop.startsWith("/")) {
      await to(page.url().replace(/[?#].*/, "") + hop);
      continue;
    }
    const link = page.locator(hop).first();
    await expect(link, `${page.url()} leads on by ${hop}`).toBeAttached();
    await to(new URL(await link.getAttribute("href"), page.url()).href);
  }
}

/** What the page's error console says, and errors that its scripts let go. */
function faultsOf(page) {
  const faults = [];
  page.on("console", (m) => m.type() === "error" && faults.push(m.text()));
  page.on("pageerror", (e) => faults.push(String(e)));
  return faults;
}

for (const [name, role, path, ...hops] of [...PAGES, ...LED]) {
  for (const look of Object.keys(LOOKS)) {
    if (!OUTSIDE.includes(role) && look !== "plain") continue;
    const called = look === "plain" ? name : `${name}-${look}`;
    test(`${called} on a desktop and on a phone`, async ({ browser }) => {
      const page = await pageOf(browser, role, look);
      const faults = faultsOf(page);
      await led(page, path, hops);
      if (role !== "nobody") expect(page.url(), `${role} should be signed in`).not.toMatch(/\/login/);
      await expect(page.locator("html")).toHaveAttribute("lang", look === "english" ? /^en/ : /^zh/);
      // Every script of the page has run when the load event fires; charts and maps draw after it.
      await page.waitForLoadState("networkidle");
      await fit(page, `page-${called}`);
      expect(faults).toEqual([]);
      await page.close();
    });
  }
}

// Pages of what the demo does not hold: somebody makes it by its form first. `look` holds the page one is at to the same.
const MADE = [
  ["proposal", "consumer", async (page, look) => {
    await page.goto(`${portal}/console/proposals`);
    const form = page.locator("#propose");
    await form.locator("[name=name]").fill("企业办事助手");
    await form.locator("[name=description]").fill("按企业的登记情况提示可以办理的事项，减少重复填报。");
    await form.locator("[name=functions]").fill("事项提示\n自动填表");
    await form.locator("[name=data]").fill("法人基本信息");
    await form.locator("[type=submit]").click();
    await expect(page).toHaveURL(/\/console\/proposals\/[0-9a-z-]+/);
    await look("proposal");
  }],
  ["assessment", "provider", async (page, look) => {
    await page.goto(`${portal}/console/plans`);
    await page.locator("#check [name=code]").fill("fr_jbxx");
    await page.locator("#check [type=submit]").click();
    await expect(page).toHaveURL(/\/console\/assessments\/[0-9a-z-]+/);
    await look("assessment");
  }],
  ["reconciliation", "provider", async (page, look) => {
    await led(page, "/console/pipelines", ['#pipelines a[href^="/console/entries/"]']);
    await page.locator("#compared form button").first().click();
    await expect(page).toHaveURL(/\/console\/reconciliations\/[0-9a-z-]+/);
    await expect(page.locator("#figures[hx-get]"), "it has ended").toHaveCount(0, { timeout: 60_000 });
    await look("reconciliation");
  }],
  ["reclaim", "authority", async (page, look) => {
    await page.goto(`${portal}/console/dispatch/idle`);
    const offer = page.locator("#idle details").first();
    await offer.locator("summary").click();
    await offer.locator("[name=reason]").fill("连续多周利用率很低");
    await offer.locator("[type=submit]").click();
    await expect(page).toHaveURL(/\/console\/dispatch\/reclaims\/[0-9a-z-]+/);
    await look("reclaim");
  }],
  ["harvest", "authority", async (page, look) => {
    await page.goto(`${portal}/console/harvests/new`);
    const form = page.locator("#harvest-form");
    // Nobody answers there: what is looked at is what the platform says of it.
    for (const [field, text] of Object.entries({ name: "演示目录", url: "http://127.0.0.1:9/catalog.ttl", cron: "30 2 1 1 *" })) {
      await form.locator(`[name=${field}]`).fill(text);
    }
    await form.locator("[name=kind]").selectOption("dcat");
    await form.locator("[name=org]").selectOption("sdsj");
    await form.locator("[name=region]").selectOption("330000");
    await page.locator("#keep-harvest").click();
    await expect(page).toHaveURL(/\/console\/harvests\/(?!new)[0-9a-z-]+/);
    await page.locator("#pause").click();
    await expect(page.locator("#resume")).toBeVisible();
    await page.locator("#run").click();
    await expect(page.locator("#turns tbody a").first()).toBeVisible();
    await look("harvest");
    const source = page.url().replace(/[?#].*/, "");
    await page.locator("#turns tbody a").first().click();
    await expect(page).toHaveURL(/\/turns\/[0-9a-z-]+/);
    await look("harvest-report");
    await page.goto(`${source}/edit`);
    await look("harvest-edit");
  }],
];

for (const [name, role, walk] of MADE) {
  test(`${name} is made, and its pages are looked at on a desktop and on a phone`, async ({ browser }) => {
    const page = await pageOf(browser, role);
    const faults = faultsOf(page);
    await walk(page, async (called) => {
      await page.waitForLoadState("networkidle");
      await fit(page, `page-${called}`);
    });
    expect(faults).toEqual([]);
    await page.close();
  });
}

test("pages work without script", async ({ browser }) => {
  const page = await (await browser.newContext({ javaScriptEnabled: false })).newPage();
  await page.goto(portal);
  await page.locator("#search [name=q]").fill("企业");
  await page.locator("#search [type=submit]").first().click();
  await expect(page.locator("#results article.hit").first()).toBeVisible();
  await page.goto(`${portal}/data/${open.code}`);
  await expect(page.locator("#items")).toBeVisible();
  await expect(page.locator("#downloads a").first()).toBeVisible();
});

test("somebody signs up without script, files the real name, and is refused with a reason", async ({ browser }) => {
  const page = await (await browser.newContext({ javaScriptEnabled: false })).newPage();
  await page.goto(`${portal}/login`);
  await page.locator("#sign-up a").click();
  const name = `walker-${Date.now().toString(36)}`;
  await page.locator("#register [name=kind][value=citizen]").check();
  await page.locator("#register [name=name]").fill(name);
  await page.locator("#register [name=display_name]").fill("行者");
  await page.locator("#register [name=password]").fill("Walking-2026!");
  await page.locator("#register [name=again]").fill("Walking-2026!");
  await page.locator("#register [name=agreed]").check();
  await page.locator("#register [type=submit]").click();
  await expect(page.locator("#real-name-form")).toBeVisible();
  await page.locator("#real-name-form [name=name]").fill("张三");
  await page.locator("#real-name-form [name=identifier]").fill("11010519491231002X");
  await page.locator("#real-name-form [type=submit]").click();
  await expect(page.locator("#under-review")).toBeVisible();
  await expect(page.locator("#shown")).toHaveText("110*************2X");
  await picture(page, "real-name-under-review");
  const desk = await signedIn(browser, "authority", {});
  await desk.goto(`${portal}/console/realnames`);
  await desk.locator("#filings a", { hasText: name }).click();
  await picture(desk, "real-name-at-the-desk");
  await desk.locator("#refuse [name=reason]").fill("姓名与证件不一致");
  await desk.locator("#refuse [type=submit]").click();
  await page.goto(`${portal}/account/realname`);
  await expect(page.locator("#refused")).toContainText("姓名与证件不一致");
});

test("the keyboard reaches the search box and a result", async ({ page }) => {
  await page.goto(portal);
  const box = page.locator("#search [name=q]");
  for (let i = 0; i < 40 && !(await box.evaluate((e) => e === document.activeElement)); i++) await page.keyboard.press("Tab");
  await expect(box).toBeFocused();
  await page.keyboard.type("企业");
  await page.keyboard.press("Enter");
  await expect(page.locator("#total")).toBeVisible();
});

test("the site speaks English when asked", async ({ page }) => {
  await page.goto(`${portal}/?lang=en`);
  await expect(page.locator("html")).toHaveAttribute("lang", /^en/);
  await picture(page, "page-home-english");
});
