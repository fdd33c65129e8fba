//! Exchange of files: taken when whole, verified, landed once, receipted on both sides; rows sent against a grant, and the receipt
//! that comes back. Real folders, real people; on both control stores.

use std::path::{Path, PathBuf};

use app::exchange::{self, ExchangeView};
use chrono::TimeDelta;
use guard::hash::{sha256_hex, sm3_hex};
use model::code::SyncMode;
use model::exchange::{
    Completeness, ExchangeCipher, ExchangeFile, ExchangeNew, ExchangeSignature, ExchangeWay,
    FileState, Receipt,
};
use model::request::{Period, RequestNew};
use model::{Code, Op};
use testkit::{House, draft};

const ROWS: &str = "编号,名称,金额,日期\n1,甲,1.50,2026-01-01\n2,乙,2.50,2026-01-02\n";

pub(crate) fn folder(house: &House, name: &str) -> PathBuf {
    let folder = house.folder().join("exchange").join(name);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

pub(crate) fn incoming(folder: &Path, entry: &str) -> ExchangeNew {
    ExchangeNew {
        name: format!("{entry} 交换"),
        way: Some(ExchangeWay::In),
        peer: "市交通局".into(),
        entry: entry.into(),
        place: folder.to_str().unwrap().to_owned(),
        pattern: "*.csv".into(),
        mode: Some(SyncMode::Full),
        ..ExchangeNew::default()
    }
}

fn manifest(name: &str, text: &str, rows: u64) -> String {
    serde_json::json!({ "file": name, "bytes": text.len(), "rows": rows, "sha256": sha256_hex(text.as_bytes()) }).to_string()
}

fn names(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut waiting = vec![folder.to_owned()];
    while let Some(next) = waiting.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => waiting.push(path),
                false => {
                    found.push(path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned())
                }
            }
        }
    }
    found.sort();
    found
}

