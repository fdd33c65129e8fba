//! Charts as still drawings: SVG that the server writes, for visitors without script and for paper. Colours come from the style
//! sheet (`.still`); the table beside it says the same.

use std::fmt::Write as _;

use app::opening::Bar;

use crate::export::xml_text;

const WIDTH: f64 = 720.0;
/// Room for names on the left, for figures on the right.
const NAMES: f64 = 190.0;
const FIGURES: f64 = 90.0;
const LINE: f64 = 24.0;

/// Lying bars, one under the other.
pub(super) fn bars(bars: &[Bar], empty: &str) -> String {
    let (least, most) = bounds(bars.iter().map(|b| b.value));
    let room = WIDTH - NAMES - FIGURES;
    let at = |v: f64| NAMES + (v - least) / (most - least) * room;
    let height = LINE * bars.len() as f64 + 12.0;
    let mut out = open(height);
    for (n, bar) in bars.iter().enumerate() {
        let y = 6.0 + LINE * n as f64;
        let (from, to) = (at(0.0).min(at(bar.value)), at(0.0).max(at(bar.value)));
        let _ = write!(
            out,
            "<rect class=\"c0\" x=\"{from:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{:.1}\"/>",
            (to - from).max(1.0),
            LINE - 6.0
        );
        let base = y + LINE - 11.0;
        let name = bar.name.as_deref().unwrap_or(empty);
        text(&mut out, NAMES - 8.0, base, "end", &short(name, 14));
        text(&mut out, to + 6.0, base, "start", bar.figure.as_deref().unwrap_or("—"));
    }
    let x = at(0.0);
    let _ = write!(out, "<path class=\"axis\" d=\"M{x:.1} 2V{:.1}\"/></svg>", height - 4.0);
    out
}

/// A line over names in order.
pub(super) fn line(bars: &[Bar], empty: &str) -> String {
    let (least, most) = bounds(bars.iter().map(|b| b.value));
    let (height, bottom, left) = (300.0, 262.0, 70.0);
    let x = |n: usize| {
        left + (WIDTH - left - 20.0) * n as f64 / (bars.len().saturating_sub(1)).max(1) as f64
    };
    let y = |v: f64| bottom - (v - least) / (most - least) * (bottom - 16.0);
    let mut out = open(height);
    scale(&mut out, least, most, left, &y);
    let mut way = String::new();
    for (n, bar) in bars.iter().enumerate() {
        let _ = write!(way, "{}{:.1} {:.1}", if n == 0 { "M" } else { "L" }, x(n), y(bar.value));
    }
    let _ = write!(out, "<path class=\"way\" d=\"{way}\"/>");
    if let (1, Some(bar)) = (bars.len(), bars.first()) {
        let _ = write!(
            out,
            "<circle class=\"c0\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"4\"/>",
            x(0),
            y(bar.value)
        );
    }
    let last = bars.len().saturating_sub(1);
    let every = bars.len().div_ceil(6).max(1);
    for (n, bar) in bars.iter().enumerate().filter(|(n, _)| n % every == 0) {
        let anchor = if n == 0 {
            "start"
        } else if n == last {
            "end"
        } else {
            "middle"
        };
        text(
            &mut out,
            x(n),
            bottom + 20.0,
            anchor,
            &short(bar.name.as_deref().unwrap_or(empty), 10),
        );
    }
    out.push_str("</svg>");
    out
}

/// A pie of what is above nought, with its names beside it.
pub(super) fn pie(bars: &[Bar], empty: &str) -> String {
    let parts: Vec<&Bar> = bars.iter().filter(|b| b.value > 0.0).collect();
    let whole: f64 = parts.iter().map(|b| b.value).sum();
    let height = (22.0 * parts.len() as f64 + 20.0).max(300.0);
    let (cx, cy, r) = (160.0, 150.0, 130.0);
    let mut out = open(height);
    let mut turn = 0.0_f64;
    for (n, bar) in parts.iter().enumerate() {
        let share = bar.value / whole;
        let point = |turn: f64| {
            let angle = (turn - 0.25) * std::f64::consts::TAU;
            (cx + r * angle.cos(), cy + r * angle.sin())
        };
        let (from, to) = (point(turn), point(turn + share));
        let class = n % 8;
        if share > 0.9999 {
            let _ = write!(out, "<circle class=\"c{class}\" cx=\"{cx}\" cy=\"{cy}\" r=\"{r}\"/>");
        } else {
            let large = i32::from(share > 0.5);
            let _ = write!(
                out,
                "<path class=\"c{class}\" d=\"M{cx} {cy}L{:.2} {:.2}A{r} {r} 0 {large} 1 {:.2} {:.2}Z\"/>",
                from.0, from.1, to.0, to.1
            );
        }
        turn += share;
        let y = 18.0 + 22.0 * n as f64;
        let _ = write!(
            out,
            "<rect class=\"c{class}\" x=\"330\" y=\"{:.1}\" width=\"14\" height=\"14\"/>",
            y - 11.0
        );
        let name = short(bar.name.as_deref().unwrap_or(empty), 18);
        let figure = bar.figure.as_deref().unwrap_or("—");
        text(&mut out, 352.0, y, "start", &format!("{name}  {figure}  ({:.1}%)", share * 100.0));
    }
    out.push_str("</svg>");
    out
}

