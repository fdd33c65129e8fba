//! Time stamps over seals, by a real authority (`openssl ts`): what is taken for one, that sealing does not wait for it, and that a
//! stamp which is not over its seal is told.

use std::path::Path;

use app::evidence;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use guard::evidence::PublicKey;
use guard::timestamp::{self, Authorities, Stamped};
use model::dispatch::Job;
use model::evidence::{Sealed, Stamp};
use model::{Code, Op};
use testkit::{House, Tsa, TsaMood, TsaSigner};

use crate::on_both;

on_both!(seals_are_stamped_when_the_authority_answers);

/// A token over a text, asked for and taken as the platform does.
fn token(tsa: &Tsa, text: &str, signer: TsaSigner) -> model::Result<(Vec<u8>, Stamped)> {
    let asked = timestamp::ask(text, guard::keys::random().unwrap()).unwrap();
    timestamp::answered(&tsa.reply(&asked.query, signer), &asked, text, &trust(tsa))
}

fn trust(tsa: &Tsa) -> Authorities {
    Authorities::from_pem(&tsa.authorities()).unwrap()
}

#[tokio::test]
async fn only_a_stamp_of_a_trusted_authority_over_this_text_is_taken() {
    let (tsa, other) = (Tsa::start().await, Tsa::start().await);
    let (ours, theirs) = (trust(&tsa), trust(&other));
    for signer in [TsaSigner::Rsa, TsaSigner::Below] {
        let (token, stamped) = token(&tsa, "a seal", signer).unwrap();
        assert!(stamped.authority.contains("Rehearsal") && stamped.policy == "1.2.3.4.1");
        assert!(tsa.verifies(&token, "a seal"), "OpenSSL takes it, too");
        assert_eq!(timestamp::read(&token, "a seal", &ours).unwrap(), stamped);
        assert_eq!(timestamp::over(&token, "a seal").unwrap(), stamped);
        // Another text, and an authority that is not trusted.
        for e in [timestamp::read(&token, "another", &ours), timestamp::over(&token, "another")] {
            assert!(e.unwrap_err().en().contains("over another text"));
        }
        let e = timestamp::read(&token, "a seal", &theirs).unwrap_err();
        assert!(e.en().contains("none of the authorities") && e.zh().contains("机构"), "{e}");
    }
    // Several may be trusted.
    let both =
        Authorities::from_pem(&format!("{}{}", other.authorities(), tsa.authorities())).unwrap();
    let (token_, stamped) = token(&tsa, "a seal", TsaSigner::Rsa).unwrap();
    assert_eq!(timestamp::read(&token_, "a seal", &both).unwrap(), stamped);

    // Whatever byte is another: it is refused, or says what it said.
    let mut refused = 0;
    for at in 0..token_.len() {
        let mut altered = token_.clone();
        altered[at] ^= 0x41;
        match timestamp::read(&altered, "a seal", &ours) {
            Ok(told) => assert_eq!(told, stamped, "byte {at}"),
            Err(_) => refused += 1,
        }
    }
    assert!(refused * 10 > token_.len() * 9, "{refused} of {}", token_.len());

    // The answer to another question, even over the same text.
    let (first, second) =
        (timestamp::ask("a", [1; 8]).unwrap(), timestamp::ask("a", [2; 8]).unwrap());
    let reply = tsa.reply(&first.query, TsaSigner::Rsa);
    assert!(timestamp::answered(&reply, &first, "a", &ours).is_ok());
    let e = timestamp::answered(&reply, &second, "a", &ours).unwrap_err();
    assert!(e.en().contains("another request"), "{e}");
}

