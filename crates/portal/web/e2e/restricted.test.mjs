// Restricted opening and the data sandbox, by the people in it: an enterprise with a bad credit record is refused; another is approved by
// both providers and the authority, signs, works on data that it does not see whole, has a result stopped for a small cell and another
// released, once; a breach ends it all at once.
import crypto from "node:crypto";
import { expect, test } from "@playwright/test";
import {
  fillEntry, fit, gateway, move, openAccount, picture, portal, registerApplication, saveEntry, signIn, signature, signedIn, signedInAs, upload,
  write,
} from "./house.mjs";

test.describe.configure({ mode: "serial" });

const mark = Date.now().toString(36);
const code = `e2e_kf_${mark}`;
const title = `走查企业经营主体 ${mark}`;
/** A restricted-open set of another department of the province: two providers, so that the authority signs. */
const other = { code: "fljg_ml", provider: "smzt" };
const bad = { org: `走查失信有限公司 ${mark}`, user: `walk-bad-${mark}`, name: "失信企业 钱某" };
const good = { org: `走查守信有限公司 ${mark}`, user: `walk-good-${mark}`, name: "守信企业 孙某" };
/** Carried from step to step. */
const seen = { entry: "", number: "", paper: null, sandbox: "", app: null, copy: "" };

const OPEN = { grade: "L1", share_type: "unconditional", open_type: "restricted", open_condition: "签订开放利用协议" };
const ITEMS = [
  { identifier: "bh", name_cn: "编号", data_type: "text", length: "20", primary: true, ...OPEN },
  { identifier: "qx", name_cn: "所在区", data_type: "text", length: "20", ...OPEN },
  { identifier: "hy", name_cn: "行业门类", data_type: "text", length: "20", ...OPEN },
  {
    identifier: "frxm", name_cn: "法定代表人姓名", data_type: "text", length: "50", grade: "L3",
    share_type: "restricted", share_condition: "经数源单位审核同意", open_type: "none", open_basis: "含个人信息",
  },
];
// Two in one district: that is the small cell.
const DISTRICTS = { 西湖区: 24, 上城区: 14, 滨江区: 2 };
const ROWS = Object.entries(DISTRICTS).flatMap(([district, many]) =>
  Array.from({ length: many }, (_, i) => `${district}-${i + 1},${district},${["制造业", "软件业"][i % 2]},王某某`),
);
const BY_DISTRICT = `select qx, count(*) as n from ${code} group by qx`;
/** A picture of one dot: what stands for scans and evidence. */
const DOT = Buffer.from("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==", "base64");

/** A credit code (GB 32100, GB 11714) that belongs to nobody: of eight digits made of the time and a number. */
function creditCode(n) {
  const digits = "0123456789ABCDEFGHJKLMNPQRTUWXY";
  const body = String((Math.floor(Date.now() / 1000) * 4 + n) % 100_000_000).padStart(8, "0");
  const inner = 11 - ([3, 7, 9, 10, 5, 8, 4, 2].reduce((sum, w, i) => sum + w * Number(body[i]), 0) % 11);
  const first = `91330106${body}${inner === 10 ? "X" : inner === 11 ? "0" : inner}`;
  let [weight, sum] = [1, 0];
  for (const c of first) [sum, weight] = [sum + digits.indexOf(c) * weight, (weight * 3) % 31];
  return first + digits[(31 - (sum % 31)) % 31];
}

/** Reloads until the place holds the text. */
async function comes(page, place, text) {
  await expect(async () => {
    await page.reload();
    await expect(place(page)).toContainText(text, { timeout: 1000 });
  }).toPass({ timeout: 60_000 });
}

/** Fills the form for restricted-open data, but for the purpose; whoever applies is able to protect them. */
async function fillUse(page, application, purpose) {
  const form = page.locator("#use-form");
  await form.locator("[name=application]").selectOption({ label: application });
  await form.locator("[name=purpose]").fill(purpose);
  await form.locator("[name=scope]").fill("仅供本单位内部统计分析，不对外提供");
  await form.locator("[name=method]").selectOption("sandbox");
  const until = new Date(Date.now() + 90 * 86_400_000).toISOString().slice(0, 10);
  await form.locator("[name=until]").fill(until);
  for (const [question, choice] of Object.entries({ storage: "yes", processing: "yes", protection: "level3", incident: "none" })) {
    await form.locator(`[name=answer-${question}][value=${choice}]`).check();
  }
  return form;
}

