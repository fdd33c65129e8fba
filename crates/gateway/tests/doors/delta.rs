//! Delta Sharing through the door: what was granted and nothing else, masked; files in ranges by signed addresses that end, that go
//! on when a read began, and that stop with their token, application or grant; every question and every file recorded.

use app::delta::DeltaTokenAsk;
use app::halt::{self, HaltAsk};
use app::sharing;
use axum::body::Body;
use axum::http::Method;
use chrono::TimeDelta;
use futures::StreamExt as _;
use guard::hash::sm3_hex;
use model::account::ApplicationSecret;
use model::audit::AuditFilter;
use model::bounds::{Bounds, BoundsKind};
use model::code::{DataType, SyncMode};
use model::halt::HaltKind;
use model::item::Item;
use model::mask::Mask;
use model::request::{Period, RequestNew};
use serde_json::{Value, json};
use testkit::{House, draft};

use crate::client::{Answer, Client};

const TABLE: &str = "/delta-sharing/shares/qiantang/schemas/org-market/tables/firms";

async fn collect(house: &House, mode: SyncMode, rows: &str) {
    let text = format!("id,name,amount,day,region_code\n{rows}");
    let run = house.collect("firms", "f.csv", text.as_bytes(), mode).await.unwrap();
    assert_eq!(run.quarantined, 0, "{run:?}");
}

struct Granted {
    house: House,
    client: Client,
    secret: ApplicationSecret,
    token: String,
    request: String,
}

/// `firms`, granted within Hangzhou for batch use, its names masked; `plain`, granted for the interface alone.
async fn granted() -> Granted {
    let rows: String = (1..=40)
        .map(|n| {
            format!("{n},企业,{n}.5,2026-01-{:02},{}\n", n % 28 + 1, ["330110", "330203"][n % 2])
        })
        .collect();
    granted_of(Some(Mask::Keep { head: 1, tail: 0 }), &rows).await
}

/// The same of these rows, their names masked so.
async fn granted_of(mask: Option<Mask>, rows: &str) -> Granted {
    let house = House::new().await;
    let mut entry = draft("firms");
    entry.sync_mode = SyncMode::Incremental;
    entry.items[1].mask = mask;
    entry.items.push(Item::new("region_code", "行政区划代码", DataType::Text));
    house.publish(entry).await;
    house.publish(draft("plain")).await;
    collect(&house, SyncMode::Full, rows).await;
    let (_, secret) = house.application("批量应用").await;
    let consumer = house.person("consumer").await;
    let mut request = String::new();
    for (code, by_sql) in [("plain", false), ("firms", true)] {
        let ask = RequestNew {
            entry: code.into(),
            application: secret.application.id.clone(),
            items: ["id", "name", "amount", "day"].map(str::to_owned).to_vec(),
            scene: "批量分析".into(),
            legal_basis: "部门职责".into(),
            period: Period::Days { days: 30 },
            calls_per_day: 1000,
            area_range: if by_sql { "330100".into() } else { String::new() },
            row_range: Default::default(),
            by_sql,
        };
        request = sharing::apply(&house.app, &consumer, ask).await.unwrap().id;
    }
    let ask = DeltaTokenAsk::default();
    let made = app::delta::token(&house.app, &consumer, &secret.application.id, &ask);
    let token = made.await.unwrap().token;
    let client = Client::new(&house);
    Granted { house, client, secret, token, request }
}

