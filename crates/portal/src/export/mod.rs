//! Rows as files: each format is an encoder of row chunks, streamed in constant memory.

mod csv;
mod geojson;
pub(crate) mod heads;
mod json;
pub(crate) mod known;
pub(crate) mod measure;
mod rdf;
mod ready;
pub(crate) mod xlsx;
mod xml;

use app::audit::Tally;
use app::opening::{Dataset, Geometry};
use axum::body::Body;
use futures::stream::{self, BoxStream, StreamExt};
use model::Result;
use model::value::{LineForm, Lines, Rows};

/// Turns rows into a file's bytes, chunk by chunk.
pub(crate) trait Encoder: Send {
    /// What stands before the first row.
    fn head(&mut self) -> Result<Vec<u8>>;
    fn rows(&mut self, rows: &Rows) -> Result<Vec<u8>>;
    /// What stands after the last row.
    fn tail(&mut self) -> Result<Vec<u8>>;
}

/// What an encoder needs to know of the data set.
#[derive(Clone, Debug)]
pub(crate) struct Heading {
    pub(crate) code: String,
    pub(crate) title: String,
    /// Address of the data-set page, the root of RDF names.
    pub(crate) page: String,
    /// Identifier and Chinese name of each column.
    pub(crate) columns: Vec<(String, String)>,
    /// What stands over each column of a table; everything else is by identifier.
    pub(crate) heads: Vec<String>,
    pub(crate) geometry: Option<Geometry>,
}

impl Heading {
    pub(crate) fn new(dataset: &Dataset, columns: &[(String, String)], base: &str) -> Self {
        let code = dataset.entry.draft.code.clone();
        Self {
            page: format!("{base}/data/{code}"),
            code,
            title: dataset.entry.draft.title.clone(),
            columns: columns.to_vec(),
            heads: columns.iter().map(|(id, _)| id.clone()).collect(),
            geometry: dataset.geometry.clone(),
        }
    }
    /// The same with other heads over its columns.
    pub(crate) fn headed(self, heads: Vec<String>) -> Self {
        Self { heads, ..self }
    }
}

/// Formats that are streamed; workbooks go by a file (see [`xlsx`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// For spreadsheet programs: with a byte-order mark, so that they read Chinese right, and no text that they take for a
    /// formula. Or for programs: without, and exact.
    Csv {
        bom: bool,
    },
    Json,
    Xml,
    Rdf,
    GeoJson,
    /// By column, for programs; its pieces come ready.
    Parquet,
}

impl Format {
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Format::Csv { .. } => "text/csv; charset=utf-8",
            Format::Json => "application/json",
            Format::Xml => "application/xml; charset=utf-8",
            Format::Rdf => "application/rdf+xml; charset=utf-8",
            Format::GeoJson => "application/geo+json",
            Format::Parquet => "application/vnd.apache.parquet",
        }
    }
    pub(crate) fn encoder(self, heading: Heading) -> Box<dyn Encoder> {
        match self {
            Format::Csv { bom } => Box::new(csv::Csv { heading, bom }),
            Format::Json => Box::new(json::Json::new(heading)),
            Format::Xml => Box::new(xml::Xml { heading }),
            Format::Rdf => Box::new(rdf::Rdf { heading, row: 0 }),
            Format::GeoJson => Box::new(geojson::GeoJson::new(heading)),
            Format::Parquet => Box::new(ready::Ready),
        }
    }
}

/// A body that encodes as it is read, keeping `tally` of what leaves. An error after the first byte breaks the transfer
/// off, so that a part is never taken for the whole.
pub(crate) fn body(
    encoder: Box<dyn Encoder>,
    rows: BoxStream<'static, Result<Rows>>,
    tally: Option<Tally>,
) -> Body {
    poured(encoder, rows.map(|chunk| chunk.map(Piece::Rows)).boxed(), tally)
}

/// A body whose rows come ready as bytes: what `encoder` would write of them.
pub(crate) fn lines(
    encoder: Box<dyn Encoder>,
    lines: BoxStream<'static, Result<Lines>>,
    tally: Option<Tally>,
) -> Body {
    poured(encoder, lines.map(|chunk| chunk.map(Piece::Lines)).boxed(), tally)
}

/// How lines of CSV are written here: with the mark of spreadsheets no text is a formula to them, without it every text is exact.
pub(crate) fn line_form(bom: bool) -> LineForm {
    LineForm { between: b',', passed: None, harmless: bom }
}

/// Rows on their way out.
enum Piece {
    Rows(Rows),
    Lines(Lines),
}