/// Points of two numbers.
pub(super) fn scatter(points: &[(f64, f64)]) -> String {
    let span = |values: &mut dyn Iterator<Item = f64>| {
        let (least, most) = values.fold((f64::MAX, f64::MIN), |(a, b), v| (a.min(v), b.max(v)));
        if least < most { (least, most) } else { (least - 1.0, least + 1.0) }
    };
    let (height, bottom, left) = (360.0, 318.0, 70.0);
    let mut out = open(height);
    if points.is_empty() {
        out.push_str("</svg>");
        return out;
    }
    let (x0, x1) = span(&mut points.iter().map(|p| p.0));
    let (y0, y1) = span(&mut points.iter().map(|p| p.1));
    let x = |v: f64| left + (v - x0) / (x1 - x0) * (WIDTH - left - 20.0);
    let y = |v: f64| bottom - (v - y0) / (y1 - y0) * (bottom - 16.0);
    scale(&mut out, y0, y1, left, &y);
    for point in points {
        let _ = write!(
            out,
            "<circle class=\"c0\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\"/>",
            x(point.0),
            y(point.1)
        );
    }
    for (value, anchor) in [(x0, "start"), ((x0 + x1) / 2.0, "middle"), (x1, "end")] {
        text(&mut out, x(value), bottom + 20.0, anchor, &tidy(value));
    }
    out.push_str("</svg>");
    out
}

fn open(height: f64) -> String {
    format!(
        "<svg class=\"still\" viewBox=\"0 0 {WIDTH} {height:.0}\" aria-hidden=\"true\" focusable=\"false\">"
    )
}

/// From nought, or from the least where it is below; never empty.
fn bounds(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (least, most) = values.fold((0.0_f64, 0.0_f64), |(a, b), v| (a.min(v), b.max(v)));
    if least < most { (least, most) } else { (0.0, 1.0) }
}

/// Five lines across with their values.
fn scale(out: &mut String, least: f64, most: f64, left: f64, y: &dyn Fn(f64) -> f64) {
    for n in 0..5 {
        let value = least + (most - least) * f64::from(n) / 4.0;
        let at = y(value);
        let _ =
            write!(out, "<path class=\"grid-line\" d=\"M{left} {at:.1}H{:.1}\"/>", WIDTH - 20.0);
        text(out, left - 8.0, at + 4.0, "end", &tidy(value));
    }
}

fn text(out: &mut String, x: f64, y: f64, anchor: &str, words: &str) {
    let _ = write!(out, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">");
    xml_text(words, out);
    out.push_str("</text>");
}

/// A number for the eye.
fn tidy(value: f64) -> String {
    match value.abs() {
        n if n >= 1e8 => format!("{:.1}e8", value / 1e8),
        n if n >= 1000.0 || value.fract() == 0.0 => format!("{value:.0}"),
        n if n >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}

/// At most so many characters.
fn short(words: &str, most: usize) -> String {
    if words.chars().count() <= most {
        return words.to_owned();
    }
    let mut out: String = words.chars().take(most - 1).collect();
    out.push('…');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bar(name: Option<&str>, value: f64) -> Bar {
        Bar { name: name.map(str::to_owned), figure: Some(value.to_string()), value }
    }

    #[test]
    fn drawings_escape_names_and_bear_nothing_empty_and_below_nought() {
        let all = [bar(Some("<b>&"), 3.0), bar(None, -2.0), bar(Some("甲"), 0.0)];
        for drawn in [
            bars(&all, "空"),
            line(&all, "空"),
            pie(&all, "空"),
            bars(&[], "空"),
            line(&[], "空"),
            pie(&[], "空"),
        ] {
            assert!(drawn.starts_with("<svg") && drawn.ends_with("</svg>"), "{drawn}");
            assert!(
                !drawn.contains("<b>") && !drawn.contains("NaN") && !drawn.contains("inf"),
                "{drawn}"
            );
            assert!(!drawn.contains("style="), "{drawn}");
        }
        assert!(bars(&all, "空").contains("&lt;b&gt;&amp;"));
        assert!(bars(&all, "空").contains(">空<"));
        // The one part above nought is the whole pie.
        assert!(pie(&all, "空").contains("<circle"));
        let points = scatter(&[(1.0, 1.0), (1.0, 1.0)]);
        assert!(!points.contains("NaN") && points.matches("<circle").count() == 2, "{points}");
    }
}
