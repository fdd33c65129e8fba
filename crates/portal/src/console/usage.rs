//! Use (用量): tables by application, resource, interface, organisation, region and day, their chart, and the same as CSV.

use std::sync::Arc;

use app::usage::{self, millis};
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use axum::routing::get;
use minijinja::{Value, context};
use model::Code;
use model::usage::{UsageBy, UsageFilter, UsageRow, Way};

use crate::console::{PAGE, next_link};
use crate::names::Kept;
use crate::site::attachment;
use crate::view::value;
use crate::visit::{Lang, Visit, encode};
use crate::{Answer, Door};

pub(super) fn router() -> Router<Arc<Door>> {
    Router::new()
        .route("/console/usage", get(all))
        .route("/console/usage.csv", get(export))
        .route("/console/applications/{id}/usage", get(of_application))
}

const FILTERS: [&str; 10] = [
    "from",
    "to",
    "application",
    "org",
    "provider",
    "entry",
    "interface",
    "way",
    "outcome",
    "region",
];

fn filter(visit: &Visit) -> Result<UsageFilter, model::Error> {
    let text = |name: &str| visit.q(name).unwrap_or_default().trim().to_owned();
    usage::within(
        &visit.op,
        UsageFilter {
            from: text("from"),
            to: text("to"),
            application: text("application"),
            org: text("org"),
            provider: text("provider"),
            entry: text("entry"),
            interface: text("interface"),
            way: text("way"),
            outcome: text("outcome"),
            region: text("region"),
        },
    )
}

fn by(visit: &Visit, otherwise: UsageBy) -> UsageBy {
    visit.q("by").and_then(UsageBy::parse).unwrap_or(otherwise)
}

async fn all(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let filter = filter(&visit)?;
    page(&door, &visit, filter, by(&visit, UsageBy::Application), None).await
}

async fn of_application(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
) -> Answer {
    let application = app::account::application(&door.app, &visit.op, &id).await?;
    let filter = UsageFilter { application: id, ..filter(&visit)? };
    let shown = value(&application);
    page(&door, &visit, filter, by(&visit, UsageBy::Entry), Some(shown)).await
}

async fn page(
    door: &Door,
    visit: &Visit,
    filter: UsageFilter,
    by: UsageBy,
    application: Option<Value>,
) -> Answer {
    let (app, op) = (&door.app, &visit.op);
    let table = usage::table(app, op, &filter, by, visit.q("after"), PAGE).await?;
    let total = usage::total(app, op, &filter).await?;
    let days = usage::days(app, op, &filter).await?;
    door.names.refresh(app).await;
    let names = door.names.get();
    let rows: Vec<Value> = table
        .items
        .iter()
        .map(|row| {
            let link = application.is_none().then(|| drill(&filter, by, &row.word)).flatten();
            line(row, &name(by, row, &names, visit.lang), link.as_deref())
        })
        .collect();
    let choices = |all: &[(&str, String)]| {
        let one =
            |(word, name): &(&str, String)| context! { value => *word, name => name.as_str() };
        all.iter().map(one).collect::<Vec<_>>()
    };
    let kinds: Vec<(&str, String)> = UsageBy::ALL
        .iter()
        .filter(|by| application.is_none() || within_one(**by))
        .map(|by| (by.as_str(), heading(*by, visit.lang).to_owned()))
        .collect();
    let ways: Vec<(&str, String)> = Way::ALL
        .iter()
        .map(|w| (w.as_str(), way_name(w.as_str(), visit.lang).to_owned()))
        .collect();
    let context = context! {
        rows, application, by => by.as_str(), heading => heading(by, visit.lang), filter => value(&filter),
        total => line(&total, "", None), days => value(&days),
        kinds => choices(&kinds), ways => choices(&ways), narrowed => narrowed(&filter, &names, visit.lang),
        whole => usage::sees_all(app, op),
        export => format!("/console/usage.csv?by={}&{}", by.as_str(), query(&filter)),
        next => next_link(visit, "after", table.next.as_deref()),
    };
    door.page(visit, "console/usage.html", context).await
}

