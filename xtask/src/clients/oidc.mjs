// The client library openid-client (of panva, certified for OpenID Connect) against the identity provider of a demo: its whole flow, with
// ID tokens verified by the JWK set, and what must be refused. Nothing of it is changed but the address.
//
//     node oidc.mjs READY.json
import fs from "node:fs";
import http from "node:http";
import * as jose from "jose";
import * as oidc from "openid-client";

const house = JSON.parse(fs.readFileSync(process.argv[2], "utf8"));
const portal = house.portal.replace(/\/$/, "");
const app = house.apps[0];
const BACK = "http://127.0.0.1:9/callback";
const OUT = "http://127.0.0.1:9/out";
const ORIGIN = "http://127.0.0.1:9";

function check(truth, what) {
  if (!truth) throw new Error(`FAILED: ${what}`);
  console.log("ok", what);
}

/** Refused by the protocol with this word (or one of these). */
async function refused(work, word, what) {
  try {
    await work();
  } catch (error) {
    const told = error.error ?? error.cause?.error ?? error.cause?.parameters?.get?.("error") ?? error.code;
    check([word].flat().includes(told), `${what}: ${told}`);
    return;
  }
  throw new Error(`FAILED: ${what} went through`);
}

/** A browser without script: keeps cookies, follows nothing by itself. */
class Browser {
  cookies = new Map();
  async send(url, options = {}) {
    const cookie = [...this.cookies].map(([k, v]) => `${k}=${v}`).join("; ");
    const answer = await fetch(url, { ...options, redirect: "manual", headers: { ...options.headers, cookie } });
    for (const line of answer.headers.getSetCookie()) {
      const [pair] = line.split(";");
      const at = pair.indexOf("=");
      if (/max-age=0/i.test(line)) this.cookies.delete(pair.slice(0, at));
      else this.cookies.set(pair.slice(0, at), pair.slice(at + 1));
    }
    const location = answer.headers.get("location");
    return { status: answer.status, location: location && new URL(location, url), text: await answer.text() };
  }
  post(url, fields) {
    return this.send(url, { method: "POST", body: new URLSearchParams(fields) });
  }
  async signIn(user, password, next = "") {
    const page = await this.send(`${portal}/login${next && `?next=${encodeURIComponent(next)}`}`);
    return this.post(`${portal}/login`, { csrf: field(page.text, "csrf"), name: user, password, next });
  }
}

/** The value of a hidden field. */
function field(html, name) {
  const value = html.match(new RegExp(`name="${name}" value="([^"]*)"`))?.[1] ?? "";
  return value.replaceAll("&#x2f;", "/").replaceAll("&amp;", "&").replaceAll("&quot;", '"').replaceAll("&#x27;", "'");
}

/** The client's own server: what was posted to it when a session ended. */
const ended = [];
const ear = http.createServer((request, response) => {
  let text = "";
  request.on("data", (piece) => (text += piece));
  request.on("end", () => {
    const { method, headers } = request;
    ended.push({ method, type: headers["content-type"], token: new URLSearchParams(text).get("logout_token") });
    response.writeHead(200, { "cache-control": "no-store" }).end();
  });
});
await new Promise((done) => ear.listen(0, "127.0.0.1", done));
const ENDED = `http://127.0.0.1:${ear.address().port}/ended`;

/** What the client is told of the end of this session, within half a minute; others may have ended before. */
async function toldOf(sid) {
  for (let tries = 0; tries < 300; tries += 1) {
    const notice = ended.find((e) => e.token && jose.decodeJwt(e.token).sid === sid);
    if (notice) return notice;
    await new Promise((done) => setTimeout(done, 100));
  }
  throw new Error("FAILED: the client was not told that the session has ended");
}

const account = (role) => house.accounts.find((a) => a.role === role);

// --- The application becomes a client.
const keeper = new Browser();
await keeper.signIn(account("consumer").user, account("consumer").password);
const settings = `${portal}/console/applications/${app.id}/client`;
const form = await keeper.send(settings);
check(form.status === 200, "the application's page of sign-in");

/** Registers what the application is as a client; scopes may stand there several times. */
async function register(kind, scopes, more = {}) {
  const page = await keeper.send(settings);
  const fields = { csrf: field(page.text, "csrf"), kind, redirects: BACK, logouts: OUT, ...more };
  return keeper.post(settings, [...Object.entries(fields), ...scopes.map((s) => ["scopes", s])]);
}

