//! Lines laid out on pages of A4, then drawn.

use krilla::Document;
use krilla::color::rgb;
use krilla::geom::Point;
use krilla::num::NormalizedF32;
use krilla::page::PageSettings;
use krilla::paint::Fill;
use krilla::text::{Font, TextDirection};
use model::{Error, Result};

use crate::width::Widths;

/// A4 in points, and its margins.
const WIDE: f32 = 595.0;
const HIGH: f32 = 842.0;
const MARGIN: f32 = 64.0;
const FOOT: f32 = 40.0;

/// Sizes of letters in points; a line is half as high again.
const TITLE: f32 = 18.0;
const HEADING: f32 = 13.0;
const BODY: f32 = 10.5;
const SMALL: f32 = 8.5;
const LEADING: f32 = 1.6;
/// Where the values of facts begin.
const VALUES: f32 = 150.0;

/// A line at its place.
struct Line {
    x: f32,
    y: f32,
    size: f32,
    text: String,
}

/// Pages being filled.
pub(crate) struct Pages<'a> {
    widths: &'a Widths,
    full: Vec<Vec<Line>>,
    open: Vec<Line>,
    /// Where the next line stands.
    y: f32,
}

impl<'a> Pages<'a> {
    pub(crate) fn new(widths: &'a Widths) -> Self {
        Self { widths, full: Vec::new(), open: Vec::new(), y: MARGIN }
    }

    fn turn(&mut self) {
        self.full.push(std::mem::take(&mut self.open));
        self.y = MARGIN;
    }

    /// Room for a line of this size; a new page where there is none.
    fn room(&mut self, size: f32) {
        if self.y + size * LEADING > HIGH - MARGIN {
            self.turn();
        }
        self.y += size * LEADING;
    }

    fn block(&mut self, text: &str, size: f32) {
        for text in self.widths.lines(text, size, WIDE - 2.0 * MARGIN) {
            self.room(size);
            self.open.push(Line { x: MARGIN, y: self.y, size, text });
        }
    }

    pub(crate) fn title(&mut self, text: &str) {
        self.block(text, TITLE);
        self.y += TITLE;
    }

    pub(crate) fn heading(&mut self, text: &str, new_page: bool) {
        if new_page && !self.open.is_empty() {
            self.turn();
        }
        self.y += HEADING / 2.0;
        self.block(text, HEADING);
        self.y += HEADING / 4.0;
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.block(text, BODY);
        self.y += BODY / 2.0;
    }

    pub(crate) fn facts(&mut self, facts: &[(String, String)]) {
        for (name, value) in facts {
            let names = self.widths.lines(name, BODY, VALUES - BODY);
            let values = self.widths.lines(value, BODY, WIDE - 2.0 * MARGIN - VALUES);
            for n in 0..names.len().max(values.len()) {
                self.room(BODY);
                let (left, right) = (names.get(n).cloned(), values.get(n).cloned());
                for (x, text) in [(MARGIN, left), (MARGIN + VALUES, right)] {
                    if let Some(text) = text {
                        self.open.push(Line { x, y: self.y, size: BODY, text });
                    }
                }
            }
        }
        self.y += BODY / 2.0;
    }

    /// Draws what was laid out; `number` and the page's number stand at the foot.
    pub(crate) fn draw(mut self, document: &mut Document, font: &Font, number: &str) -> Result<()> {
        self.turn();
        let all = self.full.len();
        for (n, mut lines) in self.full.into_iter().enumerate() {
            lines.push(Line { x: MARGIN, y: HIGH - FOOT, size: SMALL, text: number.to_owned() });
            let text = format!("{} / {all}", n + 1);
            lines.push(Line { x: WIDE - MARGIN - 24.0, y: HIGH - FOOT, size: SMALL, text });
            let settings = PageSettings::from_wh(WIDE, HIGH)
                .ok_or_else(|| Error::internal("a page has no size"))?;
            let mut page = document.start_page_with(settings);
            let mut surface = page.surface();
            surface.set_fill(Some(Fill {
                paint: rgb::Color::new(0, 0, 0).into(),
                opacity: NormalizedF32::ONE,
                ..Fill::default()
            }));
            for line in lines.iter().filter(|l| !l.text.trim().is_empty()) {
                let at = Point::from_xy(line.x, line.y);
                let ltr = TextDirection::LeftToRight;
                surface.draw_text(at, font.clone(), line.size, &line.text, false, ltr);
            }
            surface.finish();
            page.finish();
        }
        Ok(())
    }
}