/** Agrees, in the name of a desk, to what waits on it of the application. */
async function approve(page) {
  await page.goto(`${portal}/console/restricted`);
  await expect(page.locator("#uses tr", { hasText: seen.number })).toContainText("待办");
  await page.locator("#uses a", { hasText: seen.number }).click();
  await page.locator("#review [name=text]").fill("用途明确，具备保护能力");
  await page.locator("#review button[value=approve]").click();
  await expect(page.locator("#reviews")).toContainText("同意");
}

/** Agrees, at the release desk, to what waits there of the sandbox. */
async function agree(browser, who, shot) {
  const page = await signedIn(browser, who);
  await page.goto(`${portal}/console/releases`);
  const item = page.locator("article.card", { hasText: good.org }).first();
  await expect(item).toContainText(code);
  if (shot) await fit(page, shot);
  const shown = await item.innerText();
  await item.locator("textarea").fill("同意");
  await item.locator("button[value=agree]").click();
  await expect(page.locator("article.card", { hasText: good.org })).toHaveCount(0);
  return shown;
}

test("the administrator enters two enterprises and opens their accounts", async ({ browser }) => {
  const page = await signedIn(browser, "system_administrator");
  for (const [n, party] of [bad, good].entries()) {
    party.uscc = creditCode(n);
    await page.goto(`${portal}/console/orgs`);
    const form = page.locator("#new-org");
    await form.locator("[name=name_cn]").fill(party.org);
    await form.locator("[name=uscc]").fill(party.uscc);
    await form.locator("[name=kind]").selectOption("enterprise");
    await form.locator("[name=region]").selectOption("330106");
    await form.locator("[type=submit]").click();
    await expect(page.locator("#orgs")).toContainText(party.uscc);
    Object.assign(party, await openAccount(page, { user: party.user, name: party.name, org: party.org, roles: ["enterprise"] }));
  }
});

test("a department opens a data set on conditions", async ({ browser }) => {
  const provider = await signedIn(browser, "provider");
  await fillEntry(provider, {
    code, title, description: "走查用：经营主体的少量合成数据。", region: "330000", domain: "11", tags: "走查", kind: "table",
    update_cycle: "monthly", sync_mode: "full", share_type: "restricted", share_condition: "经数源单位审核同意后共享",
    open_type: "restricted", open_condition: "签订开放利用协议，在数据沙箱内利用",
  }, ITEMS);
  seen.entry = await saveEntry(provider);
  await move(provider, "submit", "首次发布");
  const authority = await signedIn(browser, "authority");
  for (const [page, step] of [[authority, "approve"], [provider, "put_online"], [authority, "approve"]]) {
    await page.goto(seen.entry);
    await move(page, step, "走查");
  }
  await expect(authority.locator("#state")).toContainText("已上线");
  await upload(provider, seen.entry, "主体.csv", ["编号,所在区,行业门类,法定代表人姓名", ...ROWS]);
  const guest = await (await browser.newContext()).newPage();
  await guest.goto(`${portal}/data/${code}`);
  await expect(guest.locator("main")).toContainText("受限开放");
  await expect(guest.locator("main"), "no row is shown").not.toContainText("王某某");
  await fit(guest, "restricted-1-data-set");
});