const told_at = { backchannel_logout_uri: ENDED, backchannel_logout_session_required: "1" };
const set = await register("confidential", ["profile", "org", "real_name", "offline_access"], told_at);
check(set.status === 303, "its addresses and scopes are registered");
const leaky = await register("confidential", ["profile"], { origins: ORIGIN });
check(leaky.status === 400, "a confidential client has no browser origin");

// --- Discovery, and a person signs in through the form.
const insecure = { execute: [oidc.allowInsecureRequests, oidc.enableNonRepudiationChecks] };
const config = await oidc.discovery(new URL(portal), app.key, app.secret, undefined, insecure);
const server = config.serverMetadata();
check(server.code_challenge_methods_supported.join() === "S256", `discovery of ${server.issuer}`);
check(server.end_session_endpoint === `${server.issuer}/oauth/logout`, "it says where to sign out");
check(server.backchannel_logout_supported && server.backchannel_logout_session_supported, "it tells of ended sessions");
for (const scope of ["openid", "profile", "org", "real_name", "offline_access"])
  check(server.scopes_supported.includes(scope), `scope ${scope} is offered`);

const citizen = account("citizen");
let browser = new Browser();

/** Asks for a code; the browser's way until it is sent back to the client. */
async function authorize(parameters = {}, as = config) {
  const verifier = oidc.randomPKCECodeVerifier();
  const [state, nonce] = [oidc.randomState(), oidc.randomNonce()];
  const url = oidc.buildAuthorizationUrl(as, {
    redirect_uri: BACK,
    scope: "openid profile org offline_access",
    code_challenge: await oidc.calculatePKCECodeChallenge(verifier),
    code_challenge_method: "S256",
    state,
    nonce,
    ...parameters,
  });
  let page = await browser.send(url);
  for (let steps = 0; steps < 6; steps += 1) {
    if (page.location?.href.startsWith(BACK)) return { back: page.location, verifier, state, nonce };
    if (page.location?.pathname === "/login") {
      page = await browser.signIn(citizen.user, citizen.password, page.location.searchParams.get("next"));
    } else if (page.location) {
      page = await browser.send(page.location);
    } else if (page.text.includes('id="consent"')) {
      const fields = { csrf: field(page.text, "csrf"), query: field(page.text, "query"), answer: "agree" };
      page = await browser.post(`${portal}/oauth/consent`, fields);
    } else {
      throw new Error(`FAILED: ${page.status} ${page.text.slice(0, 400)}`);
    }
  }
  throw new Error("FAILED: no way back to the client");
}

const exchange = ({ back, verifier, state, nonce }, more = {}, as = config) =>
  oidc.authorizationCodeGrant(as, back, {
    pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce, idTokenExpected: true, ...more,
  });

const first = await authorize();
const tokens = await exchange(first);
const claims = tokens.claims();
check([claims.aud].flat().join() === app.key && claims.iss === server.issuer && claims.auth_time > 0, "authorization code with PKCE, ID token by RS256");
check(first.back.searchParams.get("iss") === server.issuer, "the answer names its issuer (RFC 9207)");
check(server.acr_values_supported.includes(claims.acr) && claims.amr.join() === "pwd" && claims.at_hash, "acr, amr and at_hash");
check(["name", "preferred_username", "org", "locale"].every((name) => !(name in claims)), "the ID token says nothing else of the person");
const user = await oidc.fetchUserInfo(config, tokens.access_token, claims.sub);
check(user.preferred_username === citizen.user && claims.sub !== citizen.user, `userinfo of ${user.name}`);
check(user.updated_at > 0 && user.locale === "zh-CN" && !("real_name_verified" in user), "userinfo of the profile");
const byForm = await fetch(server.userinfo_endpoint, {
  method: "POST", body: new URLSearchParams({ access_token: tokens.access_token }),
});
check((await byForm.json()).sub === claims.sub, "userinfo by a posted form (RFC 6750 §2.2)");
const inAddress = await fetch(`${server.userinfo_endpoint}?access_token=${tokens.access_token}`);
check(inAddress.status === 400 && (await inAddress.json()).error === "invalid_request", "never by the address");
for (const [scope, names] of [
  ["openid", "sub"],
  ["openid profile", "locale,name,preferred_username,sub,updated_at"],
  ["openid real_name", "real_name_verified,sub"],
]) {
  const granted = await exchange(await authorize({ scope }));
  const said = await oidc.fetchUserInfo(config, granted.access_token, claims.sub);
  check(Object.keys(said).sort().join() === names, `scope ${scope} hands over ${names}`);
}
const told = await oidc.tokenIntrospection(config, tokens.access_token);
check(told.active && told.sub === claims.sub, "introspection");
const fresh = await oidc.refreshTokenGrant(config, tokens.refresh_token);
check(fresh.access_token !== tokens.access_token && fresh.claims().sub === claims.sub, "refresh, with a new ID token");
check((await exchange(await authorize({ prompt: "login" }))).claims().auth_time >= claims.auth_time, "prompt=login");
check((await exchange(await authorize({ max_age: "600" }), { maxAge: 600 })).claims().sub === claims.sub, "max_age");
const silent = await authorize({ prompt: "none" });
check((await exchange(silent)).access_token.length > 20, "prompt=none, agreed already");
check((await exchange(await authorize({ prompt: "consent" }))).claims().sub === claims.sub, "prompt=consent");
const meant = await exchange(await authorize({ prompt: "none", id_token_hint: tokens.id_token }));
check(meant.claims().sid === (await exchange(await authorize({ prompt: "none" }))).claims().sid, "id_token_hint; one session, one sid");
const own = await oidc.clientCredentialsGrant(config, {});
check(own.access_token && !own.id_token, "client credentials");
check((await oidc.tokenIntrospection(config, own.access_token)).active, "introspection of the application's own token");
await oidc.tokenRevocation(config, own.access_token);
check(!(await oidc.tokenIntrospection(config, own.access_token)).active, "revocation of the application's own token");
await oidc.tokenRevocation(config, fresh.access_token);
check(!(await oidc.tokenIntrospection(config, fresh.access_token)).active, "revocation");

