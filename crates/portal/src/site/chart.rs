//! The chart builder of a data set: kind, items and filter stand in the address, so that a chart can be kept and sent on. The
//! server draws it (`still`) and writes its table; the script draws the same table for those who have it.

use std::sync::Arc;

use app::opening::{Chart, ChartAsk, Dataset, Points, Step, countable, drawable};
use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;
use minijinja::{Value, context};
use model::code::DataType;
use model::interface::How;
use model::item::Item;
use model::{Code, Error, Result};

use crate::site::still;
use crate::view::value;
use crate::visit::Visit;
use crate::{Answer, Door, rows};

pub(super) fn router() -> Router<Arc<Door>> {
    Router::new().route("/data/{code}/chart", get(page))
}

/// What is drawn.
enum Drawn {
    Bars(Chart),
    Points(Points),
}

/// What the address asks for, or what a first look shows.
struct Wanted {
    kind: &'static str,
    x: String,
    y: String,
    how: How,
    step: &'static str,
}

async fn page(State(door): State<Arc<Door>>, Path(code): Path<String>, visit: Visit) -> Answer {
    let dataset = app::opening::dataset(&door.app, &visit.op, &code).await?;
    let items = drawable(&dataset.entry.draft.items);
    let wanted = wanted(&visit, &items)?;
    let drawn = match dataset.free && dataset.entry.data_at.is_some() && !wanted.x.is_empty() {
        true => Some(draw(&door, &visit, &dataset, &wanted).await),
        false => None,
    };
    let empty = visit.t("（空）", "(empty)");
    let name = |word: &str| {
        let item = items.iter().find(|i| i.identifier == word);
        item.map_or_else(|| word.to_owned(), |i| item_name(&visit, i).to_owned())
    };
    let how = visit.t(wanted.how.zh(), wanted.how.en());
    let of = match (wanted.kind, wanted.y.as_str()) {
        ("scatter", y) => name(y),
        (_, "") => visit.t("行数", "Rows").to_owned(),
        (_, y) => format!("{} · {how}", name(y)),
    };
    let (mut chart, mut trouble) = (Value::from(()), None);
    match drawn {
        Some(Ok(drawn)) => chart = shown(&wanted, drawn, empty),
        Some(Err(error)) => trouble = Some(visit.t(error.zh(), error.en()).to_owned()),
        None => {}
    }
    let choice = |i: &&Item| context! { value => &i.identifier, name => item_name(&visit, i) };
    let context = context! {
        dataset => value(&dataset), entry => value(&dataset.entry),
        items => value(&dataset.entry.draft.items),
        axes => items.iter().map(choice).collect::<Vec<_>>(),
        numbers => items.iter().filter(|i| countable(i)).map(choice).collect::<Vec<_>>(),
        chosen => context! {
            kind => wanted.kind, x => &wanted.x, y => &wanted.y, how => wanted.how.as_str(), step => wanted.step,
        },
        filter => context! { col => visit.q("col"), op => visit.q("op"), val => visit.q("val"), to => visit.q("to") },
        chart, trouble, x_name => name(&wanted.x), y_name => of,
        here_link => format!("{}{}", visit.base, visit.here()),
    };
    door.page(&visit, "site/chart.html", context).await
}

fn item_name<'a>(visit: &'a Visit, item: &'a Item) -> &'a str {
    visit.t(&item.name_cn, if item.name_en.is_empty() { &item.name_cn } else { &item.name_en })
}

fn wanted(visit: &Visit, items: &[&Item]) -> Result<Wanted> {
    let wrong = |field: &str, value: &str| {
        let shown: String = value.chars().take(40).collect();
        Error::new(
            Code::InvalidQuery,
            format!("参数 `{field}` 的值 `{shown}` 无效"),
            format!("the value `{shown}` of `{field}` is not valid"),
        )
    };
    let kind = match visit.q("kind") {
        None => "bar",
        Some(word) => ["bar", "line", "pie", "scatter"]
            .into_iter()
            .find(|k| *k == word)
            .ok_or_else(|| wrong("kind", word))?,
    };
    let step = match visit.q("step") {
        None => "each",
        Some(word) => ["each", "month", "year"]
            .into_iter()
            .find(|s| *s == word)
            .ok_or_else(|| wrong("step", word))?,
    };
    let how = match visit.q("how") {
        None => How::Count,
        Some(word) => How::parse(word).ok_or_else(|| wrong("how", word))?,
    };
    // A first look groups by what repeats: words that are not the key, else whatever there is.
    let first = || {
        let word = |i: &&&Item| i.data_type == DataType::Text && !i.primary;
        items.iter().find(word).or_else(|| items.first()).map(|i| i.identifier.clone())
    };
    let x = visit.q("x").map(str::to_owned).or_else(first).unwrap_or_default();
    Ok(Wanted { kind, x, y: visit.q("y").unwrap_or_default().to_owned(), how, step })
}

async fn draw(door: &Door, visit: &Visit, dataset: &Dataset, wanted: &Wanted) -> Result<Drawn> {
    let draft = &dataset.entry.draft;
    let filter = rows::filter(visit, draft)?;
    let (app, op) = (&door.app, &visit.op);
    if wanted.kind == "scatter" {
        let axes = (wanted.x.as_str(), wanted.y.as_str());
        return app::opening::points(app, op, &draft.code, axes, filter).await.map(Drawn::Points);
    }
    let ask = ChartAsk {
        x: wanted.x.clone(),
        y: wanted.y.clone(),
        how: Some(wanted.how),
        step: match wanted.step {
            "month" => Step::Month,
            "year" => Step::Year,
            _ => Step::Each,
        },
        filter,
        ordered: wanted.kind == "line",
    };
    app::opening::chart(app, op, &draft.code, &ask).await.map(Drawn::Bars)
}

fn shown(wanted: &Wanted, drawn: Drawn, empty: &str) -> Value {
    match drawn {
        Drawn::Points(points) => context! {
            still => still::scatter(&points.points), kind => "scatter",
            points => value(&points.points), more => points.more,
        },
        Drawn::Bars(chart) => {
            let still = match wanted.kind {
                "line" => still::line(&chart.bars, empty),
                "pie" => still::pie(&chart.bars, empty),
                _ => still::bars(&chart.bars, empty),
            };
            let kind = match wanted.kind {
                "bar" if chart.bars.len() <= 30 => "row",
                other => other,
            };
            context! {
                still, kind, bars => value(&chart.bars), groups => chart.groups,
                left_out => chart.groups.saturating_sub(chart.bars.len()), first_rows => chart.first_rows,
            }
        }
    }
}
