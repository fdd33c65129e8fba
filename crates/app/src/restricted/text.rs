//! The texts of the two papers: a template filled with what was agreed, frozen with its digests.

use guard::hash::{sha256_hex, sm3_hex};
use model::Result;
use model::restricted::{PaperKind, UseApplication, UsePaper, UseSide, UseTerms};

use super::rules::{Template, fill};
use crate::App;

/// Undertaking and agreement of an application that was agreed to.
pub(super) async fn papers(app: &App, a: &UseApplication) -> Result<Vec<UsePaper>> {
    let rules = &app.rules.restricted;
    let counterparty = match a.counterparty() {
        UseSide::Authority => {
            let org = a.reviews.iter().find(|r| r.side == UseSide::Authority).map(|r| &r.org);
            match org {
                Some(org) => app.store.org_get(org).await?.map(|o| o.name_cn).unwrap_or_default(),
                None => String::new(),
            }
        }
        _ => a.entries.first().map(|e| e.provider_name.clone()).unwrap_or_default(),
    };
    Ok([(PaperKind::Undertaking, &rules.undertaking), (PaperKind::Agreement, &rules.agreement)]
        .into_iter()
        .map(|(kind, template)| paper(app, a, kind, template, &counterparty))
        .collect())
}

fn paper(
    app: &App,
    a: &UseApplication,
    kind: PaperKind,
    template: &Template,
    counterparty: &str,
) -> UsePaper {
    let number = format!("{}-{}", a.number, kind.letters());
    let say = |text: &str, chinese: bool| {
        fill(text, &values(app, a, &number, counterparty, &template.version, chinese))
    };
    let text = format!(
        "{}\n{}\n\n{}\n\n{}\n",
        template.title,
        template.title_en,
        say(&template.text, true),
        say(&template.text_en, false)
    );
    UsePaper {
        kind,
        number,
        version: template.version.clone(),
        title: template.title.clone(),
        title_en: template.title_en.clone(),
        sm3: sm3_hex(text.as_bytes()),
        sha256: sha256_hex(text.as_bytes()),
        text,
        signatures: Vec::new(),
    }
}

fn values(
    app: &App,
    a: &UseApplication,
    number: &str,
    counterparty: &str,
    version: &str,
    chinese: bool,
) -> Vec<(&'static str, String)> {
    let rules = &app.rules.restricted;
    let method = rules.method(&a.method);
    let mut providers: Vec<&str> = Vec::new();
    for entry in &a.entries {
        if !providers.contains(&entry.provider_name.as_str()) {
            providers.push(&entry.provider_name);
        }
    }
    let comma = if chinese { "、" } else { ", " };
    let safeguards = a.answers.iter().filter_map(|answer| {
        let question = rules.question(&answer.question)?;
        let choice = question.choice(&answer.choice)?;
        let said = match chinese {
            true => format!("{}{}", question.zh, choice.zh),
            false => format!("{} {}", question.en, choice.en),
        };
        Some(if answer.text.is_empty() { said } else { format!("{said}（{}）", answer.text) })
    });
    let stop = if chinese { "；" } else { "; " };
    let entries: Vec<String> = a.entries.iter().map(|e| format!("《{}》", e.title)).collect();
    let items: Vec<String> = a
        .entries
        .iter()
        .map(|e| format!("《{}》（{}：{}）", e.title, e.code, e.items.join(", ")))
        .collect();
    vec![
        ("number", number.to_owned()),
        ("party", a.party.clone()),
        ("party_id", a.subject.clone()),
        ("counterparty", counterparty.to_owned()),
        ("providers", providers.join(comma)),
        ("entries", entries.join(comma)),
        ("items", items.join(stop)),
        ("purpose", a.purpose.clone()),
        ("scope", a.scope.clone()),
        ("method", method.map(|m| m.zh.clone()).unwrap_or_default()),
        ("method_en", method.map(|m| m.en.clone()).unwrap_or_default()),
        ("calls", a.calls_per_day.to_string()),
        ("until", a.until.to_string()),
        ("safeguards", safeguards.collect::<Vec<_>>().join(stop)),
        ("application", a.application_name.clone()),
        ("version", version.to_owned()),
        ("years", rules.credit.years.to_string()),
        ("reports", reports(a.terms.as_ref())),
        ("reports_en", reports_en(a.terms.as_ref())),
    ]
}

/// What an agreement says of reports on use.
fn reports(terms: Option<&UseTerms>) -> String {
    terms.map_or_else(
        || "按甲方要求提交。".to_owned(),
        |t| {
            format!(
                "自本协议生效之日起每满 {} 个月，乙方在期满后 {} 个工作日内经平台提交本期使用情况报告；逾期满 {} 个工作日仍未提交的，暂停提供数据，报告被接受后立即恢复。",
                t.months, t.days, t.suspend
            )
        },
    )
}

fn reports_en(terms: Option<&UseTerms>) -> String {
    terms.map_or_else(
        || "as Party A asks for them.".to_owned(),
        |t| {
            format!(
                "for every {} months from the day this agreement comes into force, filed on the platform within {} working days of their end; \
                 where none is filed within {} working days more, the data are suspended, and given again at once when the report is accepted.",
                t.months, t.days, t.suspend
            )
        },
    )
}