fn receipt(folder: &Path, name: &str) -> Receipt {
    let path = folder.join("receipts").join(format!("{name}.receipt.json"));
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

pub(crate) async fn files(house: &House, op: &Op, view: &ExchangeView) -> Vec<ExchangeFile> {
    exchange::files(&house.app, op, &view.exchange.id, None, 200).await.unwrap().items
}

async fn newest(house: &House, op: &Op, view: &ExchangeView) -> ExchangeFile {
    files(house, op, view).await.remove(0)
}

async fn count(house: &House, entry: &str) -> u64 {
    let entry = house.app.store.entry_get(entry).await.unwrap().unwrap();
    house.app.lake.count(&entry).await.unwrap()
}

/// Not whole → taken when its done-file is there → receipt with both sides equal → archive; the same again is told.
async fn a_file_is_taken_when_it_is_whole_and_both_sides_agree(house: House) {
    let provider = house.person("provider").await;
    house.publish(draft("firms")).await;
    let place = folder(&house, "in");
    let view = exchange::create(&house.app, &provider, incoming(&place, "firms")).await.unwrap();
    std::fs::write(place.join("a.csv"), ROWS).unwrap();
    std::fs::write(place.join("notes.txt"), "x").unwrap();
    std::fs::write(place.join("a.csv.manifest.json"), manifest("a.csv", ROWS, 2)).unwrap();
    assert_eq!(exchange::tick(&house.app).await.unwrap(), 0);
    assert_eq!(newest(&house, &provider, &view).await.state, FileState::Seen);
    let seen = exchange::get(&house.app, &provider, &view.exchange.id).await.unwrap();
    assert_eq!((seen.under_way, seen.waiting), (1, 0));

    std::fs::write(place.join("a.csv.done"), "").unwrap();
    assert_eq!(exchange::tick(&house.app).await.unwrap(), 1);
    let file = newest(&house, &provider, &view).await;
    assert_eq!(file.state, FileState::Agreed, "{file:?}");
    assert_eq!(
        (file.sender.rows, file.receiver.rows, file.landed, file.quarantined),
        (Some(2), Some(2), 2, 0)
    );
    assert_eq!(file.receiver.sha256, Some(sha256_hex(ROWS.as_bytes())));
    assert_eq!(count(&house, "firms").await, 2);
    let given = receipt(&place, "a.csv");
    assert_eq!(
        (given.outcome.as_str(), given.sender.rows, given.receiver.rows),
        ("agreed", Some(2), Some(2))
    );
    let run =
        app::collection::run(&house.app, &provider, file.run.as_deref().unwrap()).await.unwrap();
    assert_eq!((run.channel.as_str(), run.read), ("exchange", 2));
    let left = names(&place);
    let day = format!("archive/{}", &file.archived.clone().unwrap()["archive/".len()..]);
    assert!(day.starts_with("archive/2026/03/"), "{day}");
    assert_eq!(
        left,
        [
            day.clone(),
            format!("{day}.done"),
            format!("{day}.manifest.json"),
            "notes.txt".into(),
            "receipts/a.csv.receipt.json".into()
        ]
    );

    // The same file delivered again: recognised and told, nothing lands twice.
    for end in ["", ".done", ".manifest.json"] {
        std::fs::copy(place.join(format!("{day}{end}")), place.join(format!("a.csv{end}")))
            .unwrap();
    }
    assert_eq!(exchange::tick(&house.app).await.unwrap(), 1);
    let again = newest(&house, &provider, &view).await;
    assert_eq!(again.state, FileState::Repeated, "{again:?}");
    assert!(!again.zh.is_empty() && receipt(&place, "a.csv").outcome == "repeated");
    assert_eq!(count(&house, "firms").await, 2);
    assert_eq!(exchange::tick(&house.app).await.unwrap(), 0, "nothing is taken twice");

    // Strangers know of nothing, and every change is on record.
    let stranger = house.person("stranger").await;
    for done in [
        exchange::get(&house.app, &stranger, &view.exchange.id).await.map(|_| ()),
        exchange::run(&house.app, &stranger, &view.exchange.id).await.map(|_| ()),
        exchange::remove(&house.app, &stranger, &view.exchange.id).await,
        exchange::key(&house.app, &provider, &view.exchange.id).await.map(|_| ()),
    ] {
        assert_eq!(done.unwrap_err().code(), Code::NotFound);
    }
    assert!(exchange::create(&house.app, &stranger, incoming(&place, "firms")).await.is_err());
}

/// A wrong checksum, a wrong count, misfits, a fault in the manifest: each told with both numbers, nothing lost.
async fn what_differs_is_refused_or_told_with_both_numbers(house: House) {
    let provider = house.person("provider").await;
    house.publish(draft("firms")).await;
    let place = folder(&house, "in");
    let new =
        ExchangeNew { completeness: Some(Completeness::Manifest), ..incoming(&place, "firms") };
    let view = exchange::create(&house.app, &provider, new).await.unwrap();
    let deliver = |name: &str, text: &str, said: &str| {
        std::fs::write(place.join(name), text).unwrap();
        std::fs::write(place.join(format!("{name}.manifest.json")), said).unwrap();
    };
    // Altered under way.
    let altered = ROWS.replace('甲', "丙");
    deliver("b.csv", &altered, &manifest("b.csv", ROWS, 2));
    exchange::tick(&house.app).await.unwrap();
    let file = newest(&house, &provider, &view).await;
    assert_eq!(file.state, FileState::Failed);
    assert!(
        file.zh.contains(&sha256_hex(ROWS.as_bytes()))
            && file.zh.contains(&sha256_hex(altered.as_bytes())),
        "{}",
        file.zh
    );
    assert_eq!(count(&house, "firms").await, 0);
    let kept = file.archived.clone().unwrap();
    assert!(kept.starts_with("failed/"));
    let reason = std::fs::read_to_string(place.join(format!("{kept}.reason.txt"))).unwrap();
    assert!(reason.contains("发送方") && reason.contains("sender"), "{reason}");
    assert_eq!(receipt(&place, "b.csv").outcome, "failed");
    let told = exchange::incidents(&house.app, &provider, &view.exchange.id, None, 10)
        .await
        .unwrap()
        .items;
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].zh.contains("b.csv") && told[0].open);

    // Mended in place and handed in again.
    std::fs::write(place.join(&kept), ROWS).unwrap();
    exchange::retry(&house.app, &provider, &view.exchange.id, &file.id).await.unwrap();
    exchange::tick(&house.app).await.unwrap();
    let all = files(&house, &provider, &view).await;
    assert_eq!((all[0].state, all[1].state), (FileState::Agreed, FileState::Retried));

    // One row less than stated: it lands, and both numbers are told.
    deliver(
        "c.csv",
        ROWS,
        &serde_json::json!({ "rows": 3, "sm3": sm3_hex(ROWS.as_bytes()) }).to_string(),
    );
    exchange::tick(&house.app).await.unwrap();
    let file = newest(&house, &provider, &view).await;
    assert_eq!(
        (file.state, file.sender.rows, file.receiver.rows),
        (FileState::Differs, Some(3), Some(2))
    );
    assert!(file.en.contains("sender 3") && file.en.contains("receiver 2"), "{}", file.en);

    // Misfits go to quarantine; read is still what was sent.
    let misfit = format!("{ROWS}3,丁,x,2026-01-03\n");
    deliver("d.csv", &misfit, &manifest("d.csv", &misfit, 3));
    exchange::tick(&house.app).await.unwrap();
    let file = newest(&house, &provider, &view).await;
    assert_eq!(
        (file.state, file.receiver.rows, file.landed, file.quarantined),
        (FileState::Agreed, Some(3), 2, 1)
    );

    // A manifest that cannot be read is told; what does not look like the entry is refused.
    deliver("e.csv", ROWS, "{");
    deliver("f.csv", "x,y\n1,2\n", &manifest("f.csv", "x,y\n1,2\n", 1));
    deliver("g.csv", &ROWS[..30], &manifest("g.csv", ROWS, 2));
    exchange::tick(&house.app).await.unwrap();
    let all = files(&house, &provider, &view).await;
    let stand: Vec<_> = all[..3].iter().map(|f| (f.path.as_str(), f.state)).collect();
    let (seen, failed) = (FileState::Seen, FileState::Failed);
    assert_eq!(stand, [("g.csv", seen), ("f.csv", failed), ("e.csv", seen)]);
    assert!(all[0].zh.contains("等待写完") && all[2].zh.contains("清单"), "{all:?}");
    // A manifest may be half written, but not for ever; a file that is written to its end is taken.
    house.clock.forward(TimeDelta::seconds(130));
    std::fs::write(place.join("g.csv"), ROWS).unwrap();
    exchange::tick(&house.app).await.unwrap();
    let all = files(&house, &provider, &view).await;
    let stand: Vec<_> = all[..3].iter().map(|f| f.state).collect();
    assert_eq!(stand, [FileState::Agreed, failed, failed], "{all:?}");
    let view = exchange::get(&house.app, &provider, &view.exchange.id).await.unwrap();
    assert_eq!((view.under_way, view.waiting), (0, 3));
}

