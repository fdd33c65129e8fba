//! A flow as a drawing: steps in rows by how far they are from the start, ways between them as curves. Numbers only;
//! the template writes the SVG, colours come from the style sheet.

use std::collections::BTreeMap;

use model::flow::{Flow, State, Step};
use serde::Serialize;

use crate::visit::Lang;

const WIDTH: i32 = 158;
const HEIGHT: i32 = 46;
const GAP: i32 = 22;
const DROP: i32 = 34;
const EDGE: i32 = 8;

/// A drawn flow.
#[derive(Debug, Serialize)]
pub(crate) struct Drawing {
    width: i32,
    height: i32,
    boxes: Vec<Shape>,
    ways: Vec<Way>,
}

#[derive(Debug, Serialize)]
struct Shape {
    id: String,
    x: i32,
    y: i32,
    w: i32,
    h: i32,
    /// Middle of the text.
    tx: i32,
    ty: i32,
    name: String,
    kind: &'static str,
    /// `idle`, `open`, `done`, `refused`
    state: &'static str,
}

#[derive(Debug, Serialize)]
struct Way {
    d: String,
    /// `approve`, `refuse`, `failed` or empty.
    kind: &'static str,
}

/// Draws a flow, with the state of one approval in it if there is one.
pub(crate) fn draw(flow: &Flow, state: Option<&State>, lang: Lang) -> Drawing {
    let depth = depths(flow);
    let mut rows: BTreeMap<usize, Vec<&Step>> = BTreeMap::new();
    for step in &flow.steps {
        rows.entry(depth.get(step.id()).copied().unwrap_or(0)).or_default().push(step);
    }
    let widest = rows.values().map(Vec::len).max().unwrap_or(1);
    let span = |n: usize| i32::try_from(n).unwrap_or(0) * (WIDTH + GAP) - GAP;
    let width = span(widest) + 2 * EDGE;
    let mut boxes = Vec::new();
    for (row, steps) in &rows {
        let left = (width - span(steps.len())) / 2;
        let y = EDGE + i32::try_from(*row).unwrap_or(0) * (HEIGHT + DROP);
        for (n, step) in steps.iter().enumerate() {
            let x = left + i32::try_from(n).unwrap_or(0) * (WIDTH + GAP);
            boxes.push(Shape {
                id: step.id().to_owned(),
                x,
                y,
                w: WIDTH,
                h: HEIGHT,
                tx: x + WIDTH / 2,
                ty: y + HEIGHT / 2,
                name: short(lang.of(step.zh(), step.en()), lang),
                kind: step.kind(),
                state: state.map_or("idle", |s| word(s, step.id())),
            });
        }
    }
    let ways = ways(flow, &boxes);
    let last = rows.keys().max().copied().unwrap_or(0);
    let height = 2 * EDGE + i32::try_from(last).unwrap_or(0) * (HEIGHT + DROP) + HEIGHT;
    Drawing { width, height, boxes, ways }
}

/// Longest way from the start to each step.
fn depths(flow: &Flow) -> BTreeMap<&str, usize> {
    let mut depth: BTreeMap<&str, usize> = BTreeMap::from([(flow.start.as_str(), 0)]);
    // A checked flow has no circles: as many rounds as steps are enough.
    for _ in 0..flow.steps.len() {
        for step in &flow.steps {
            let Some(here) = depth.get(step.id()).copied() else { continue };
            for (_, to) in step.ways() {
                let there = depth.entry(to).or_insert(0);
                *there = (*there).max(here + 1);
            }
        }
    }
    depth
}

fn ways(flow: &Flow, boxes: &[Shape]) -> Vec<Way> {
    let find = |id: &str| boxes.iter().find(|b| b.id == id);
    let mut ways = Vec::new();
    for step in &flow.steps {
        for (kind, to) in step.ways() {
            if let (Some(a), Some(b)) = (find(step.id()), find(to)) {
                let (x1, y1, x2, y2) = (a.tx, a.y + a.h, b.tx, b.y);
                let half = (y2 - y1).max(20) / 2;
                let d = format!("M{x1} {y1} C{x1} {} {x2} {} {x2} {y2}", y1 + half, y2 - half);
                ways.push(Way { d, kind });
            }
        }
    }
    ways
}

fn word(state: &State, step: &str) -> &'static str {
    if state.open_step(step).is_some() {
        return "open";
    }
    match state.passed.iter().rev().find(|p| p.step == step) {
        Some(passed) if passed.approve => "done",
        Some(_) => "refused",
        None => "idle",
    }
}

fn short(name: &str, lang: Lang) -> String {
    let most = if lang == Lang::Zh { 10 } else { 21 };
    if name.chars().count() <= most {
        return name.to_owned();
    }
    let mut cut: String = name.chars().take(most - 1).collect();
    cut.push('…');
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_stand_below_what_leads_to_them() {
        let text = include_str!("../../../app/rules/flows/share_1.toml");
        let flow = app::approval::check_text(text).unwrap();
        let drawing = draw(&flow, None, Lang::Zh);
        assert_eq!(drawing.boxes.len(), flow.steps.len());
        let y = |id: &str| drawing.boxes.iter().find(|b| b.id == id).unwrap().y;
        for step in &flow.steps {
            for (_, to) in step.ways() {
                assert!(y(to) > y(step.id()), "{} → {to}", step.id());
            }
        }
        for (n, a) in drawing.boxes.iter().enumerate() {
            assert!(a.x >= 0 && a.x + a.w <= drawing.width && a.y + a.h <= drawing.height);
            for b in drawing.boxes.iter().skip(n + 1) {
                assert!(a.y != b.y || (a.x - b.x).abs() >= WIDTH, "{} and {} overlap", a.id, b.id);
            }
        }
    }
}
