//! Made-up applications, papers and credit records for the pages of restricted opening.

use app::restricted::{DeskUse, ProviderFigures, UseSeen, Verified, VerifiedSignature};
use minijinja::{Value, context};
use model::restricted::{
    CreditNew, CreditRecord, PaperKind, PaperSigner, SignWay, SigningAlgorithm, SigningKey,
    UseApplication, UseDeed, UseEntry, UseEvent, UseFile, UseMetered, UsePaper, UseReport,
    UseReportNew, UseReportState, UseReview, UseSide, UseSignature, UseState, UseTerms,
};

use super::{AT, entry};
use crate::view::value;

const TEXT: &str = "停车场 <b>\n<script>alert(1)</script>";

fn paper(kind: PaperKind, signed: bool) -> UsePaper {
    UsePaper {
        kind,
        number: "KF-20260302-000001-XY".into(),
        version: "1".into(),
        title: "协议 <b>".into(),
        title_en: "Agreement".into(),
        text: TEXT.into(),
        sm3: "0f".repeat(32),
        sha256: "0e".repeat(32),
        signatures: match signed {
            false => Vec::new(),
            true => vec![UseSignature {
                signer: PaperSigner::Applicant,
                way: SignWay::Seal,
                party: "公司 <b>".into(),
                org: "o1".into(),
                by: "u1".into(),
                by_name: "张三".into(),
                at: AT.into(),
                algorithm: None,
                key: String::new(),
                signature: String::new(),
                scan: "0f".into(),
            }],
        },
    }
}

fn application(full: bool) -> UseApplication {
    let text = |text: &str| if full { text.to_owned() } else { String::new() };
    UseApplication {
        id: "a1".into(),
        number: "KF-20260302-000001".into(),
        state: if full { UseState::Signing } else { UseState::InForce },
        entries: vec![UseEntry {
            id: "e1".into(),
            code: "parking".into(),
            title: "停车场 <b>".into(),
            provider: "o1".into(),
            provider_name: "某局".into(),
            items: vec!["id".into()],
            grant: "g1".into(),
        }],
        application: "app".into(),
        application_name: "应用 <b>".into(),
        applicant: "u1".into(),
        org: text("o1"),
        party: "公司 <b>".into(),
        subject: "uscc:1".into(),
        region: "330000".into(),
        purpose: TEXT.into(),
        scope: TEXT.into(),
        method: "interface".into(),
        until: "2026-12-31".parse().unwrap_or_default(),
        calls_per_day: 1000,
        answers: Vec::new(),
        files: Vec::new(),
        reviews: if full { vec![review(true), review(false)] } else { Vec::new() },
        extended: false,
        due: full.then(|| "2026-03-16".parse().unwrap_or_default()),
        papers: vec![paper(PaperKind::Undertaking, full), paper(PaperKind::Agreement, false)],
        rules: "1".into(),
        reason: text(TEXT),
        renews: String::new(),
        created_at: AT.into(),
        submitted_at: AT.into(),
        decided_at: AT.into(),
        in_force_at: text(AT),
        ended_at: String::new(),
        days: 3,
        terms: full.then_some(UseTerms { months: 6, days: 10, suspend: 5 }),
        reports: match full {
            true => vec![report(1, UseReportState::Accepted), report(2, UseReportState::Returned)],
            false => Vec::new(),
        },
        edit: 4,
    }
}

fn said() -> UseReportNew {
    UseReportNew {
        done: TEXT.into(),
        people: "研究部 <b>".into(),
        measures: TEXT.into(),
        incidents: "无".into(),
        results: TEXT.into(),
        calls: 12,
        rows: 3400,
    }
}

fn report(no: u32, state: UseReportState) -> UseReport {
    let day = |text: &str| text.parse().unwrap_or_default();
    UseReport {
        state,
        said: said(),
        metered: UseMetered { calls: 12, rows: 3400 },
        filed_at: AT.into(),
        filed_by_name: "张三".into(),
        decided_at: AT.into(),
        decided_by_name: "李四".into(),
        decided_org: "o1".into(),
        reason: TEXT.into(),
        ..UseReport::open(no, day("2026-03-02"), day("2026-09-01"), day("2026-09-15"))
    }
}

fn review(approve: bool) -> UseReview {
    UseReview {
        side: UseSide::Provider,
        org: "o1".into(),
        approve,
        reason: TEXT.into(),
        by: "u1".into(),
        by_name: "张三".into(),
        at: AT.into(),
    }
}

fn record(full: bool) -> CreditRecord {
    let text = |text: &str| if full { text.to_owned() } else { String::new() };
    CreditRecord {
        id: "c1".into(),
        subject: "uscc:1".into(),
        subject_name: "公司 <b>".into(),
        rule: "超范围使用 <b>".into(),
        facts: TEXT.into(),
        application: text("KF-20260302-000001"),
        entered_at: AT.into(),
        entered_by: "u1".into(),
        entered_by_name: "张三".into(),
        org: "o1".into(),
        until: "2031-03-02".parse().unwrap_or_default(),
        repaired_at: text(AT),
        repaired_by: text("李四"),
        repair_reason: text(TEXT),
        objection: if full { String::new() } else { TEXT.into() },
        objected_at: String::new(),
        edit: 1,
    }
}