#[tokio::test]
async fn the_certificate_counts_at_the_time_that_is_stamped() {
    let tsa = Tsa::start().await;
    let ours = trust(&tsa);
    let e = token(&tsa, "a seal", TsaSigner::Expired).unwrap_err();
    assert!(e.en().contains("was not valid") && e.zh().contains("有效期"), "{e}");
    // Stamped while it was valid it stays a stamp, though it is valid no more.
    let (honest, stamped) = token(&tsa, "a seal", TsaSigner::Rsa).unwrap();
    let info = tsa.info(&honest);
    let day = stamped.at.format("%Y%m%d%H%M%S").to_string();
    let at = info.windows(day.len()).position(|w| w == day.as_bytes()).unwrap();
    let mut earlier = info.clone();
    earlier[at..at + day.len()].copy_from_slice(b"20200115120000");
    let kept = tsa.signed(&earlier, TsaSigner::Expired);
    let told = timestamp::read(&kept, "a seal", &ours).unwrap();
    assert_eq!(told.at.format("%Y-%m-%d").to_string(), "2020-01-15");
    // One that was made for servers, too, stamps nothing.
    let web = tsa.signed(&info, TsaSigner::Web);
    let e = timestamp::read(&web, "a seal", &ours).unwrap_err();
    assert!(e.en().contains("time stamps alone") && e.zh().contains("专用"), "{e}");
    assert_eq!(timestamp::over(&web, "a seal").unwrap().at, stamped.at);
}

async fn sealed(house: &House) {
    evidence::seal(&house.app, &Op::system(house.app.now())).await.unwrap();
}

async fn stamped(house: &House) -> model::Result<u64> {
    evidence::stamp(&house.app, &Op::system(house.app.now())).await
}

async fn seals(house: &House) -> Vec<Sealed> {
    let auditor = house.person("auditor").await;
    evidence::seals(&house.app, &auditor, None, 0).await.unwrap().items
}

async fn seals_are_stamped_when_the_authority_answers(mut house: House) {
    house.publish(testkit::draft("lake_water")).await;
    // Nobody is named: seals are made, nothing is asked for.
    sealed(&house).await;
    assert!(!evidence::stamping(&house.app) && stamped(&house).await.unwrap() == 0);

    let tsa = Tsa::start().await;
    house.stamped_by(Some(tsa.url()), &tsa.authorities());
    assert!(evidence::stamping(&house.app));
    tsa.be(TsaMood::Down);
    house.publish(testkit::draft("lake_air")).await;
    let admin = house.person("admin").await;
    let run = app::dispatch::run_now(&house.app, &admin, Job::Seals).await.unwrap();
    assert!(run.outcome == "failed" && run.note_zh.contains("时间戳机构"), "{run:?}");
    let without = seals(&house).await;
    assert!(without.len() == 2 && without.iter().all(|one| one.stamp.is_none()), "{without:?}");
    let auditor = house.person("auditor").await;
    assert!(app::audit::verify(&house.app, &auditor).await.unwrap().intact);
    assert!(evidence::proof(&house.app, &auditor, 1).await.unwrap().stamp.is_none());
    assert_eq!(stamped(&house).await.unwrap_err().code(), Code::SourceUnavailable);
    // What is no stamp over the seal is not kept.
    tsa.be(TsaMood::Altering);
    assert!(stamped(&house).await.unwrap_err().en().contains("does not fit"));
    tsa.be(TsaMood::Repeating);
    assert!(stamped(&house).await.unwrap_err().en().contains("another request"));
    assert!(seals(&house).await.iter().all(|one| one.stamp.is_none()));

    // It answers again: every seal gets its own, once.
    tsa.be(TsaMood::Up);
    let run = app::dispatch::run_now(&house.app, &admin, Job::Seals).await.unwrap();
    assert!(run.outcome == "ok" && run.done > 2, "{run:?}");
    assert_eq!(stamped(&house).await.unwrap(), 0);
    let all = seals(&house).await;
    assert_eq!(all.len(), 3);
    let trust = trust(&tsa);
    for one in &all {
        let stamp = one.stamp.clone().unwrap();
        assert_eq!(evidence::read_stamp(&stamp.token, &one.statement, &trust).unwrap(), stamp);
        assert!(tsa.verifies(&evidence::stamp_token(&stamp).unwrap(), &one.statement));
    }
    let e = evidence::read_stamp(&all[0].stamp.clone().unwrap().token, &all[1].statement, &trust);
    assert!(e.unwrap_err().en().contains("over another text"));

    // A proof brings the stamp of its seal, and the page of seals and the walk know them.
    let keys: Vec<PublicKey> =
        evidence::keys(&house.app).iter().map(|key| key.read().unwrap()).collect();
    let proof = evidence::proof(&house.app, &auditor, 1).await.unwrap();
    let seal = evidence::read_proof(&proof, &keys).unwrap();
    let stamp = evidence::read_stamp(proof.stamp.as_ref().unwrap(), &proof.seal, &trust).unwrap();
    let kept = all.iter().find(|one| one.seal.number == seal.number).unwrap();
    assert_eq!(Some(&stamp), kept.stamp.as_ref());
    assert!(app::audit::verify(&house.app, &auditor).await.unwrap().intact);
}