async fn export(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let filter = filter(&visit)?;
    let by = by(&visit, UsageBy::Application);
    let csv = usage::export(&door.app, &visit.op, &filter, by).await?;
    let file = format!("usage-{}-{}-{}.csv", by.as_str(), filter.from, filter.to);
    Ok((attachment(&file, "text/csv; charset=utf-8"), Body::from_stream(csv)).into_response())
}

/// A line of figures as the page shows it.
fn line(row: &UsageRow, name: &str, link: Option<&str>) -> Value {
    let u = &row.usage;
    context! {
        word => &row.word, name, link, calls => u.calls, answered => row.answered,
        refused => u.calls.saturating_sub(row.answered), rows => u.rows, bytes => u.bytes,
        mean => millis(u.mean()), half => millis(u.percentile(50)), most => millis(u.percentile(95)),
        nearly => millis(u.percentile(99)), slowest => millis(Some(u.slowest).filter(|s| *s > 0)),
    }
}

/// Tables that make sense for one application.
fn within_one(by: UsageBy) -> bool {
    !matches!(
        by,
        UsageBy::Application | UsageBy::Org | UsageBy::Province | UsageBy::City | UsageBy::County
    )
}

fn heading(by: UsageBy, lang: Lang) -> &'static str {
    let (zh, en) = match by {
        UsageBy::Application => ("应用", "Application"),
        UsageBy::Org => ("调用单位", "Calling organisation"),
        UsageBy::Entry => ("资源", "Resource"),
        UsageBy::Interface => ("接口", "Interface"),
        UsageBy::Provider => ("数源单位", "Providing department"),
        UsageBy::Way => ("调用方式", "Way of calling"),
        UsageBy::Outcome => ("结果", "Outcome"),
        UsageBy::Purpose => ("用途", "Purpose"),
        UsageBy::Day => ("日期", "Day"),
        UsageBy::Province => ("省", "Province"),
        UsageBy::City => ("市", "City"),
        UsageBy::County => ("县（市、区）", "County"),
    };
    lang.of(zh, en)
}

fn way_name(word: &str, lang: Lang) -> &str {
    let (zh, en) = match word {
        "page" => ("页面", "Pages"),
        "api" => ("资源接口 /api/v1", "Rows /api/v1"),
        "interface" => ("共享接口", "Interfaces"),
        "irs" => ("旧版调用方式", "Older convention"),
        "sql" => ("SQL", "SQL"),
        "flow" => ("数据回流", "Return flow"),
        "batch" => ("批量", "Batch"),
        other => (other, other),
    };
    lang.of(zh, en)
}

fn outcome_name(word: &str, lang: Lang) -> &str {
    let code = Code::ALL.iter().find(|c| c.as_str() == word);
    match (word, code) {
        ("ok", _) => lang.of("成功", "Answered"),
        ("failed", _) => lang.of("失败", "Failed"),
        (_, Some(code)) => lang.of(code.zh(), code.en()),
        (other, None) => other,
    }
}

/// The name of what a line adds up for.
fn name(by: UsageBy, row: &UsageRow, names: &Kept, lang: Lang) -> String {
    let word = row.word.as_str();
    if word.is_empty() {
        let without = match by {
            UsageBy::Application => lang.of("公众与人员", "The public and people"),
            UsageBy::Interface => lang.of("不经共享接口", "By no interface"),
            UsageBy::Purpose => lang.of("未注明", "Not said"),
            UsageBy::Entry | UsageBy::Provider => lang.of("未指明资源", "No single resource"),
            _ => lang.of("不属于单位", "Of no organisation"),
        };
        return without.to_owned();
    }
    let named = match by {
        UsageBy::Org | UsageBy::Provider => names.org(word, lang),
        UsageBy::Province | UsageBy::City | UsageBy::County => names.region(word, lang),
        UsageBy::Way => way_name(word, lang),
        UsageBy::Outcome => outcome_name(word, lang),
        _ if !row.name.is_empty() => row.name.as_str(),
        _ => word,
    };
    named.to_owned()
}

