//! Evidence: seals over the audit chain, proofs of records, and what a chain that was rewritten as a whole cannot hide.

use std::path::Path;

use app::evidence::{self, Statement};
use guard::chain;
use guard::evidence::PublicKey;
use model::audit::{AuditEvent, AuditFilter};
use model::restricted::SigningAlgorithm;
use model::{Code, Op};
use testkit::House;

use crate::on_both;

on_both!(records_are_sealed_and_proved);

fn keys(house: &House) -> Vec<PublicKey> {
    evidence::keys(&house.app).iter().map(|key| key.read().unwrap()).collect()
}

async fn sealed(house: &House) -> u64 {
    evidence::seal(&house.app, &Op::system(house.app.now())).await.unwrap()
}

async fn records_are_sealed_and_proved(house: House) {
    let app = &house.app;
    let auditor = house.person("auditor").await;
    house.publish(testkit::draft("lake_water")).await;
    let first = sealed(&house).await;
    assert!(first > 10, "{first}");
    assert_eq!(sealed(&house).await, 0, "nothing new, no seal");
    let e = evidence::proof(app, &auditor, i64::try_from(first).unwrap() + 1).await.unwrap_err();
    assert_eq!(e.code(), Code::NotFound, "not sealed yet");
    house.publish(testkit::draft("lake_air")).await;
    assert!(sealed(&house).await > 1);

    let seals = evidence::seals(app, &auditor, None, 0).await.unwrap().items;
    let [newer, older] = seals.as_slice() else { panic!("{seals:?}") };
    assert_eq!((older.seal.number, older.seal.first, older.seal.count()), (1, 1, first));
    assert_eq!((newer.seal.first, &newer.seal.previous), (older.seal.last + 1, &older.seal.root));
    let page = evidence::seals(app, &auditor, Some(2), 1).await.unwrap();
    assert_eq!((page.items.len(), page.next), (1, None));
    assert_eq!(
        evidence::read(&newer.statement, &keys(&house)).unwrap(),
        Statement::Seal(newer.seal.clone())
    );

    // Records of both seals, first and last ones too, are proved without the platform; altered ones are not.
    for seq in [1, 2, older.seal.last, newer.seal.first, newer.seal.last] {
        let proof = evidence::proof(app, &auditor, seq).await.unwrap();
        let seal = evidence::read_proof(&proof, &keys(&house)).unwrap();
        assert!(proof.record.seq == seq && (seal.first..=seal.last).contains(&seq));
        let mut other = proof.clone();
        other.record.event.rows += 1;
        assert!(evidence::read_proof(&other, &keys(&house)).is_err());
        let mut other = proof;
        other.record.seq = if seq == seal.first { seq + 1 } else { seal.first };
        assert!(evidence::read_proof(&other, &keys(&house)).is_err());
    }
    assert!(app::audit::verify(app, &auditor).await.unwrap().intact);

    for who in ["provider", "consumer", "citizen", "admin"] {
        let op = house.person(who).await;
        assert!(evidence::seals(app, &op, None, 0).await.is_err(), "{who}");
        assert!(evidence::proof(app, &op, 1).await.is_err(), "{who}");
    }
}

/// What is signed by may be changed at any time: what was signed before stands as before.
#[tokio::test]
async fn seals_of_both_algorithms_stand_over_one_chain() {
    let mut house = House::new().await;
    assert_eq!(evidence::signing(&house.app), SigningAlgorithm::Sm2);
    house.publish(testkit::draft("lake_water")).await;
    sealed(&house).await;
    house.signs_by(SigningAlgorithm::Ed25519);
    house.publish(testkit::draft("lake_air")).await;
    sealed(&house).await;

    let (app, keys) = (&house.app, keys(&house));
    let auditor = house.person("auditor").await;
    let seals = evidence::seals(app, &auditor, None, 0).await.unwrap().items;
    let by: Vec<SigningAlgorithm> =
        seals.iter().map(|one| evidence::read_signed(&one.statement, &keys).unwrap().1).collect();
    assert_eq!(by, [SigningAlgorithm::Ed25519, SigningAlgorithm::Sm2]);
    assert!(app::audit::verify(app, &auditor).await.unwrap().intact);
    for one in &seals {
        let proof = evidence::proof(app, &auditor, one.seal.first).await.unwrap();
        assert_eq!(evidence::read_proof(&proof, &keys).unwrap(), one.seal);
        let reads =
            |key: &PublicKey| evidence::read_proof(&proof, std::slice::from_ref(key)).is_ok();
        let (own, other): (Vec<PublicKey>, Vec<PublicKey>) = keys.iter().cloned().partition(reads);
        assert_eq!((own.len(), other.len()), (1, 1), "one key of the two");
        let e = evidence::read_proof(&proof, &other).unwrap_err();
        assert!(e.en().contains("no public key"), "{e}");
    }
}