fn lines(answer: &Answer) -> Vec<Value> {
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Path and query of an address.
fn path(url: &Value) -> String {
    url.as_str().unwrap().strip_prefix("http://gate.test").unwrap().to_owned()
}

impl Granted {
    async fn get(&self, path: &str, more: &[(&str, &str)]) -> Answer {
        let bearer = format!("Bearer {}", self.token);
        let mut headers = vec![("authorization", bearer.as_str())];
        headers.extend_from_slice(more);
        self.client.send(Method::GET, path, &headers).await
    }

    async fn query(&self, body: Value, more: &[(&str, &str)]) -> Answer {
        let bearer = format!("Bearer {}", self.token);
        let mut headers = vec![("authorization", bearer.as_str())];
        headers.extend_from_slice(more);
        let body = Body::from(body.to_string());
        self.client.send_body(Method::POST, &format!("{TABLE}/query"), &headers, body).await
    }

    async fn address(&self) -> String {
        let found = lines(&self.query(json!({}), &[]).await);
        path(&found[2]["file"]["url"])
    }

    async fn recorded(&self) -> Vec<model::audit::AuditRecord> {
        self.records("rows.batch").await
    }

    async fn records(&self, action: &str) -> Vec<model::audit::AuditRecord> {
        let auditor = self.house.person("auditor").await;
        let action = Some(action.into());
        let filter = AuditFilter { action, limit: 100, ..AuditFilter::default() };
        app::audit::list(&self.house.app, &auditor, &filter).await.unwrap()
    }
}

#[tokio::test]
async fn a_recipient_sees_its_share_and_nothing_else() {
    let g = granted().await;
    let names = |answer: &Answer| -> Vec<String> {
        let items = answer.json()["items"].as_array().unwrap().clone();
        items.iter().map(|i| i["name"].as_str().unwrap().to_owned()).collect()
    };
    let base = "/delta-sharing/shares";
    assert_eq!(names(&g.get(base, &[]).await), ["qiantang"]);
    let none = g.get(&format!("{base}?maxResults=0"), &[]).await.json();
    assert!(none["items"].as_array().unwrap().is_empty() && none["nextPageToken"].is_string());
    assert_eq!(g.get(&format!("{base}/Qiantang"), &[]).await.json()["share"]["name"], "qiantang");
    assert_eq!(names(&g.get(&format!("{base}/qiantang/schemas"), &[]).await), ["org-market"]);
    for list in ["schemas/org-market/tables", "schemas/ORG-MARKET/tables", "all-tables"] {
        assert_eq!(
            names(&g.get(&format!("{base}/qiantang/{list}"), &[]).await),
            ["firms"],
            "{list}"
        );
    }
    for nothing in
        ["other", "qiantang/schemas/x/tables", "qiantang/schemas/org-market/tables/plain/metadata"]
    {
        let answer = g.get(&format!("{base}/{nothing}"), &[]).await;
        assert_eq!(answer.status, 404, "{nothing}");
        assert_eq!(answer.json()["errorCode"], "not_found");
        assert!(answer.json()["message"].is_string());
    }
    // Version and columns: granted ones, the masked name as text, decimals and dates as Delta spells them.
    assert_eq!(g.get(&format!("{TABLE}/version"), &[]).await.header("delta-table-version"), "0");
    let found = lines(&g.get(&format!("{TABLE}/metadata"), &[]).await);
    assert_eq!(found[0]["protocol"]["minReaderVersion"], 1);
    let schema: Value =
        serde_json::from_str(found[1]["metaData"]["schemaString"].as_str().unwrap()).unwrap();
    let fields: Vec<(&str, &str)> = schema["fields"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| (f["name"].as_str().unwrap(), f["type"].as_str().unwrap()))
        .collect();
    let wanted = [("id", "long"), ("name", "string"), ("amount", "decimal(18,2)"), ("day", "date")];
    assert_eq!(fields, wanted);
    // A wrong token, and a token of OAuth 2, which opens the same.
    let wrong = [("authorization", "Bearer qtds_nobody")];
    let answer = g.client.send(Method::GET, base, &wrong).await;
    assert_eq!(
        (answer.status.as_u16(), &answer.json()["errorCode"]),
        (401, &json!("signature_mismatch"))
    );
    let form = format!(
        "grant_type=client_credentials&client_id={}&client_secret={}",
        g.secret.application.key, g.secret.secret
    );
    let oauth = g.client.send_body(Method::POST, "/oauth2/token", &[], Body::from(form)).await;
    let bearer = format!("Bearer {}", oauth.json()["access_token"].as_str().unwrap());
    let answer = g.client.send(Method::GET, base, &[("authorization", &bearer)]).await;
    assert_eq!(names(&answer), ["qiantang"]);
    // The token of Delta Sharing opens nothing else.
    assert_eq!(g.get("/api/v1/plain", &[]).await.status, 401);
}

#[tokio::test]
async fn files_are_read_in_ranges_and_recorded_once() {
    let g = granted().await;
    let found = lines(&g.query(json!({}), &[]).await);
    assert_eq!(found.len(), 3);
    let file = &found[2]["file"];
    let stats: Value = serde_json::from_str(file["stats"].as_str().unwrap()).unwrap();
    assert_eq!((&stats["numRecords"], &stats["minValues"]["id"]), (&json!(20), &json!(2)));
    assert_eq!(stats["maxValues"]["name"], "企*", "bounds are of what is shown");
    let (at, size) = (path(&file["url"]), file["size"].as_u64().unwrap());
    assert_eq!(g.recorded().await.len(), 1, "the question");
    let head = g.client.send(Method::HEAD, &at, &[]).await;
    assert_eq!(head.header("content-length"), size.to_string());
    assert_eq!((head.header("accept-ranges"), head.bytes.len()), ("bytes", 0));
    assert_eq!(g.recorded().await.len(), 1, "nothing was read");
    let whole = g.client.get(&at).await;
    assert_eq!((whole.status.as_u16(), whole.bytes.len() as u64), (200, size));
    assert!(whole.bytes.starts_with(b"PAR1") && whole.bytes.ends_with(b"PAR1"));
    let tag = whole.header("etag").to_owned();
    let part = g.client.send(Method::GET, &at, &[("range", "bytes=4-9"), ("if-range", &tag)]).await;
    assert_eq!((part.status.as_u16(), &part.bytes[..]), (206, &whole.bytes[4..10]));
    assert_eq!(part.header("content-range"), format!("bytes 4-9/{size}"));
    let tail = g.client.send(Method::GET, &at, &[("range", "bytes=-8")]).await;
    assert_eq!(&tail.bytes[..], &whole.bytes[whole.bytes.len() - 8..]);
    let beyond = format!("bytes={size}-");
    let nothing = g.client.send(Method::GET, &at, &[("range", &beyond)]).await;
    assert_eq!(
        (nothing.status.as_u16(), nothing.header("content-range")),
        (416, format!("bytes */{size}").as_str())
    );
    let recorded = g.recorded().await;
    assert_eq!(recorded.len(), 2, "the question and one read");
    let read = recorded.iter().find(|r| r.event.rows > 0).unwrap();
    assert_eq!(
        (read.event.rows, read.event.bytes, read.event.request.as_str()),
        (20, size, g.request.as_str())
    );
    assert!(read.event.masks.contains("name=") && read.event.columns == "id,name,amount,day");
    // The same address anew is another read, and so is the same file taken once too often.
    g.client.get(&g.address().await).await;
    assert_eq!(g.recorded().await.len(), 4);
}

#[tokio::test]
async fn an_address_ends_but_a_read_that_began_goes_on() {
    let g = granted().await;
    let (begun, never) = (g.address().await, g.address().await);
    let part = async |at: &str| {
        g.client.send(Method::GET, at, &[("range", "bytes=0-3")]).await.status.as_u16()
    };
    assert_eq!(part(&begun).await, 206);
    for _ in 0..4 {
        g.house.clock.forward(TimeDelta::minutes(20));
        assert_eq!(part(&begun).await, 206, "it goes on");
    }
    assert_eq!(part(&never).await, 401, "it has ended");
    // After a pause that is too long it does not go on.
    g.house.clock.forward(TimeDelta::minutes(31));
    assert_eq!(part(&begun).await, 401);
    // What was tampered with is no address.
    let fresh = g.address().await;
    for (from, to) in [("?t=", "?t=A"), (".parquet", ".parquet.ids"), ("?t=", "?u=")] {
        assert_eq!(part(&fresh.replacen(from, to, 1)).await, 401, "{from} {to}");
    }
    let cut = fresh.trim_end_matches("&sp=r");
    let cut = &cut[..cut.len() - 4];
    assert_eq!((part(&fresh).await, part(cut).await), (206, 401));
}

#[tokio::test]
async fn what_is_revoked_or_stopped_is_refused_at_once() {
    let g = granted().await;
    let consumer = g.house.person("consumer").await;
    let (app, id) = (&g.house.app, g.secret.application.id.as_str());
    let status = async |at: &str| g.client.get(at).await.status.as_u16();
    let at = g.address().await;
    assert_eq!(status(&at).await, 200);
    // Another token; the first one is revoked.
    let page = app::delta::page(app, &consumer, id).await.unwrap();
    let other =
        app::delta::token(app, &consumer, id, &DeltaTokenAsk::default()).await.unwrap().token;
    app::delta::revoke(app, &consumer, id, &page.tokens[0].id).await.unwrap();
    assert_eq!((status(&at).await, g.get(TABLE, &[]).await.status.as_u16()), (401, 401));
    let g = Granted { token: other, ..g };
    let (app, id) = (&g.house.app, g.secret.application.id.as_str());
    let status = async |at: &str| g.client.get(at).await.status.as_u16();
    let at = g.address().await;
    assert_eq!(status(&at).await, 200);
    // The application is stopped, and started again.
    app::account::set_application_active(app, &consumer, id, false).await.unwrap();
    assert_eq!((status(&at).await, g.get(TABLE, &[]).await.status.as_u16()), (403, 401));
    app::account::set_application_active(app, &consumer, id, true).await.unwrap();
    assert_eq!(status(&at).await, 200);
    // The grant ends.
    let authority = g.house.person("authority").await;
    sharing::revoke(app, &authority, &g.request, "结束").await.unwrap();
    assert_eq!((status(&at).await, g.get(TABLE, &[]).await.status.as_u16()), (403, 403));
    assert_eq!(g.query(json!({}), &[]).await.json()["errorCode"], "grant_expired");
    // Nothing is kept of what nobody may read.
    assert_eq!(app.lake.shares_held().await.unwrap().len(), 1);
    app::dispatch::run_job(app, model::dispatch::Job::Lake).await;
    assert_eq!(app.lake.shares_held().await.unwrap(), []);
}

/// Whatever is asked while the application or the resource is stopped, the refusal says that it is; afterwards all goes on, addresses
/// that were given out before included.
#[tokio::test]
async fn an_emergency_stop_is_told_as_one() {
    let g = granted().await;
    let (app, at) = (&g.house.app, g.address().await);
    let key = g.secret.application.key.as_str();
    for (kind, name) in [(HaltKind::Application, key), (HaltKind::Entry, "firms")] {
        let security = g.house.person("security").await;
        let ask = HaltAsk { kind, name: name.into(), reason: "疑似泄露".into() };
        let stop = halt::begin(app, &security, &ask).await.unwrap();
        for answer in
            [g.query(json!({}), &[]).await, g.get(TABLE, &[]).await, g.client.get(&at).await]
        {
            assert_eq!(answer.status, 403, "{kind}: {}", answer.text);
            assert_eq!(answer.json()["errorCode"], "halted", "{kind}: {}", answer.text);
        }
        let shares = g.get("/delta-sharing/shares", &[]).await;
        let stopped = kind == HaltKind::Application;
        assert_eq!(shares.status, if stopped { 403 } else { 200 }, "{kind}");
        halt::lift(app, &security, &stop.id, "已排查").await.unwrap();
        assert_eq!(g.client.get(&at).await.status, 200, "{kind}");
        assert_eq!(lines(&g.query(json!({}), &[]).await).len(), 3, "{kind}");
    }
}

/// Clients of the protocol send no header of ours: where calls must say what they are for, the token does, and files are fetched under what
/// the question said.
#[tokio::test]
async fn a_token_says_what_calls_are_for() {
    let g = granted().await;
    let (app, id) = (&g.house.app, g.secret.application.id.as_str());
    let security = g.house.person("security").await;
    let bounds = Bounds { purpose: true, ..Bounds::default() };
    sharing::set_bounds(app, &security, BoundsKind::Application, id, bounds).await.unwrap();
    let silent = g.query(json!({}), &[]).await;
    assert_eq!(
        (silent.status.as_u16(), &silent.json()["errorCode"]),
        (400, &json!("purpose_missing"))
    );
    // A program that can say it does, and its files are read without saying it again.
    let told = [("x-qt-purpose", "%E5%AF%B9%E8%B4%A6")];
    let found = lines(&g.query(json!({}), &told).await);
    assert_eq!(g.client.get(&path(&found[2]["file"]["url"])).await.status, 200);

    let consumer = g.house.person("consumer").await;
    for wrong in ["目".repeat(201), "一\n二".to_owned()] {
        let ask = DeltaTokenAsk { purpose: wrong, ..DeltaTokenAsk::default() };
        let refused = app::delta::token(app, &consumer, id, &ask).await.unwrap_err();
        assert_eq!(refused.fields()[0].field, "purpose");
    }
    let ask = DeltaTokenAsk { purpose: " 年度核查 ".into(), ..DeltaTokenAsk::default() };
    let token = app::delta::token(app, &consumer, id, &ask).await.unwrap().token;
    let g = Granted { token, ..g };
    let at = g.address().await;
    assert_eq!(g.client.get(&at).await.status, 200);
    lines(&g.query(json!({}), &told).await);
    let mut purposes: Vec<String> = g
        .recorded()
        .await
        .into_iter()
        .filter(|r| r.event.result == "ok")
        .map(|r| r.event.purpose)
        .collect();
    purposes.sort();
    assert_eq!(purposes, ["对账", "对账", "对账", "年度核查", "年度核查"]);
    let page = app::delta::page(&g.house.app, &consumer, &g.secret.application.id).await.unwrap();
    assert!(page.tokens.iter().any(|t| t.purpose == "年度核查"));
}

/// Rows within Hangzhou of a file that comes in many pieces: their names cannot be told shorter.
fn many() -> String {
    (1..=20_000)
        .map(|n: u32| {
            let name = sm3_hex(&n.to_be_bytes());
            format!("{n},{name},{n}.5,2026-01-{:02},330110\n", n % 28 + 1)
        })
        .collect()
}

/// What ends a read under way.
#[derive(Clone, Copy, Debug)]
enum End {
    Revoked,
    Stopped,
    Over,
}

#[tokio::test]
async fn a_file_being_read_breaks_off_when_its_grant_ends() {
    let rows = many();
    for (end, code, range) in [
        (End::Revoked, "no_grant", "bytes=0-"),
        (End::Stopped, "no_grant", ""),
        (End::Over, "grant_expired", "bytes=4-"),
    ] {
        let g = granted_of(None, &rows).await;
        let (app, id) = (&g.house.app, g.secret.application.id.as_str());
        let found = lines(&g.query(json!({}), &[]).await);
        let file = &found[2]["file"];
        let (at, size) = (path(&file["url"]), file["size"].as_u64().unwrap());
        let part: &[(&str, &str)] = if range.is_empty() { &[] } else { &[("range", range)] };
        let mut body = g.client.stream(&at, part).await;
        let some = body.next().await.unwrap().unwrap();
        assert!((some.len() as u64) < size / 2, "{end:?}: {} of {size} at once", some.len());
        assert_eq!(some.starts_with(b"PAR1"), range != "bytes=4-", "{end:?}");
        let before = g.recorded().await.len();
        assert_eq!(g.records("rows.batch.end").await.len(), 0, "{end:?}: nothing broke off yet");

        match end {
            End::Revoked => {
                let authority = g.house.person("authority").await;
                sharing::revoke(app, &authority, &g.request, "结束").await.unwrap();
            }
            End::Stopped => {
                let consumer = g.house.person("consumer").await;
                app::account::set_application_active(app, &consumer, id, false).await.unwrap();
            }
            End::Over => g.house.clock.forward(TimeDelta::days(31)),
        }
        assert!(body.next().await.unwrap().is_err(), "{end:?}: it breaks off, it does not end");
        assert!(body.next().await.is_none(), "{end:?}");

        // The chain says that it broke off and why; that it began was told before its first byte.
        let ended = g.records("rows.batch.end").await;
        assert_eq!(ended.len(), 1, "{end:?}");
        let told = &ended[0].event;
        assert_eq!((told.result.as_str(), told.object.as_str()), ("failed", "firms"), "{end:?}");
        assert!(told.reason.starts_with(code), "{end:?}: {}", told.reason);
        let name = at.rsplit('/').next().unwrap().split('?').next().unwrap();
        assert!(told.scope.contains(name), "{end:?}: {}", told.scope);
        assert_eq!(g.recorded().await.len(), before + 1, "{end:?}: its end and nothing else");
        // Whoever goes on where it broke off gets nothing.
        let rest = format!("bytes={}-", some.len());
        let again = g.client.send(Method::GET, &at, &[("range", &rest)]).await;
        assert!(again.status.is_client_error(), "{end:?}: {}", again.status);
    }
}

#[tokio::test]
async fn versions_changes_and_both_forms() {
    let g = granted().await;
    collect(
        &g.house,
        SyncMode::Incremental,
        "2,新名,2.5,2026-01-03,330110\n4,企业,4.5,2026-01-05,330203\n50,企业,1,2026-02-01,330110\n",
    )
    .await;
    let found = lines(&g.query(json!({"version": 0}), &[]).await);
    assert_eq!(found[2]["file"]["version"], 0);
    let newest = g.query(json!({}), &[]).await;
    assert_eq!(newest.header("delta-table-version"), "1");
    let rows = |answer: &Answer| -> u64 {
        let files = lines(answer).into_iter().skip(2);
        let stats = files.map(|l| {
            let stats = l["file"]["stats"].as_str().unwrap().to_owned();
            serde_json::from_str::<Value>(&stats).unwrap()["numRecords"].as_u64().unwrap()
        });
        stats.sum()
    };
    assert_eq!(rows(&newest), 20, "one came, one left");
    // Addresses anew for the version of the first answer, and the last line when it is wanted.
    let ends =
        [("delta-sharing-capabilities", "responseformat=parquet;includeEndStreamAction=true")];
    let first = lines(&g.query(json!({"version": 0, "includeRefreshToken": true}), &ends).await);
    let end = &first.last().unwrap()["endStreamAction"];
    assert!(end["minUrlExpirationTimestamp"].as_i64().unwrap() > 0);
    let again = lines(&g.query(json!({"refreshToken": end["refreshToken"]}), &[]).await);
    assert_eq!(again[2]["file"]["id"], first[2]["file"]["id"]);
    assert_eq!(g.query(json!({"refreshToken": "x"}), &[]).await.status, 400);
    // What changed.
    let told = lines(&g.get(&format!("{TABLE}/changes?startingVersion=0"), &[]).await);
    assert_eq!(told[1]["metaData"]["configuration"]["enableChangeDataFeed"], "true");
    assert_eq!((&told[2]["add"]["version"], &told[3]["cdf"]["version"]), (&json!(0), &json!(1)));
    let file = g.client.get(&path(&told[3]["cdf"]["url"])).await;
    assert!(file.status == 200 && file.bytes.starts_with(b"PAR1"));
    for bad in [
        "",
        "?startingVersion=9",
        "?startingVersion=1&endingVersion=0",
        "?startingVersion=x",
        "?startingVersion=0&startingTimestamp=2026-01-01",
    ] {
        assert_eq!(g.get(&format!("{TABLE}/changes{bad}"), &[]).await.status, 400, "{bad}");
    }
    // As Delta spells it.
    let delta =
        [("delta-sharing-capabilities", "responseformat=delta;readerfeatures=timestampntz")];
    let found = g.query(json!({}), &delta).await;
    assert_eq!(found.header("delta-sharing-capabilities"), "responseformat=delta");
    let found = lines(&found);
    assert_eq!(found[0]["protocol"]["deltaProtocol"]["minReaderVersion"], 1);
    assert!(found[1]["metaData"]["deltaMetadata"]["schemaString"].is_string());
    assert!(found[2]["file"]["deltaSingleAction"]["add"]["path"].is_string());
    // Hints leave out what cannot be there; what is not understood leaves nothing out.
    let none = g.query(json!({"predicateHints": ["id > 1000"], "limitHint": 5}), &[]).await;
    assert_eq!(lines(&none).len(), 2);
    let hint = json!({"op": "equal", "children": [
        {"op": "column", "name": "id", "valueType": "long"}, {"op": "literal", "value": "50", "valueType": "long"},
    ]});
    let some = g.query(json!({"jsonPredicateHints": hint.to_string()}), &[]).await;
    assert!(rows(&some) >= 1);
    let all =
        g.query(json!({"predicateHints": ["nonsense("], "jsonPredicateHints": "{"}), &[]).await;
    assert_eq!(rows(&all), 20);
    for bad in
        [json!([1]), json!({"version": "x"}), json!({"version": 99}), json!({"startingVersion": 0})]
    {
        assert_eq!(g.query(bad.clone(), &[]).await.status, 400, "{bad}");
    }
}
