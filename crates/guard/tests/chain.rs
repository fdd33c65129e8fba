//! The audit chain: canonical form, and every kind of break found and named.

use guard::chain::{self, ChainVerifier, GENESIS};
use model::audit::{AuditEvent, AuditFault, AuditRecord, AuditVerdict};

fn event(n: i64) -> AuditEvent {
    AuditEvent {
        event_id: format!("e{n}"),
        ts: "2026-11-23T08:00:00.000Z".into(),
        actor: "u1".into(),
        actor_name: "张三".into(),
        action: "row.query".into(),
        object: "legal_person".into(),
        rows: u64::try_from(n).unwrap(),
        result: "ok".into(),
        ..AuditEvent::default()
    }
}

fn build(n: i64) -> Vec<AuditRecord> {
    let mut head = GENESIS.to_owned();
    (1..=n)
        .map(|seq| {
            let record = chain::link(&head, seq, event(seq));
            head.clone_from(&record.hash);
            record
        })
        .collect()
}

fn verdict(records: &[AuditRecord], anchor: Option<(i64, &str)>) -> AuditVerdict {
    let mut verifier = ChainVerifier::new();
    for record in records {
        if verifier.feed(record).is_err() {
            break;
        }
    }
    verifier.finish(anchor)
}

fn fault(records: &[AuditRecord]) -> AuditFault {
    verdict(records, None).fault.expect("a fault")
}

#[track_caller]
fn check(records: &[AuditRecord], kind: &str, seq: i64) {
    let fault = fault(records);
    assert_eq!((fault.kind.as_str(), fault.seq), (kind, seq), "{} / {}", fault.en, fault.zh);
    assert!(fault.zh.contains(&seq.to_string()) && fault.en.contains(&seq.to_string()));
}

/// The expected hash was computed independently with OpenSSL's SM3.
#[test]
fn canonical_form_is_fixed() {
    let mut e = event(7);
    e.reason = "a \"b\" \\ c\nd\u{1}".into();
    expect_test::expect![[r#"{"seq":7,"event_id":"e7","ts":"2026-11-23T08:00:00.000Z","actor":"u1","actor_name":"张三","action":"row.query","object":"legal_person","rows":7,"result":"ok","reason":"a \"b\" \\ c\u000ad\u0001"}"#]]
    .assert_eq(&chain::canonical(7, &e));
    let json: serde_json::Value = serde_json::from_str(&chain::canonical(7, &e)).unwrap();
    assert_eq!(json["reason"], e.reason);
    expect_test::expect!["9a87515264532d4ab876536b935545c7327b00fa264547b1a77da77037c8d015"]
        .assert_eq(&chain::digest(GENESIS, 7, &e));
}

#[test]
fn every_field_is_bound_by_the_hash() {
    let json = serde_json::to_value(AuditEvent::default()).unwrap();
    let plain = chain::digest(GENESIS, 1, &AuditEvent::default());
    for field in json.as_object().unwrap().keys() {
        let mut other = json.clone();
        other[field] = if other[field].is_string() { "x".into() } else { 1.into() };
        let other: AuditEvent = serde_json::from_value(other).unwrap();
        assert_ne!(chain::digest(GENESIS, 1, &other), plain, "{field}");
    }
    assert_ne!(chain::digest(GENESIS, 2, &AuditEvent::default()), plain);
    assert_ne!(chain::digest(&"1".repeat(64), 1, &AuditEvent::default()), plain);
}

#[test]
fn an_intact_chain_passes_whole_and_in_parts() {
    let records = build(20);
    let v = verdict(&records, Some((20, &records[19].hash)));
    assert!(v.intact && v.records == 20 && v.head == records[19].hash, "{v:?}");
    let mut part = ChainVerifier::after(10, &records[9].hash);
    records[10..].iter().for_each(|r| part.feed(r).unwrap());
    assert!(part.finish(None).intact);
    assert!(ChainVerifier::new().finish(None).intact, "an empty chain is intact");
}

#[test]
fn an_altered_record_is_named() {
    for at in [0, 7, 19] {
        let mut records = build(20);
        records[at].event.rows += 1;
        check(&records, "altered", records[at].seq);
        let v = verdict(&records, None);
        assert_eq!(v.records, u64::try_from(at).unwrap());
    }
    let mut records = build(20);
    records[4].hash.replace_range(..1, "g");
    check(&records, "altered", 5);
}

#[test]
fn a_record_altered_with_its_hash_made_anew_is_named() {
    let mut records = build(20);
    let mut forged = records[7].event.clone();
    forged.actor = "someone else".into();
    records[7] = chain::link(&records[7].prev_hash.clone(), 8, forged);
    check(&records, "altered", 8);
}

#[test]
fn removed_records_are_named() {
    let mut records = build(20);
    records.remove(7);
    check(&records, "removed", 8);
    let mut records = build(20);
    records.drain(3..6);
    check(&records, "removed", 4);
    assert!(fault(&records).en.contains("4 to 6"));
    let mut records = build(20);
    records.remove(0);
    check(&records, "removed", 1);
    let mut records = build(600);
    records.remove(7);
    check(&records, "removed", 8);
}

#[test]
fn records_cut_off_the_end_are_noticed_by_the_anchor() {
    let records = build(20);
    let anchor = Some((20, records[19].hash.as_str()));
    let v = verdict(&records[..18], anchor);
    let fault = v.fault.unwrap();
    assert_eq!((fault.kind.as_str(), fault.seq), ("removed", 19));
    assert!(verdict(&records[..18], None).intact, "not noticeable without an anchor");
    let other = verdict(&records, Some((20, GENESIS))).fault.unwrap();
    assert_eq!((other.kind.as_str(), other.seq), ("altered", 20));
}

#[test]
fn reordered_records_are_named() {
    // Lines of an export exchanged.
    let mut records = build(20);
    records.swap(6, 7);
    check(&records, "reordered", 7);
    // Moved far back.
    let mut records = build(20);
    let moved = records.remove(2);
    records.push(moved);
    check(&records, "reordered", 3);
    // Twice there.
    let mut records = build(20);
    records.insert(10, records[4].clone());
    check(&records, "reordered", 5);
    // Numbers exchanged in the store, read back by number.
    let mut records = build(20);
    records[6].seq = 8;
    records[7].seq = 7;
    records.sort_by_key(|r| r.seq);
    check(&records, "reordered", 8);
}

#[test]
fn the_first_fault_stays() {
    let mut records = build(9);
    records[3].event.rows = 99;
    let mut verifier = ChainVerifier::new();
    let faults: Vec<i64> =
        records.iter().filter_map(|r| verifier.feed(r).err()).map(|f| f.seq).collect();
    assert_eq!(faults, [4; 6]);
}

#[test]
fn the_text_that_was_hashed_is_what_is_kept_and_reads_back() {
    let mut text = "what stood there".to_owned();
    let hash = chain::link_text(&mut text, GENESIS, 7, &event(3));
    let record = chain::link(GENESIS, 7, event(3));
    assert_eq!(hash, record.hash);
    assert_eq!(text, chain::canonical(7, &event(3)));
    assert_eq!(serde_json::from_str::<AuditEvent>(&text).unwrap(), record.event);
}
