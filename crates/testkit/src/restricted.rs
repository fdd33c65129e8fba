//! Restricted opening in the rehearsal house: the short ways from a form to an agreement in force.

use app::restricted::{self, UseOrder};
use chrono::TimeDelta;
use futures::StreamExt as _;
use model::restricted::{
    PaperKind, SignWay, UseAnswer, UseApplication, UseDeed, UseNew, UseReportNew,
};
use model::{Op, Result};

use crate::House;

/// What begins as a picture does.
const PICTURE: &[u8] = b"\x89PNG\r\n\x1a\n0123456789";

/// A form in order, for 90 days from 2 March 2026 on: what asks for `items` (none: all) of a data set.
#[must_use]
pub fn use_of(application: &str, code: &str, items: &[&str]) -> UseNew {
    let answer = |question: &str, choice: &str| UseAnswer {
        question: question.into(),
        choice: choice.into(),
        text: String::new(),
    };
    UseNew {
        entries: vec![(code.into(), items.iter().map(|i| (*i).to_owned()).collect())],
        application: application.into(),
        purpose: "研究企业分布".into(),
        scope: "仅供本单位内部分析".into(),
        method: "interface".into(),
        until: "2026-05-31".parse().ok(),
        calls_per_day: 100,
        answers: vec![
            answer("storage", "yes"),
            answer("processing", "yes"),
            answer("protection", "level3"),
            answer("incident", "none"),
        ],
        renews: String::new(),
    }
}

/// A report on use in order.
#[must_use]
pub fn use_report(calls: u64, rows: u64) -> UseOrder {
    let report = UseReportNew {
        done: "核验企业登记信息，形成分析报告".into(),
        people: "研究部三人，无受托方".into(),
        measures: "专用环境，访问留痕".into(),
        incidents: "无".into(),
        results: "区域分布研究报告一份".into(),
        calls,
        rows,
    };
    UseOrder { report: Some(report), ..UseOrder::new(UseDeed::Report, "") }
}

/// A key pair as people make one for themselves.
#[must_use]
pub fn signer() -> guard::sm2::KeyPair {
    guard::sm2::KeyPair::generate(guard::sm2::DEFAULT_IDENTITY).unwrap()
}

/// SM3 digest of a text, in hex.
#[must_use]
pub fn sm3(bytes: &[u8]) -> String {
    guard::hash::sm3_hex(bytes)
}

impl House {
    /// Brings a picture as evidence for a question, or as the scan of a paper.
    pub async fn use_file(&self, op: &Op, number: &str, of: &str) -> Result<UseApplication> {
        let piece: Result<bytes::Bytes> = Ok(bytes::Bytes::from_static(PICTURE));
        let content = futures::stream::iter([piece]).boxed();
        restricted::attach(&self.app, op, number, of, "scan.png", content).await
    }

    /// Filled in, proved and submitted.
    pub async fn use_submitted(&self, op: &Op, new: UseNew) -> Result<UseApplication> {
        let filed = restricted::file(&self.app, op, new).await?;
        for of in ["storage", "protection"] {
            self.use_file(op, &filed.number, of).await?;
        }
        let submit = UseOrder::new(UseDeed::Submit, "");
        restricted::act(&self.app, op, &filed.number, submit).await
    }

    /// Approved by these people, one after the other.
    pub async fn use_approved(&self, number: &str, by: &[&str]) -> UseApplication {
        let mut last = None;
        for who in by {
            let op = self.person(who).await;
            let order = UseOrder::new(UseDeed::Approve, "同意");
            last = Some(restricted::act(&self.app, &op, number, order).await.unwrap());
        }
        last.unwrap()
    }

    /// An order that signs the paper of a deed as its text stands now.
    pub async fn use_signature(
        &self,
        op: &Op,
        number: &str,
        deed: UseDeed,
        way: SignWay,
    ) -> UseOrder {
        let kind = match deed {
            UseDeed::SignUndertaking => PaperKind::Undertaking,
            _ => PaperKind::Agreement,
        };
        let seen = restricted::open(&self.app, op, number).await.unwrap();
        UseOrder {
            way: Some(way),
            digest: seen.application.paper(kind).unwrap().sm3.clone(),
            confirm: self.app.rules.restricted.confirm.zh.clone(),
            ..UseOrder::new(deed, "")
        }
    }

    /// Both papers signed by the applicant by sealed scans.
    pub async fn use_sealed(&self, op: &Op, number: &str) -> UseApplication {
        let mut last = None;
        for (deed, of) in [
            (UseDeed::SignUndertaking, "seal:undertaking"),
            (UseDeed::SignAgreement, "seal:agreement"),
        ] {
            self.use_file(op, number, of).await.unwrap();
            let order = self.use_signature(op, number, deed, SignWay::Seal).await;
            last = Some(restricted::act(&self.app, op, number, order).await.unwrap());
        }
        last.unwrap()
    }

    /// Counter-signed through the platform by one of the people.
    pub async fn use_countersigned(&self, who: &str, number: &str) -> Result<UseApplication> {
        let op = self.person(who).await;
        let order = self.use_signature(&op, number, UseDeed::Countersign, SignWay::Platform).await;
        restricted::act(&self.app, &op, number, order).await
    }

    /// The whole way from the form to an agreement in force, for data of the house's provider.
    pub async fn use_in_force(&self, op: &Op, new: UseNew) -> UseApplication {
        let filed = self.use_submitted(op, new).await.unwrap();
        self.use_approved(&filed.number, &["provider", "authority"]).await;
        self.use_sealed(op, &filed.number).await;
        self.use_countersigned("provider", &filed.number).await.unwrap()
    }

    /// So many days later, by the clock.
    pub fn days_later(&self, days: i64) {
        self.clock.forward(TimeDelta::days(days));
    }
}