test("an enterprise with a bad credit record is refused, objects, and may apply once it is repaired", async ({ browser }) => {
  const authority = await signedIn(browser, "authority");
  const enter = async (whom) => {
    await authority.goto(`${portal}/console/credit`);
    await authority.locator("#enter [name=whom]").fill(whom);
    await authority.locator("#enter [name=rule]").fill("超出约定范围使用公共数据");
    await authority.locator("#enter [name=facts]").fill(`将数据提供给第三方（走查 ${mark}）`);
    await authority.locator("#enter [type=submit]").click();
  };
  // A person's name would hit nothing that the enterprise applies for.
  await enter(bad.user);
  await expect(authority.locator("#faults")).toContainText("统一社会信用代码");
  await enter(bad.uscc);
  await expect(authority.locator("#records")).toContainText(bad.org);
  await fit(authority, "restricted-2-credit");

  const page = await signedInAs(browser, bad);
  const app = await registerApplication(page, `失信应用 ${mark}`, "走查用");
  await page.goto(`${portal}/data/${code}`);
  await page.locator("#apply").click();
  await expect(page).toHaveURL(/\/restricted\/new/);
  await (await fillUse(page, app.name, "研究经营主体分布")).locator("[type=submit]").click();
  await expect(page.locator("#faults")).toContainText("存在违反开放利用规定的信用记录");
  await expect(page.locator("#use-form [name=purpose]"), "what was written is kept").toHaveValue("研究经营主体分布");
  await fit(page, "restricted-3-refused");

  await page.goto(`${portal}/restricted`);
  await expect(page.locator("#credit")).toContainText("超出约定范围使用公共数据");
  await page.locator("#credit [name=text]").fill("所提供的是公开信息，请复核");
  await page.locator("#credit [type=submit]").click();
  await expect(page.locator("#credit")).toContainText("请复核");
  await fit(page, "restricted-4-record");

  await authority.goto(`${portal}/console/credit`);
  const record = authority.locator("#records tr", { hasText: bad.org });
  await expect(record).toContainText("有异议");
  await record.locator("[name=reason]").fill("复核属实，予以修复");
  await record.locator("button").click();
  await expect(authority.locator("#records")).not.toContainText(bad.org);
  await page.goto(`${portal}/restricted/new?code=${code}`);
  await (await fillUse(page, app.name, "研究经营主体分布")).locator("[type=submit]").click();
  await expect(page).toHaveURL(/\/restricted\/KF-\d{8}-\d{6}/);
});

test("another applies for data of two departments, with evidence", async ({ browser }) => {
  const page = await (await browser.newContext()).newPage();
  await page.goto(`${portal}/data/${code}`);
  await page.locator("#apply").click();
  await page.locator("#sign-in-first a.main").click();
  await signIn(page, good);
  await expect(page, "back at the form").toHaveURL(/\/restricted\/new/);
  await expect(page.locator("#use-form")).toContainText("请先登记应用");
  seen.app = await registerApplication(page, `守信应用 ${mark}`, "走查用");
  await page.goto(`${portal}/restricted/new?code=${code}`);
  await page.locator("details", { has: page.locator("#another") }).locator("summary").click();
  await page.locator("#another-code").fill(other.code);
  await page.locator("#another button").click();
  await expect(page.locator("#use-form fieldset", { hasText: other.code })).toBeVisible();
  await expect(page.locator("#use-form"), "what is not open is not offered").not.toContainText("法定代表人姓名");
  const form = await fillUse(page, seen.app.name, "统计各区经营主体和福利机构的数量");
  await fit(page, "restricted-5-form");
  await form.locator("[type=submit]").click();
  await expect(page).toHaveURL(/\/restricted\/KF-\d{8}-\d{6}/);
  seen.number = (await page.locator("h1").innerText()).trim();
  await page.goto(`${portal}/restricted/${seen.number}/edit`);
  await expect(page.locator("#use-form")).toBeVisible();
  await fit(page, "restricted-5-draft");
  await page.goto(`${portal}/restricted/${seen.number}`);

  await page.locator("#submit button").click();
  await expect(page.locator("#faults"), "evidence is needed").toContainText("证明材料");
  for (const of of ["storage", "protection"]) {
    await page.goto(`${portal}/restricted/${seen.number}`);
    await page.locator(`#file-${of}`).setInputFiles({ name: `${of}.png`, mimeType: "image/png", buffer: DOT });
    await page.locator("#answers form", { has: page.locator(`#file-${of}`) }).locator("button").click();
    await expect(page.locator("#answers")).toContainText(`${of}.png`);
  }
  await page.locator("#submit button").click();
  await expect(page.locator("#state")).toContainText("审核");
  await expect(page.locator("#due")).toBeVisible();
  // Nobody else finds it.
  const stranger = await signedInAs(browser, bad);
  expect((await stranger.goto(`${portal}/restricted/${seen.number}`)).status()).toBe(404);
});

test("both providers and the authority approve", async ({ browser }) => {
  const first = await signedIn(browser, "reviewer");
  await first.goto(`${portal}/console/restricted/${seen.number}`);
  await expect(first.locator("#answers")).toContainText("storage.png");
  await fit(first, "restricted-6-review");
  await approve(first);
  await approve(await signedIn(browser, "authority"));
  const second = await signedIn(browser, other.provider);
  await approve(second);
  await expect(second.locator("#state")).toContainText("待申请人签署");
});