// --- What must be refused.
await refused(() => oidc.fetchUserInfo(config, fresh.access_token, claims.sub), "OAUTH_WWW_AUTHENTICATE_CHALLENGE", "a revoked token");
await refused(() => oidc.refreshTokenGrant(config, tokens.refresh_token), "invalid_grant", "a refresh token used twice");
await refused(() => oidc.refreshTokenGrant(config, fresh.refresh_token), "invalid_grant", "the chain of a refresh token used twice");
const replayed = await authorize();
const good = await exchange(replayed);
await refused(() => exchange(replayed), "invalid_grant", "a code used twice");
check(!(await oidc.tokenIntrospection(config, good.access_token)).active, "a code used twice takes its tokens with it");
const stolen = await authorize();
await refused(() => exchange({ ...stolen, verifier: oidc.randomPKCECodeVerifier() }), "invalid_grant", "a code with another verifier");
await refused(async () => exchange(await authorize({ code_challenge_method: "plain" })), "invalid_request", "a downgrade of PKCE");
await refused(async () => exchange(await authorize({ response_type: "token" })), "unsupported_response_type", "the implicit flow");
await refused(async () => exchange(await authorize({ prompt: "none login" })), "invalid_request", "prompt=none with another");
await refused(async () => exchange(await authorize({ prompt: "none", id_token_hint: "x.y.z" })), "invalid_request", "a hint that is none");
await refused(async () => exchange(await authorize({ registration: "{}" })), "registration_not_supported", "registration in a request");
const mixed = await authorize();
mixed.back.searchParams.set("iss", "https://other.example");
await refused(() => exchange(mixed), "OAUTH_INVALID_RESPONSE", "an answer of another issuer");
const elsewhere = await browser.send(
  oidc.buildAuthorizationUrl(config, { redirect_uri: "http://127.0.0.1:9/other", scope: "openid", state: "s" }),
);
check(elsewhere.status === 400 && !elsewhere.location, "nobody is sent to an address that is not registered");
const wrong = await oidc.discovery(new URL(portal), app.key, "wrong", undefined, insecure);
await refused(() => oidc.clientCredentialsGrant(wrong, {}), ["invalid_client", "OAUTH_WWW_AUTHENTICATE_CHALLENGE"], "a wrong secret");

// --- Consent is withdrawn: the next use fails.
const last = await exchange(await authorize());
const consents = await browser.send(`${portal}/account/consents`);
const end = consents.text.match(/action="(\/account\/consents\/[^"]+\/end)"/)[1];
await browser.post(`${portal}${end}`, { csrf: field(consents.text, "csrf") });
await refused(() => oidc.fetchUserInfo(config, last.access_token, claims.sub), "OAUTH_WWW_AUTHENTICATE_CHALLENGE", "a token after its consent was withdrawn");