/// Somebody who may write the files takes a record out, and links and heads everything behind it anew.
fn rewrite(folder: &Path) {
    let db = rusqlite::Connection::open(folder.join("audit.db")).unwrap();
    let bodies: Vec<String> = db
        .prepare("SELECT body FROM audit ORDER BY seq")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    let total = bodies.len();
    let (mut head, mut seq) = (chain::GENESIS.to_owned(), 0);
    for (n, body) in bodies.into_iter().enumerate() {
        if n == 4 {
            continue;
        }
        let event: AuditEvent = serde_json::from_str(&body).unwrap();
        seq += 1;
        let record = chain::link(&head, seq, event);
        let e = &record.event;
        let told =
            [&e.ts, &e.actor, &e.action, &e.object, &e.result, &record.prev_hash, &record.hash];
        db.execute(
            "UPDATE audit SET ts = ?1, actor = ?2, action = ?3, object = ?4, result = ?5, prev_hash = ?6, hash = ?7, body = ?8 WHERE seq = ?9",
            rusqlite::params![told[0], told[1], told[2], told[3], told[4], told[5], told[6], body, seq],
        )
        .unwrap();
        head = record.hash;
    }
    assert_eq!(
        db.execute("DELETE FROM audit WHERE seq > ?1", [seq]).unwrap() + seq as usize,
        total
    );
    std::fs::write(folder.join("audit.head"), format!("{seq:020} {head}\n")).unwrap();
}

#[tokio::test]
async fn a_stretch_with_a_record_missing_is_not_sealed() {
    let folder = tempfile::tempdir().unwrap();
    let house = House::at(folder.path()).await;
    house.publish(testkit::draft("lake_water")).await;
    house.app.store.close().await;
    drop(house);
    let db = rusqlite::Connection::open(folder.path().join("store").join("audit.db")).unwrap();
    assert_eq!(db.execute("DELETE FROM audit WHERE seq = 3", []).unwrap(), 1);
    drop(db);
    let house = House::at(folder.path()).await;
    let refused = evidence::seal(&house.app, &Op::system(house.app.now())).await.unwrap_err();
    assert_eq!(refused.code(), Code::AuditUnavailable);
    assert!(refused.en().contains("record 3 "), "{refused}");
    house.app.store.close().await;
}

#[tokio::test]
async fn a_chain_rewritten_as_a_whole_is_told_by_its_seals() {
    for seal in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let house = House::at(folder.path()).await;
        house.publish(testkit::draft("lake_water")).await;
        if seal {
            sealed(&house).await;
        }
        house.app.store.close().await;
        drop(house);
        rewrite(&folder.path().join("store"));
        let house = House::at(folder.path()).await;
        let auditor = house.person("auditor").await;
        let verdict = app::audit::verify(&house.app, &auditor).await.unwrap();
        // Without a seal nothing tells of it: that is what seals are for.
        assert_eq!(verdict.intact, !seal, "{verdict:?}");
        if seal {
            let fault = verdict.fault.unwrap();
            assert!(fault.en.contains("sealed") && !fault.zh.is_empty(), "{fault:?}");
            let e = evidence::proof(&house.app, &auditor, 3).await.unwrap_err();
            assert_eq!(e.code(), Code::AuditUnavailable);
            let again = evidence::seal(&house.app, &Op::system(house.app.now())).await;
            assert!(again.is_err(), "what does not go on from the last seal is not sealed");
        }
        let filter = AuditFilter { limit: 3, ..AuditFilter::default() };
        assert!(!app::audit::list(&house.app, &auditor, &filter).await.unwrap().is_empty());
        house.app.store.close().await;
    }
}