test("the enterprise signs by its key and by a sealed scan, the authority counter-signs", async ({ browser }) => {
  const page = await signedInAs(browser, good);
  const at = `${portal}/restricted/${seen.number}`;
  const keys = [0, 1].map(() => crypto.generateKeyPairSync("ed25519"));
  await page.goto(at);
  await page.locator("#sign a", { hasText: "登记公钥" }).click();
  await page.locator("#key [name=key]").fill(keys[0].publicKey.export({ type: "spki", format: "pem" }));
  await page.locator("#key button").click();
  await expect(page.locator("#key")).toContainText("Ed25519");

  // The undertaking: the digest that the page's own command signs. Another's signature is refused.
  for (const [key, fits] of [[keys[1], false], [keys[0], true]]) {
    await page.goto(at);
    const digest = (await page.locator("#command").innerText()).match(/printf %s ([0-9a-f]{64})/)[1];
    await page.locator("#signature").fill(crypto.sign(null, Buffer.from(digest), key.privateKey).toString("hex"));
    await page.locator("#sign-key button").click();
    if (!fits) await expect(page.locator("#faults")).toContainText("签名与本文书不符");
  }
  await expect(page.locator("#paper-undertaking li")).toContainText(good.org);
  await expect(page.locator("#sign-h")).toContainText("协议");

  // The agreement: its text holds what was agreed, and the scan comes before the phrase.
  await page.locator("#paper-agreement summary").click();
  await expect(page.locator("#paper-agreement .typed")).toContainText("数据沙箱内使用");
  await expect(page.locator("#sign-seal")).toHaveCount(0);
  await page.locator("#scan").setInputFiles({ name: "agreement.png", mimeType: "image/png", buffer: DOT });
  await page.locator("#seal-file button").click();
  await page.locator("#sign-seal [name=confirm]").fill("好");
  await page.locator("#sign-seal button").click();
  await expect(page.locator("#faults")).toContainText("我确认签署本文书");
  await fit(page, "restricted-7-sign");
  await page.locator("#sign-seal [name=confirm]").fill("我确认签署本文书");
  await page.locator("#sign-seal button").click();
  await expect(page.locator("#paper-agreement li")).toContainText(good.org);

  // Two providers: neither signs, the authority does, by the platform's key, for it has registered none.
  const provider = await signedIn(browser, "reviewer");
  await provider.goto(`${portal}/console/restricted/${seen.number}`);
  await expect(provider.locator("#sign")).toHaveCount(0);
  const authority = await signedIn(browser, "authority");
  await authority.goto(`${portal}/console/restricted/${seen.number}`);
  await picture(authority, "restricted-8-countersign");
  await authority.locator("#sign-platform button").click();
  await expect(authority.locator("#state")).toContainText("生效中");

  await page.goto(at);
  await expect(page.locator("#use")).toContainText("数据沙箱");
  await fit(page, "restricted-9-in-force");
  seen.paper = {
    number: (await page.locator("#paper-agreement .head code").innerText()).trim(),
    sm3: (await page.locator("#paper-agreement dd code").first().innerText()).trim(),
  };
  const pdf = await page.request.get(`${at}/papers/agreement.pdf`);
  expect((await pdf.body()).subarray(0, 5).toString()).toBe("%PDF-");
});

test("anybody verifies the paper; the interface gives nothing of what is for the sandbox", async ({ page }) => {
  await page.goto(`${portal}/agreements/verify`);
  const ask = async (digest) => {
    await page.locator("#verify [name=number]").fill(seen.paper.number);
    await page.locator("#verify [name=digest]").fill(digest);
    await page.locator("#verify button").click();
  };
  await ask(seen.paper.sm3);
  await expect(page.locator("#valid")).toContainText("生效中");
  await fit(page, "restricted-10-verified");
  await ask(seen.paper.sm3.replace(/^./, (c) => (c === "0" ? "1" : "0")));
  await expect(page.locator("#invalid")).toBeVisible();

  const url = `${gateway}/api/v1/${code}?limit=5`;
  const answer = await fetch(url, { headers: signature(seen.app, "GET", url) });
  expect(answer.status).toBe(403);
  const said = await answer.text();
  expect(said).toContain("no_grant");
  expect(said).not.toContain("西湖区");
});