// --- The client signs the person out.
const asked = await browser.send(oidc.buildEndSessionUrl(config, { post_logout_redirect_uri: OUT, state: "s 1" }));
check(asked.status === 200 && asked.text.includes('id="leave"'), "without a hint the person is asked");
const bound = await exchange(await authorize({ scope: "openid profile" }));
const lasting = await exchange(await authorize());
const wrongly = await browser.send(
  oidc.buildEndSessionUrl(config, { id_token_hint: bound.id_token, post_logout_redirect_uri: `${OUT}/other` }),
);
check(wrongly.status === 400 && !wrongly.location, "nobody is sent on to an address that is not registered");
const leave = oidc.buildEndSessionUrl(config, { id_token_hint: bound.id_token, post_logout_redirect_uri: OUT, state: "s 1" });
const sid = bound.claims().sid;
const empty = await browser.post(server.end_session_endpoint, {});
check(empty.location?.href === server.end_session_endpoint, "a posted wish without parameters leads to the page that asks");
const posted = await browser.post(server.end_session_endpoint, leave.searchParams);
check(posted.status === 303 && posted.location.pathname === leave.pathname, "a posted wish is asked again by address");
const gone = await browser.send(posted.location);
check(gone.location?.href === `${OUT}?state=s+1`, "signed out by the session's own ID token");
check((await browser.send(`${portal}/me`)).location?.pathname === "/login", "the session is over");
const notice = await toldOf(sid);
check(notice.method === "POST" && notice.type === "application/x-www-form-urlencoded", "by a posted form");
const { payload: said } = await jose.jwtVerify(notice.token, jose.createRemoteJWKSet(new URL(server.jwks_uri)), {
  typ: "logout+jwt", algorithms: ["RS256"], issuer: server.issuer, audience: app.key, requiredClaims: ["jti", "iat", "exp", "events"],
});
check(said.sid === sid && said.sub === claims.sub && !("nonce" in said), "a logout token of this very session, verified by the JWK set");
check("http://schemas.openid.net/event/backchannel-logout" in said.events && said.exp - said.iat <= 120, "its event and its term");
await refused(() => oidc.refreshTokenGrant(config, bound.refresh_token), "invalid_grant", "a refresh token of that session");
await refused(() => oidc.fetchUserInfo(config, bound.access_token, claims.sub), "OAUTH_WWW_AUTHENTICATE_CHALLENGE", "an access token of that session");
check((await oidc.refreshTokenGrant(config, lasting.refresh_token)).access_token, "offline_access outlives the session");

// --- A browser app: a public client, its origin registered, read by its scripts and by no others.
check((await register("public", ["profile"], { origins: ORIGIN })).status === 303, "its browser origin is registered");
const page = { Origin: ORIGIN, "Sec-Fetch-Site": "cross-site" };
const spa = await oidc.discovery(new URL(portal), app.key, undefined, oidc.None(), insecure);
const read = [];
spa[oidc.customFetch] = async (url, options) => {
  const answer = await fetch(url, { ...options, headers: { ...Object.fromEntries(new Headers(options.headers)), ...page } });
  read.push([new URL(url).pathname, answer.headers.get("access-control-allow-origin"), answer.headers.get("access-control-allow-credentials")]);
  return answer;
};
browser = new Browser();
const own2 = await exchange(await authorize({ scope: "openid profile" }, spa), {}, spa);
await oidc.fetchUserInfo(spa, own2.access_token, own2.claims().sub);
const next = await oidc.refreshTokenGrant(spa, own2.refresh_token);
await oidc.tokenRevocation(spa, next.refresh_token);
for (const path of ["/oauth/token", "/oauth/userinfo", "/oauth/revoke"])
  check(read.some(([p, origin, credentials]) => p === path && origin === ORIGIN && credentials === null), `CORS of ${path}`);
await refused(() => oidc.clientCredentialsGrant(spa, {}), "unauthorized_client", "a public client in its own name");
async function preflight(path, origin) {
  const headers = { Origin: origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type" };
  const answer = await fetch(`${portal}${path}`, { method: "OPTIONS", headers });
  return answer.headers.get("access-control-allow-origin");
}
check((await preflight("/oauth/token", ORIGIN)) === ORIGIN, "preflight of the registered origin");
check((await preflight("/oauth/token", "https://evil.example")) === null, "preflight of another origin");
check((await preflight("/oauth/introspect", ORIGIN)) === null, "introspection is no browser's");
check((await preflight("/oauth/jwks", "https://evil.example")) === "*", "the keys are everybody's to read");
await refused(async () => exchange(await authorize({ scope: "openid org" }, spa), {}, spa), "invalid_scope", "a scope the client is not registered for");
ear.close();
console.log("openid-client is content");