fn key(full: bool) -> Option<SigningKey> {
    full.then(|| SigningKey {
        holder: "org:o1".into(),
        algorithm: SigningAlgorithm::Sm2,
        public: "04ab".into(),
        at: AT.into(),
        by: "u1".into(),
        by_name: "张三".into(),
    })
}

fn question() -> Value {
    context! {
        id => "storage", zh => "存储 <b>", en => "Storage", evidence => true,
        choices => vec![context! { word => "yes", zh => "是", en => "Yes" }],
    }
}

fn opened(full: bool) -> Value {
    let a = application(full);
    let event = UseEvent {
        seq: 1,
        at: AT.into(),
        deed: UseDeed::Submit,
        side: UseSide::Applicant,
        actor: "u1".into(),
        actor_name: "张三".into(),
        org: if full { "o1".into() } else { String::new() },
        text: TEXT.into(),
    };
    let view = UseSeen {
        application: a.clone(),
        events: vec![event],
        deeds: Vec::new(),
        overdue: full,
        own: full,
        key: key(full),
        credit: if full { vec![record(false)] } else { Vec::new() },
        revoked: full,
        metered: UseMetered { calls: 12, rows: 3400 },
        report_overdue: full,
    };
    let file = UseFile {
        id: "f1".into(),
        name: "证明 <b>.pdf".into(),
        of: "storage".into(),
        checksum: "0f".into(),
        at: AT.into(),
        by: "u1".into(),
    };
    let deeds = match full {
        true => {
            vec![
                "edit",
                "discard",
                "attach",
                "submit",
                "approve",
                "refuse",
                "extend",
                "breach",
                "renew",
                "withdraw",
                "report",
                "accept_report",
                "return_report",
            ]
        }
        false => vec!["withdraw"],
    };
    context! {
        view => value(&view), ask => value(&a), base => "/restricted/KF-20260302-000001", desk => full,
        answers => vec![context! {
            question => question(), choice => context! { zh => "是", en => "Yes" }, text => TEXT, files => vec![value(&file)],
        }],
        seals => if full { vec![value(&file)] } else { Vec::new() }, deeds,
        sign => context! {
            deed => "sign_agreement", kind => "agreement", sm3 => "0f", sha256 => "0e", digest => full.then_some("0f"),
            algorithm => if full { Some("sm2") } else { None }, platform => !full,
        },
        method => context! { word => "interface", zh => "接口", en => "Interface", sandbox => true },
        confirm => context! { zh => "我确认", en => "I confirm" }, papers => value(&a.papers), longest => 1000,
        report => value(said()),
        entries => a.entries.iter().map(|e| {
            let seen = entry();
            context! { named => crate::items::named(full.then_some(&seen.draft), &e.items), ..value(e) }
        }).collect::<Vec<_>>(),
    }
}

pub(super) fn of(template: &str, full: bool) -> Option<Value> {
    let list = |v: Value| if full { vec![v] } else { Vec::new() };
    Some(match template {
        "site/restricted_use.html" | "console/restricted_use.html" => opened(full),
        "site/restricted.html" => context! {
            rows => list(value(application(full))), credit => vec![value(record(full)), value(record(false))],
            may_apply => full, key => value(key(full)), first => full,
        },
        "console/restricted.html" => context! {
            rows => list(value(DeskUse {
                application: application(full), waits: full, overdue: full, report_overdue: full,
            })),
            state => (), report => full.then_some("overdue"), credit => full, key => value(key(full)),
        },
        "site/restricted_new.html" => context! {
            form => context! {
                renews => if full { "KF-1" } else { "" }, application => "app", purpose => TEXT, scope => TEXT, method => "interface",
                calls_per_day => 1000,
            },
            datasets => list(context! {
                entry => context! { code => "parking", title => "停车场 <b>" }, free => false,
                items => vec![context! { item => context! { identifier => "id", name_cn => "编号 <b>", name_en => "" }, ticked => full }],
            }),
            questions => vec![context! { question => question(), choice => full.then_some("yes"), text => TEXT }],
            methods => vec![context! { word => "interface", zh => "接口", en => "Interface" }], may_apply => true,
            applications => list(context! { id => "app", name => "应用 <b>" }), until => "2026-12-31",
            longest => context! { purpose => 1000, scope => 1000, text => 1000 },
            draft => full.then_some("KF-20260302-000001"), seen => full.then_some(1),
            credit => list(context! { rule => "违约 <b>", until => "2031-03-02" }),
        },
        "site/restricted_statistics.html" => {
            let row = ProviderFigures {
                provider: if full { "o1".into() } else { String::new() },
                applied: 3,
                median_days: full.then_some(4),
                ..ProviderFigures::default()
            };
            context! { rows => vec![value(row)] }
        }
        "site/restricted_verify.html" => {
            let found = full.then(|| Verified {
                number: "KF-20260302-000001-XY".into(),
                title: "协议 <b>".into(),
                title_en: "Agreement".into(),
                state: UseState::InForce,
                until: "2026-12-31".into(),
                signatures: vec![VerifiedSignature {
                    signer: PaperSigner::Applicant,
                    way: SignWay::Key,
                    at: AT.into(),
                }],
            });
            context! { asked => true, number => "停车场 <b>", digest => "0f", found => value(&found) }
        }
        "console/credit.html" => context! {
            rows => list(value(record(full))), view => if full { "all" } else { "standing" }, keeps => full, years => 5,
            longest => 1000, form => value(CreditNew::default()),
        },
        _ => return None,
    })
}
