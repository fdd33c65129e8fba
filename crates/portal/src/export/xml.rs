//! XML: one `row` element per row, one element per data item; a missing value has no element.

use std::fmt::Write as _;

use model::Result;
use model::value::Rows;

use crate::export::{Encoder, Heading, xml_text};

pub(super) struct Xml {
    pub(super) heading: Heading,
}

impl Encoder for Xml {
    fn head(&mut self) -> Result<Vec<u8>> {
        let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<dataset code=\"");
        xml_text(&self.heading.code, &mut out);
        out.push_str("\" title=\"");
        xml_text(&self.heading.title, &mut out);
        out.push_str("\">\n");
        Ok(out.into_bytes())
    }
    fn rows(&mut self, rows: &Rows) -> Result<Vec<u8>> {
        let mut out = String::with_capacity(rows.rows.len() * 96);
        for row in &rows.rows {
            out.push_str("<row>");
            for ((id, _), cell) in self.heading.columns.iter().zip(row) {
                if let Some(text) = cell.to_text() {
                    let _ = write!(out, "<{id}>");
                    xml_text(&text, &mut out);
                    let _ = write!(out, "</{id}>");
                }
            }
            out.push_str("</row>\n");
        }
        Ok(out.into_bytes())
    }
    fn tail(&mut self) -> Result<Vec<u8>> {
        Ok(b"</dataset>\n".to_vec())
    }
}