test("it works in the sandbox: samples are seen, a few rows at a time; the whole is not", async ({ browser }) => {
  test.slow();
  const page = await signedInAs(browser, good);
  await page.goto(`${portal}/restricted/${seen.number}`);
  await page.locator("#to-sandbox").click();
  const form = page.locator("#sandbox-form");
  await form.locator("[name=name]").fill(`经营主体研究 ${mark}`);
  await form.locator("[name=code]").fill(`bx${mark}`);
  await form.locator("[name=days]").fill("30");
  await form.locator("[name=purpose]").fill("按区统计经营主体");
  await expect(form.locator("[name=entry]")).toHaveCount(2);
  await fit(page, "sandbox-1-form");
  await form.locator("#open").click();
  await expect(page).toHaveURL(/\/console\/sandboxes\/(?!new)[0-9a-z-]+/);
  seen.sandbox = page.url().replace(/\?.*/, "");
  await expect(page.locator("#term")).toContainText("期限至");

  const row = page.locator("#tables tr", { hasText: code });
  await row.locator("button.sample").click();
  const sample = `_bx${mark}_s_${code}`;
  await expect(page.locator("#results article", { hasText: sample })).toContainText("10 行");
  await page.locator("#upload-name").fill("areas");
  await page.locator("#upload-file").setInputFiles({ name: "areas.csv", mimeType: "text/csv", buffer: Buffer.from("qx,side\n西湖区,west\n") });
  await page.locator("#upload-form button").click();
  await expect(page.locator("#results")).toContainText(`_bx${mark}_u_areas`);

  // The workspace: whole tables are not there; of a sample, which may be joined with itself, ten rows at most.
  await page.locator("a", { hasText: "SQL 工作台" }).click();
  await expect(page.locator(`#tree [data-table=${sample}]`)).toBeVisible();
  await expect(page.locator(`#tree [data-table=${code}]`)).toHaveCount(0);
  await write(page, `select * from ${code}`);
  await page.locator("#run").click();
  await expect(page.locator("#answer-error")).toBeVisible({ timeout: 30_000 });
  await write(page, `select a.qx, b.hy from ${sample} a cross join ${sample} b`);
  await page.locator("#run").click();
  await expect(page.locator("#rows tbody tr")).toHaveCount(10, { timeout: 30_000 });
  await fit(page, "sandbox-2-sql");
  await page.locator("#to-sandbox").click();

  // A program, the one that the page offers, over the sample: at once.
  await page.locator("#program-name").fill("按首列计数");
  await page.locator("#program-form button").click();
  await expect(page.locator("#programs table")).toContainText("按首列计数");
  await page.locator("#run-kind").selectOption("program");
  await page.locator("#run-program").selectOption({ label: "按首列计数" });
  await page.locator("#run-into").fill("counted");
  await page.locator(`#run-form [name=input][value=${sample}]`).check();
  await page.locator("#run").click();
  await comes(page, (p) => p.locator("#run-list tbody tr").first(), "完成");
  await expect(page.locator("#run-list tbody tr").first()).toContainText("步");
});

test("a run over the whole waits for the provider and the authority, and its result is not shown", async ({ browser }) => {
  const page = await signedInAs(browser, good);
  await page.goto(seen.sandbox);
  await page.locator("#run-stage").selectOption("production");
  await page.locator("#run-into").fill("by_district");
  await page.locator("#run-sql").fill(BY_DISTRICT);
  await page.locator("#run-reason").fill("按区统计经营主体数量，用于年度研究");
  await page.locator("#run").click();
  const run = page.locator("#run-list tbody tr").first();
  await expect(run).toContainText("待审核");
  await expect(run.locator(".begin")).toHaveCount(0);
  expect(await agree(browser, "reviewer", "sandbox-3-desk"), "who decides reads what runs").toContain(BY_DISTRICT);
  await agree(browser, "authority");
  await page.reload();
  await run.locator(".begin").click();
  await comes(page, (p) => p.locator("#run-list tbody tr").first(), "完成");
  const result = page.locator("#results article", { hasText: "p_by_district" });
  await expect(result).toContainText("不可查看");
  await expect(result).toContainText("3 行");
});