/// Where the calls behind a line are told apart further.
fn drill(filter: &UsageFilter, by: UsageBy, word: &str) -> Option<String> {
    if word.is_empty() {
        return None;
    }
    let mut filter = filter.clone();
    let (place, next) = match by {
        UsageBy::Application => (&mut filter.application, UsageBy::Entry),
        UsageBy::Org => (&mut filter.org, UsageBy::Application),
        UsageBy::Entry => (&mut filter.entry, UsageBy::Application),
        UsageBy::Interface => (&mut filter.interface, UsageBy::Application),
        UsageBy::Provider => (&mut filter.provider, UsageBy::Entry),
        UsageBy::Way => (&mut filter.way, UsageBy::Application),
        UsageBy::Outcome => (&mut filter.outcome, UsageBy::Application),
        UsageBy::Province => (&mut filter.region, UsageBy::City),
        UsageBy::City => (&mut filter.region, UsageBy::County),
        UsageBy::County => (&mut filter.region, UsageBy::Org),
        UsageBy::Purpose => return None,
        UsageBy::Day => {
            word.clone_into(&mut filter.from);
            (&mut filter.to, UsageBy::Application)
        }
    };
    word.clone_into(place);
    Some(format!("/console/usage?by={}&{}", next.as_str(), query(&filter)))
}

/// The filter as the query of an address.
fn query(filter: &UsageFilter) -> String {
    let parts = FILTERS.iter().zip(values(filter)).filter(|(_, v)| !v.is_empty());
    parts.map(|(name, v)| format!("{name}={}", encode(v))).collect::<Vec<_>>().join("&")
}

fn values(f: &UsageFilter) -> [&str; 10] {
    [
        &f.from,
        &f.to,
        &f.application,
        &f.org,
        &f.provider,
        &f.entry,
        &f.interface,
        &f.way,
        &f.outcome,
        &f.region,
    ]
}

/// What the table is narrowed to beside its days, each with a link that lets go of it.
fn narrowed(filter: &UsageFilter, names: &Kept, lang: Lang) -> Vec<Value> {
    let shown = FILTERS.iter().zip(values(filter)).skip(2).filter(|(_, v)| !v.is_empty());
    shown
        .map(|(field, word)| {
            let (what, name) = match *field {
                "application" => (heading(UsageBy::Application, lang), word),
                "org" => (heading(UsageBy::Org, lang), names.org(word, lang)),
                "provider" => (heading(UsageBy::Provider, lang), names.org(word, lang)),
                "entry" => (heading(UsageBy::Entry, lang), word),
                "interface" => (heading(UsageBy::Interface, lang), word),
                "way" => (heading(UsageBy::Way, lang), way_name(word, lang)),
                "outcome" => (heading(UsageBy::Outcome, lang), outcome_name(word, lang)),
                _ => (lang.of("地区", "Region"), names.region(word, lang)),
            };
            let kept = FILTERS.iter().zip(values(filter)).filter(|(f, v)| *f != field && !v.is_empty());
            let kept: Vec<String> = kept.map(|(f, v)| format!("{f}={}", encode(v))).collect();
            context! { what, field => *field, word, name, without => format!("/console/usage?{}", kept.join("&")) }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_leads_to_what_is_behind_it() {
        let filter = UsageFilter {
            from: "2026-01-01".into(),
            to: "2026-01-31".into(),
            ..UsageFilter::default()
        };
        assert_eq!(
            drill(&filter, UsageBy::City, "330100").as_deref(),
            Some("/console/usage?by=county&from=2026-01-01&to=2026-01-31&region=330100")
        );
        assert_eq!(
            drill(&filter, UsageBy::Day, "2026-01-05").as_deref(),
            Some("/console/usage?by=application&from=2026-01-05&to=2026-01-05")
        );
        assert_eq!(drill(&filter, UsageBy::Org, ""), None);
        assert_eq!(outcome_name("quota_used_up", Lang::En), "the quota is used up");
    }
}
