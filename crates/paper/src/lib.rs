//! Papers (文书): agreements as PDF/A-2b (ISO 19005-2). The only crate that draws pages.
//!
//! A [`Press`] holds one font that has Chinese letters; lines are broken by the widths the font gives its letters, pages when they are
//! full. A letter that the font does not have is printed as `□`, since the standard allows no letter without a shape.

mod page;
mod width;

use std::borrow::Cow;
use std::sync::Arc;

use krilla::Document;
use krilla::SerializeSettings;
use krilla::configure::{Archival, ConfigurationBuilder};
use krilla::metadata::{DateTime, Metadata};
use krilla::text::Font;
use model::{Code, Error, Result};
use policy::port::{Paper, PaperPart, PaperSheet};

use self::page::Pages;
use self::width::Widths;

/// Prints papers with one font.
pub struct Press {
    font: Option<Arc<Cow<'static, [u8]>>>,
}

impl Press {
    /// `font`: bytes of a TrueType or OpenType font with Chinese letters; without one nothing can be printed.
    #[must_use]
    pub fn new(font: Option<Cow<'static, [u8]>>) -> Self {
        Self { font: font.map(Arc::new) }
    }

    fn font(&self) -> Result<(Font, Widths)> {
        let missing = || {
            Error::new(
                Code::StoreUnavailable,
                "未配置中文字体，无法生成 PDF；请由管理员以 [paper] font = \"字体文件路径\" 指定（TrueType 或 OpenType），网页打印不受影响",
                "no Chinese font is configured, so that no PDF can be made: the administrator names one by [paper] font = \"path of the font file\" (TrueType or OpenType); printing the page works without",
            )
        };
        let bytes = self.font.as_ref().ok_or_else(missing)?;
        let data: Arc<dyn AsRef<[u8]> + Send + Sync> = bytes.clone();
        let font = Font::new(data.into(), 0);
        let widths = Widths::of(Arc::clone(bytes));
        font.zip(widths).ok_or_else(|| missing().detail("the font file cannot be read".to_owned()))
    }
}

impl std::fmt::Debug for Press {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Press").field("font", &self.font.is_some()).finish()
    }
}

impl Paper for Press {
    fn print(&self, sheet: &PaperSheet) -> Result<Vec<u8>> {
        let (font, widths) = self.font()?;
        let mut pages = Pages::new(&widths);
        pages.title(&sheet.title);
        for part in &sheet.parts {
            match part {
                PaperPart::Heading { text, new_page } => pages.heading(text, *new_page),
                PaperPart::Text(text) => pages.text(text),
                PaperPart::Facts(facts) => pages.facts(facts),
            }
        }
        let configuration = ConfigurationBuilder::new()
            .with_archival_validator(Archival::A2_B)
            .finish()
            .map_err(|e| Error::internal("PDF/A-2b").caused_by(format!("{e:?}")))?;
        let mut document =
            Document::new_with(SerializeSettings { configuration, ..SerializeSettings::default() });
        document.set_metadata(metadata(sheet, &widths));
        pages.draw(&mut document, &font, &widths.shown(&sheet.number))?;
        document
            .finish()
            .map_err(|e| Error::internal("a PDF was not made").caused_by(format!("{e:?}")))
    }
}

fn metadata(sheet: &PaperSheet, widths: &Widths) -> Metadata {
    let mut metadata = Metadata::new()
        .title(widths.shown(&sheet.title))
        .language(sheet.language.clone())
        .document_id(sheet.number.clone())
        .creator("Qiantang".to_owned());
    if let Some(at) = date(&sheet.at) {
        metadata = metadata.creation_date(at);
    }
    metadata
}

/// `2026-03-02T01:00:00.000Z`
fn date(at: &str) -> Option<DateTime> {
    let part = |from: usize, to: usize| at.get(from..to);
    let small = |from: usize, to: usize| part(from, to)?.parse::<u8>().ok();
    let year = part(0, 4)?.parse::<u16>().ok()?;
    Some(
        DateTime::new(year)
            .month(small(5, 7)?)
            .day(small(8, 10)?)
            .hour(small(11, 13)?)
            .minute(small(14, 16)?)
            .second(small(17, 19)?)
            .utc_offset_hour(0)
            .utc_offset_minute(0),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The font that the portal's pages bring, where its npm parts are there.
    fn press() -> Option<Press> {
        let place = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../portal/web/node_modules/@expo-google-fonts/noto-sans-sc/400Regular/NotoSansSC_400Regular.ttf"
        );
        std::fs::read(place).ok().map(|font| Press::new(Some(Cow::Owned(font))))
    }

    fn sheet(paragraphs: usize) -> PaperSheet {
        let mut parts = vec![PaperPart::Facts(vec![
            ("编号 Number".into(), "KF-20260302-000001-XY".into()),
            ("甲方 Party".into(), "省市场监管厅".repeat(12)),
        ])];
        for n in 0..paragraphs {
            parts.push(PaperPart::Text(format!(
                "第{n}条 {}\u{1F600}\n(Clause {n})",
                "数据仅在约定范围内使用。".repeat(9)
            )));
        }
        parts.push(PaperPart::Heading { text: "核验页 Verification".into(), new_page: true });
        PaperSheet {
            title: "公共数据开放利用协议".into(),
            number: "KF-20260302-000001-XY".into(),
            language: "zh-CN".into(),
            at: "2026-03-02T01:00:00.000Z".into(),
            parts,
        }
    }

    fn has(bytes: &[u8], word: &str) -> bool {
        bytes.windows(word.len()).any(|w| w == word.as_bytes())
    }

    fn pages(bytes: &[u8]) -> usize {
        let word = b"/Type /Page\n";
        let lean = b"/Type/Page/";
        bytes.windows(word.len()).filter(|w| w == word).count()
            + bytes.windows(lean.len()).filter(|w| w == lean).count()
    }

    #[test]
    fn a_paper_is_pdf_a_with_its_font_inside() {
        let Some(press) = press() else { return };
        let one = press.print(&sheet(1)).unwrap();
        assert!(one.starts_with(b"%PDF-"));
        assert!(has(&one, "pdfaid") && has(&one, "pdfaid:conformance"), "it says what it is");
        assert!(has(&one, "FontFile") && has(&one, "ToUnicode"), "letters can be found and copied");
        let (few, many) = (pages(&one), pages(&press.print(&sheet(60)).unwrap()));
        assert_eq!(few, 2, "the text and the verification page");
        assert!(many > 5, "{many} pages");
        assert_eq!(press.print(&sheet(1)).unwrap(), one, "the same paper, the same bytes");
    }

    #[test]
    fn without_a_font_it_says_what_to_do() {
        for font in [None, Some(Cow::<[u8]>::Owned(vec![1, 2, 3]))] {
            let e = Press::new(font).print(&sheet(1)).unwrap_err();
            assert!(e.en().contains("[paper] font"), "{}", e.en());
        }
    }
}