fn poured(
    encoder: Box<dyn Encoder>,
    rows: BoxStream<'static, Result<Piece>>,
    tally: Option<Tally>,
) -> Body {
    enum Step {
        Head,
        Rows,
        Done,
    }
    let start = (encoder, rows, Step::Head, tally);
    let bytes = stream::unfold(start, |(mut encoder, mut rows, step, mut tally)| async move {
        let mut count = 0;
        let (mut piece, mut next) = match step {
            Step::Head => (encoder.head(), Step::Rows),
            Step::Rows => match rows.next().await {
                Some(Ok(Piece::Rows(chunk))) => {
                    count = chunk.rows.len();
                    (encoder.rows(&chunk), Step::Rows)
                }
                Some(Ok(Piece::Lines(chunk))) => {
                    count = chunk.rows;
                    (Ok(chunk.bytes), Step::Rows)
                }
                Some(Err(error)) => (Err(error), Step::Done),
                None => (encoder.tail(), Step::Done),
            },
            Step::Done => return None,
        };
        match &piece {
            Ok(bytes) => {
                if let Some(tally) = &mut tally {
                    tally.add(count, bytes.len());
                }
            }
            Err(error) => {
                tracing::error!(error = error.operator_text(), "a download broke off");
                next = Step::Done;
            }
        }
        if matches!(next, Step::Done)
            && let Some(tally) = tally.take()
            && let Err(error) = tally.end(piece.as_ref().err()).await
        {
            piece = Err(error);
        }
        Some((piece, (encoder, rows, next, tally)))
    });
    Body::from_stream(bytes)
}

/// Escapes text for XML, dropping characters XML cannot hold.
pub(crate) fn xml_text(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\r' => out.push_str("&#13;"),
            '\t' | '\n' => out.push(c),
            c if c < ' ' || c == '\u{fffe}' || c == '\u{ffff}' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::value::Value;

    fn heading() -> Heading {
        Heading {
            code: "parking".into(),
            title: "停车场 <1>".into(),
            page: "http://site/data/parking".into(),
            columns: vec![
                ("name".into(), "名称".into()),
                ("spaces".into(), "泊位数".into()),
                ("wz".into(), "位置".into()),
            ],
            heads: vec!["name".into(), "spaces".into(), "wz".into()],
            geometry: Some(Geometry::Item("wz".into())),
        }
    }

    fn chunks() -> Vec<Result<Rows>> {
        let columns = vec!["name".to_owned(), "spaces".to_owned(), "wz".to_owned()];
        let rows = [
            vec![
                Value::Text("A, \"甲\" & <乙>\n二行".into()),
                Value::Integer(12),
                Value::Text("POINT (120.1 30.2)".into()),
            ],
            vec![Value::Text("B\u{1}".into()), Value::Null, Value::Null],
        ];
        vec![
            Ok(Rows { columns: columns.clone(), rows: rows[..1].to_vec() }),
            Ok(Rows { columns, rows: rows[1..].to_vec() }),
        ]
    }

    async fn whole(format: Format) -> String {
        let body = body(format.encoder(heading()), stream::iter(chunks()).boxed(), None);
        let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn csv_quotes_and_marks() {
        let text = whole(Format::Csv { bom: true }).await;
        assert!(text.starts_with("\u{feff}name,spaces,wz\r\n"), "{text}");
        assert!(
            text.contains("\"A, \"\"甲\"\" & <乙>\n二行\",12,POINT (120.1 30.2)\r\n"),
            "{text}"
        );
        assert!(!whole(Format::Csv { bom: false }).await.starts_with('\u{feff}'));
    }

    #[test]
    fn csv_heads_are_no_formulas_to_spreadsheets_and_exact_to_programs() {
        let head = |bom: bool| {
            let heads = vec!["=名称".into(), "泊位, 数".into(), "位置".into()];
            let bytes = Format::Csv { bom }.encoder(heading().headed(heads)).head().unwrap();
            String::from_utf8(bytes).unwrap()
        };
        assert_eq!(head(true), "\u{feff}'=名称,\"泊位, 数\",位置\r\n");
        assert_eq!(head(false), "=名称,\"泊位, 数\",位置\r\n");
    }

    #[tokio::test]
    async fn json_and_geojson_are_whole() {
        let json: serde_json::Value = serde_json::from_str(&whole(Format::Json).await).unwrap();
        assert_eq!(json.as_array().unwrap().len(), 2);
        assert_eq!(json[0]["spaces"], 12);
        assert!(json[1]["spaces"].is_null());
        let geo: serde_json::Value = serde_json::from_str(&whole(Format::GeoJson).await).unwrap();
        assert_eq!(geo["features"][0]["geometry"]["coordinates"][0], 120.1);
        assert!(geo["features"][1]["geometry"].is_null());
        assert_eq!(geo["features"][0]["properties"]["spaces"], 12);
        assert!(geo["features"][0]["properties"].get("wz").is_none());
    }

    #[tokio::test]
    async fn xml_escapes_and_leaves_nulls_out() {
        let text = whole(Format::Xml).await;
        assert!(text.contains("<name>A, &quot;甲&quot; &amp; &lt;乙&gt;\n二行</name>"), "{text}");
        assert!(text.contains("<name>B\u{fffd}</name></row>"), "{text}");
        assert!(text.ends_with("</dataset>\n"));
        let text = whole(Format::Rdf).await;
        assert!(text.contains("rdf:about=\"http://site/data/parking#row-2\""), "{text}");
        assert!(text.ends_with("</rdf:RDF>\n"));
    }

    #[tokio::test]
    async fn a_failure_breaks_the_transfer_off() {
        let mut all = chunks();
        all.push(Err(model::Error::internal("gone")));
        let body = body(Format::Json.encoder(heading()), stream::iter(all).boxed(), None);
        assert!(axum::body::to_bytes(body, usize::MAX).await.is_err());
    }
}