/// By quiet time: a file that still changes is left alone; zip as sniffed; a folder that goes away is told and comes back.
async fn a_file_that_still_changes_is_left_alone(house: House) {
    let provider = house.person("provider").await;
    house.publish(draft("firms")).await;
    let place = folder(&house, "in");
    let new = ExchangeNew {
        completeness: Some(Completeness::Quiet),
        quiet_seconds: Some(60),
        pattern: "**/*.csv*".into(),
        ..incoming(&place, "firms")
    };
    let view = exchange::create(&house.app, &provider, new).await.unwrap();
    std::fs::create_dir_all(place.join("day")).unwrap();
    std::fs::write(place.join("day/a.csv"), &ROWS[..30]).unwrap();
    exchange::tick(&house.app).await.unwrap();
    house.clock.forward(TimeDelta::seconds(50));
    std::fs::write(place.join("day/a.csv"), ROWS).unwrap();
    exchange::tick(&house.app).await.unwrap();
    house.clock.forward(TimeDelta::seconds(50));
    assert_eq!(exchange::tick(&house.app).await.unwrap(), 0, "it changed fifty seconds ago");
    house.clock.forward(TimeDelta::seconds(20));
    assert_eq!(exchange::tick(&house.app).await.unwrap(), 1);
    let file = newest(&house, &provider, &view).await;
    assert_eq!((file.state, file.receiver.rows), (FileState::Received, Some(2)), "{file:?}");

    // Taken back before it was whole: forgotten.
    std::fs::write(place.join("gone.csv"), "x").unwrap();
    exchange::tick(&house.app).await.unwrap();
    std::fs::remove_file(place.join("gone.csv")).unwrap();
    exchange::tick(&house.app).await.unwrap();
    assert_eq!(files(&house, &provider, &view).await.len(), 1);

    let away = house.folder().join("exchange/away");
    std::fs::rename(&place, &away).unwrap();
    let told = exchange::run(&house.app, &provider, &view.exchange.id).await.unwrap_err();
    assert_eq!(told.code(), Code::SourceUnavailable);
    let shown = exchange::get(&house.app, &provider, &view.exchange.id).await.unwrap();
    assert!(shown.figures.zh.contains("不存在"), "{:?}", shown.figures);
    std::fs::rename(&away, &place).unwrap();
    exchange::run(&house.app, &provider, &view.exchange.id).await.unwrap();
    assert!(
        exchange::get(&house.app, &provider, &view.exchange.id)
            .await
            .unwrap()
            .figures
            .zh
            .is_empty()
    );
}