/// Somebody who may write the files puts other stamps in.
fn write(folder: &Path, number: i64, stamp: &Stamp) {
    let db = rusqlite::Connection::open(folder.join("store/control.db")).unwrap();
    let body = serde_json::to_string(stamp).unwrap();
    let done = db.execute(
        "UPDATE seal_stamp SET body = ?1 WHERE number = ?2",
        rusqlite::params![body, number],
    );
    assert_eq!(done.unwrap(), 1);
}

#[tokio::test]
async fn a_stamp_that_is_not_over_its_seal_is_told_by_the_walk() {
    let (tsa, other) = (Tsa::start().await, Tsa::start().await);
    let folder = tempfile::tempdir().unwrap();
    let mut house = House::at(folder.path()).await;
    house.stamped_by(Some(tsa.url()), &tsa.authorities());
    house.publish(testkit::draft("lake_water")).await;
    sealed(&house).await;
    house.publish(testkit::draft("lake_air")).await;
    sealed(&house).await;
    assert_eq!(stamped(&house).await.unwrap(), 2);
    let all = seals(&house).await;
    let [newer, older] = all.as_slice() else { panic!("{all:?}") };
    let (right, wrong) = (older.stamp.clone().unwrap(), newer.stamp.clone().unwrap());
    // Of another authority over the same seal, and the right token under another time.
    let asked = timestamp::ask(&older.statement, [3; 8]).unwrap();
    let reply = other.reply(&asked.query, TsaSigner::Rsa);
    let (foreign, told) =
        timestamp::answered(&reply, &asked, &older.statement, &trust(&other)).unwrap();
    let foreign = Stamp {
        token: BASE64.encode(foreign),
        at: model::op::stamp(told.at),
        authority: told.authority,
        serial: told.serial,
        policy: told.policy,
    };
    let earlier = Stamp { at: "2001-01-01T00:00:00.000Z".into(), ..right.clone() };

    let auditor = house.person("auditor").await;
    for (stamp, en) in [
        (&wrong, Some("over another text")),
        (&foreign, Some("none of the authorities")),
        (&earlier, Some("not what the token says")),
        (&right, None),
    ] {
        write(folder.path(), older.seal.number, stamp);
        let verdict = app::audit::verify(&house.app, &auditor).await.unwrap();
        let fault = verdict.fault.as_ref();
        assert_eq!((verdict.intact, fault.is_some()), (en.is_none(), en.is_some()), "{verdict:?}");
        if let (Some(fault), Some(en)) = (fault, en) {
            assert_eq!((fault.kind.as_str(), fault.seq), ("stamp", older.seal.last));
            assert!(fault.en.contains("seal 1") && fault.en.contains(en), "{}", fault.en);
        }
    }
    // Nobody says any more whose stamps are trusted: that they are over their seals is held all the same.
    house.app.store.close().await;
    drop(house);
    for (stamp, intact) in [(&wrong, false), (&foreign, true), (&right, true)] {
        write(folder.path(), older.seal.number, stamp);
        let house = House::at(folder.path()).await;
        let auditor = house.person("auditor").await;
        assert_eq!(app::audit::verify(&house.app, &auditor).await.unwrap().intact, intact);
        house.app.store.close().await;
    }
}