test("a result is stopped for a small cell; with it hidden another is agreed to and fetched once", async ({ browser }) => {
  const page = await signedInAs(browser, good);
  await page.goto(seen.sandbox);
  const ask = async (hide) => {
    const result = page.locator("#results article", { hasText: "p_by_district" });
    await result.locator("summary").click();
    await result.locator("select[name=part]").nth(1).selectOption("n:count");
    await result.locator("[name=hide]").setChecked(hide);
    await result.locator("[name=reason]").fill("用于公开的研究报告");
    await result.locator("button[type=submit]").click();
  };
  await ask(false);
  const stopped = page.locator("#releases article").first();
  await expect(page.locator("#done")).toContainText("自动检查未通过");
  await expect(stopped).toContainText("自动检查未通过");
  await expect(stopped.locator(".findings")).toContainText("最小分组");
  await expect(stopped.locator(".fetch")).toHaveCount(0);
  await fit(page, "sandbox-4-stopped");

  await ask(true);
  const asked = page.locator("#releases article").first();
  await expect(asked).toContainText("待审核");
  const shown = await agree(browser, "reviewer", "sandbox-5-release");
  expect(shown).toContain("24");
  expect(shown, "the small cell is hidden from who decides, too").toContain("*");
  await agree(browser, "authority");

  await page.reload();
  // Whoever still has the button open fetches nothing more.
  const second = await page.context().newPage();
  await second.goto(seen.sandbox);
  const [download] = await Promise.all([page.waitForEvent("download"), page.locator("#releases .fetch").click()]);
  const chunks = [];
  for await (const chunk of await download.createReadStream()) chunks.push(chunk);
  seen.copy = Buffer.concat(chunks).toString("utf8");
  const plain = seen.copy.replace(/[^\p{L}\p{N}\p{P}\p{S}\n ]/gu, "");
  for (const line of ["西湖区,24", "上城区,14", "滨江区,*"]) expect(plain).toContain(line);
  await page.reload();
  await expect(page.locator("#releases article").first()).toContainText("已下载");
  await fit(page, "sandbox-6-fetched");
  await second.locator("#releases .fetch").click();
  await expect(second.locator("main")).toContainText("已被下载过");
});

test("a copy that turns up says whose it was", async ({ browser }) => {
  const reviewer = await signedIn(browser, "reviewer");
  await reviewer.goto(`${portal}/console/releases`);
  await expect(reviewer.locator("#trace"), "the authority traces").toHaveCount(0);
  const authority = await signedIn(browser, "authority");
  await authority.goto(`${portal}/console/releases`);
  await authority.locator("#trace-text").fill(seen.copy.split("\n").slice(1).join("\n"));
  await authority.locator("#trace button").click();
  await expect(authority.locator("#trace .say")).toContainText(`经营主体研究 ${mark}`);
  await picture(authority, "sandbox-7-traced");
});

test("a breach stops it at once, in the sandbox too, and stands in the record", async ({ browser }) => {
  const provider = await signedIn(browser, "reviewer");
  await provider.goto(`${portal}/console/restricted/${seen.number}`);
  await provider.locator("#breach [name=rule]").fill("超出约定范围使用公共数据");
  await provider.locator("#breach [name=text]").fill(`监督检查中发现（走查 ${mark}）`);
  await provider.locator("#breach button").click();
  await expect(provider.locator("#state")).toContainText("停止");
  const page = await signedInAs(browser, good);
  await page.goto(seen.sandbox);
  await expect(page.locator("#tables")).toContainText("没有有效的授权数据");
  await expect(page.locator("#results .release-form"), "what was made of them is not released any more").toHaveCount(0);
  await fit(page, "sandbox-8-stopped");
  await page.goto(`${portal}/restricted`);
  await expect(page.locator("#credit")).toContainText("监督检查中发现");
  await page.goto(`${portal}/console/notices`);
  await expect(page.locator("#notices")).toContainText(seen.number);
  await page.goto(`${portal}/agreements/verify?number=${seen.paper.number}&digest=${seen.paper.sm3}`);
  await expect(page.locator("#valid")).toContainText("停止");
  await page.goto(`${portal}/restricted/statistics`);
  await expect(page.locator("#all td").nth(6)).not.toHaveText("0");
});