/// Encrypted by SM4-GCM and signed by SM2: taken only when both hold.
async fn encrypted_and_signed_files(house: House) {
    let provider = house.person("provider").await;
    house.publish(draft("firms")).await;
    let place = folder(&house, "in");
    let pair = guard::sm2::KeyPair::generate(guard::sm2::DEFAULT_IDENTITY).unwrap();
    let new = ExchangeNew {
        cipher: Some(ExchangeCipher::Sm4),
        signature: Some(ExchangeSignature::Sm2),
        signer: pair.public_hex(),
        pattern: "*.csv.sm4".into(),
        ..incoming(&place, "firms")
    };
    let view = exchange::create(&house.app, &provider, new).await.unwrap();
    let key = exchange::key(&house.app, &provider, &view.exchange.id).await.unwrap();
    let sealed = guard::envelope::seal(&key, ROWS.as_bytes()).unwrap();
    let deliver = |name: &str, text: &str, signed: &str| {
        std::fs::write(place.join(name), text).unwrap();
        std::fs::write(place.join(format!("{name}.done")), "").unwrap();
        if !signed.is_empty() {
            std::fs::write(place.join(format!("{name}.sm2sig")), signed).unwrap();
        }
    };
    let good = pair.sign(sm3_hex(sealed.as_bytes()).as_bytes()).unwrap();
    deliver("a.csv.sm4", &sealed, "");
    exchange::tick(&house.app).await.unwrap();
    assert_eq!(
        newest(&house, &provider, &view).await.state,
        FileState::Seen,
        "its signature is missing"
    );
    deliver("a.csv.sm4", &sealed, &good);
    exchange::tick(&house.app).await.unwrap();
    let file = newest(&house, &provider, &view).await;
    assert_eq!((file.state, file.landed), (FileState::Received, 2), "{file:?}");
    let another = guard::sm2::KeyPair::generate(guard::sm2::DEFAULT_IDENTITY).unwrap();
    deliver("b.csv.sm4", &sealed, &another.sign(sm3_hex(sealed.as_bytes()).as_bytes()).unwrap());
    let plain = pair.sign(sm3_hex(ROWS.as_bytes()).as_bytes()).unwrap();
    deliver("c.csv.sm4", ROWS, &plain);
    exchange::tick(&house.app).await.unwrap();
    let all = files(&house, &provider, &view).await;
    assert!(all[1].zh.contains("签名") && all[0].zh.contains("解密"), "{all:?}");
    let bytes = std::fs::read_dir(house.folder().join("inbox")).unwrap().count();
    assert_eq!(bytes, 0, "nothing is left in the inbox");
}

pub(crate) async fn approved(house: &House, application: &str, entry: &str) -> String {
    let new = RequestNew {
        entry: entry.into(),
        application: application.into(),
        items: vec!["sfzh".into(), "xm".into()],
        scene: "核验办事人身份".into(),
        legal_basis: "部门职责".into(),
        period: Period::Days { days: 30 },
        calls_per_day: 10,
        area_range: String::new(),
        row_range: Default::default(),
        by_sql: false,
    };
    let consumer = house.person("consumer").await;
    let request = app::sharing::apply(&house.app, &consumer, new).await.unwrap();
    for who in ["provider", "authority"] {
        let op = house.person(who).await;
        app::sharing::review(&house.app, &op, &request.id, true, "").await.unwrap();
    }
    request.id
}

/// Rows go out only by an approved application, masked, recorded; the receiver's receipt is compared, a missing one told.
async fn rows_are_sent_against_a_grant_and_the_receipt_is_compared(house: House) {
    const PEOPLE: &str = "sfzh,xm,sjh,csrq,region_code\n\
        11010519491231002X,张三丰,13800138000,1949-12-31,330106\n\
        440524188001010014,李四,13900139000,1880-01-01,330200\n";
    let provider = house.person("provider").await;
    let (_, secret) = house.application("核验应用").await;
    house.publish(testkit::person_draft("renkou")).await;
    house.collect("renkou", "people.csv", PEOPLE.as_bytes(), SyncMode::Full).await.unwrap();
    let place = folder(&house, "out");
    let new = ExchangeNew {
        name: "人口发送".into(),
        way: Some(ExchangeWay::Out),
        peer: "省政务服务应用组".into(),
        entry: "renkou".into(),
        place: place.to_str().unwrap().into(),
        request: "no-such".into(),
        signature: Some(ExchangeSignature::Sm2),
        ..ExchangeNew::default()
    };
    let refused = exchange::create(&house.app, &provider, new.clone()).await.unwrap_err();
    assert_eq!(refused.code(), Code::NoGrant);
    let request = approved(&house, &secret.application.id, "renkou").await;
    let view =
        exchange::create(&house.app, &provider, ExchangeNew { request: request.clone(), ..new })
            .await
            .unwrap();
    assert_eq!(exchange::tick(&house.app).await.unwrap(), 1);
    let file = newest(&house, &provider, &view).await;
    assert_eq!((file.state, file.sender.rows), (FileState::Sent, Some(2)), "{file:?}");
    assert_eq!(file.due.as_deref(), Some("2026-03-05"), "three working days after 2 March");
    let text = std::fs::read_to_string(place.join(&file.path)).unwrap();
    assert!(
        text.starts_with("sfzh,xm\n")
            && !text.contains("张三丰")
            && !text.contains("11010519491231002X"),
        "{text}"
    );
    assert!(!text.contains("13800138000"), "an item that was not applied for stays");
    assert!(place.join(format!("{}.manifest.json", file.path)).exists());
    assert!(place.join(format!("{}.done", file.path)).exists());
    // The receiver checks the signature by the key that the exchange shows.
    let signature = std::fs::read_to_string(place.join(format!("{}.sm2sig", file.path))).unwrap();
    let shown = &view.exchange.signer;
    assert!(guard::envelope::sm2_verifies(shown, &signature, &sm3_hex(text.as_bytes())));
    assert!(!guard::envelope::sm2_verifies(shown, &signature, &sm3_hex(b"other")));
    let filter =
        model::audit::AuditFilter { action: Some("exchange.send".into()), ..Default::default() };
    let auditor = house.person("auditor").await;
    let seen = app::audit::list(&house.app, &auditor, &filter).await.unwrap();
    assert_eq!(
        (seen.len(), seen[0].event.rows, seen[0].event.request.as_str()),
        (1, 2, request.as_str())
    );
    assert!(seen[0].event.masks.contains("sfzh="), "{seen:?}");
    assert_eq!(exchange::tick(&house.app).await.unwrap(), 0, "a version is sent once");

    // No receipt in time: told once, and still waited for.
    house.clock.forward(TimeDelta::days(5));
    exchange::tick(&house.app).await.unwrap();
    exchange::tick(&house.app).await.unwrap();
    assert_eq!(newest(&house, &provider, &view).await.state, FileState::Overdue);
    let told = exchange::incidents(&house.app, &provider, &view.exchange.id, None, 10)
        .await
        .unwrap()
        .items;
    assert_eq!(told.len(), 1, "{told:?}");

    // The other side is a platform like ours, on the same place: its receipt comes back and agrees.
    let other = House::new().await;
    let clerk = other.person("provider").await;
    let mut entry = testkit::person_draft("laiwen");
    entry.items.truncate(2);
    for item in &mut entry.items {
        item.format = String::new();
        item.primary = false;
        item.lookup = item.identifier == "xm";
    }
    other.publish(entry).await;
    let theirs = folder(&other, "in");
    for name in names(&place) {
        std::fs::copy(place.join(&name), theirs.join(&name)).unwrap();
    }
    exchange::create(&other.app, &clerk, incoming(&theirs, "laiwen")).await.unwrap();
    assert_eq!(exchange::tick(&other.app).await.unwrap(), 1);
    let back = receipt(&theirs, &file.path);
    assert_eq!(back.outcome, "agreed", "{back:?}");
    std::fs::create_dir_all(place.join("receipts")).unwrap();
    let name = format!("receipts/{}.receipt.json", file.path);
    std::fs::copy(theirs.join(&name), place.join(&name)).unwrap();
    exchange::tick(&house.app).await.unwrap();
    let file = newest(&house, &provider, &view).await;
    assert_eq!((file.state, file.receiver.rows), (FileState::Agreed, Some(2)), "{file:?}");

    // A receipt that says something else is an incident with both numbers.
    let more = format!("{PEOPLE}110101199003070011,王五,13700137000,1990-03-07,330100\n");
    house.collect("renkou", "more.csv", more.as_bytes(), SyncMode::Full).await.unwrap();
    exchange::tick(&house.app).await.unwrap();
    let file = newest(&house, &provider, &view).await;
    assert_eq!((file.state, file.sender.rows), (FileState::Sent, Some(3)));
    let mut wrong = back;
    wrong.receiver = file.sender.clone();
    wrong.receiver.rows = Some(1);
    std::fs::write(
        place.join(format!("receipts/{}.receipt.json", file.path)),
        serde_json::to_vec(&wrong).unwrap(),
    )
    .unwrap();
    exchange::tick(&house.app).await.unwrap();
    let file = newest(&house, &provider, &view).await;
    assert_eq!(file.state, FileState::Differs);
    assert!(file.zh.contains("sender 3") && file.zh.contains("receiver 1"), "{}", file.zh);

    // The agreement is revoked: nothing more goes out, and the exchange says why.
    app::sharing::revoke(&house.app, &provider, &request, "不再需要").await.unwrap();
    house.collect("renkou", "again.csv", PEOPLE.as_bytes(), SyncMode::Full).await.unwrap();
    let stopped = exchange::run(&house.app, &provider, &view.exchange.id).await.unwrap_err();
    assert!(stopped.zh().contains("共享"), "{stopped}");
    assert_eq!(files(&house, &provider, &view).await.len(), 2);
}

/// What is filled in wrong is told by field; a place outside the operator's folders is refused.
async fn the_form_names_what_is_wrong(house: House) {
    let provider = house.person("provider").await;
    house.publish(draft("firms")).await;
    let place = folder(&house, "in");
    let field = async |new: ExchangeNew| {
        let error = exchange::create(&house.app, &provider, new).await.unwrap_err();
        error.fields().first().map(|f| f.field.clone()).unwrap_or_else(|| error.zh().to_owned())
    };
    let good = || incoming(&place, "firms");
    assert_eq!(field(ExchangeNew { name: " ".into(), ..good() }).await, "name");
    assert_eq!(field(ExchangeNew { pattern: "[".into(), ..good() }).await, "pattern");
    assert_eq!(field(ExchangeNew { place: "/etc".into(), ..good() }).await, "place");
    assert_eq!(field(ExchangeNew { place: "s3://b/x/".into(), ..good() }).await, "place");
    assert_eq!(field(ExchangeNew { key: "12".into(), ..good() }).await, "key");
    let quiet =
        ExchangeNew { completeness: Some(Completeness::Quiet), quiet_seconds: Some(1), ..good() };
    assert_eq!(field(quiet).await, "quiet_seconds");
    let signed =
        ExchangeNew { signature: Some(ExchangeSignature::Minisign), signer: "x".into(), ..good() };
    assert_eq!(field(signed).await, "signer");
    assert_eq!(field(ExchangeNew { way: Some(ExchangeWay::Out), ..good() }).await, "request");
    exchange::create(&house.app, &provider, good()).await.unwrap();
    let twice = exchange::create(&house.app, &provider, good()).await.unwrap_err();
    assert_eq!(twice.code(), Code::Duplicate);
}

crate::on_both!(
    a_file_is_taken_when_it_is_whole_and_both_sides_agree,
    what_differs_is_refused_or_told_with_both_numbers,
    a_file_that_still_changes_is_left_alone,
    encrypted_and_signed_files,
    rows_are_sent_against_a_grant_and_the_receipt_is_compared,
    the_form_names_what_is_wrong,
);
