//! RDF/XML: each row is a resource `{page}#row-N`, each data item a property `{page}#identifier`, values typed by XSD.

use std::fmt::Write as _;

use model::Result;
use model::value::{Rows, Value};

use crate::export::{Encoder, Heading, xml_text};

pub(super) struct Rdf {
    pub(super) heading: Heading,
    pub(super) row: u64,
}

fn datatype(value: &Value) -> &'static str {
    match value {
        Value::Null | Value::Text(_) => "",
        Value::Integer(_) => "integer",
        Value::Decimal(_) => "decimal",
        Value::Float(_) => "double",
        Value::Boolean(_) => "boolean",
        Value::Date(_) => "date",
        Value::DateTime(_) => "dateTime",
    }
}

impl Encoder for Rdf {
    fn head(&mut self) -> Result<Vec<u8>> {
        let mut out = String::from(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <rdf:RDF xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\" \
             xmlns:rdfs=\"http://www.w3.org/2000/01/rdf-schema#\" xmlns:d=\"",
        );
        xml_text(&self.heading.page, &mut out);
        out.push_str("#\">\n");
        for (id, name) in &self.heading.columns {
            out.push_str("<rdf:Property rdf:about=\"");
            xml_text(&self.heading.page, &mut out);
            let _ = write!(out, "#{id}\"><rdfs:label xml:lang=\"zh\">");
            xml_text(name, &mut out);
            out.push_str("</rdfs:label></rdf:Property>\n");
        }
        Ok(out.into_bytes())
    }
    fn rows(&mut self, rows: &Rows) -> Result<Vec<u8>> {
        let mut out = String::with_capacity(rows.rows.len() * 160);
        for row in &rows.rows {
            self.row += 1;
            out.push_str("<rdf:Description rdf:about=\"");
            xml_text(&self.heading.page, &mut out);
            let _ = write!(out, "#row-{}\">", self.row);
            for ((id, _), cell) in self.heading.columns.iter().zip(row) {
                let Some(text) = cell.to_text() else { continue };
                let _ = match datatype(cell) {
                    "" => write!(out, "<d:{id}>"),
                    kind => write!(
                        out,
                        "<d:{id} rdf:datatype=\"http://www.w3.org/2001/XMLSchema#{kind}\">"
                    ),
                };
                xml_text(&text, &mut out);
                let _ = write!(out, "</d:{id}>");
            }
            out.push_str("</rdf:Description>\n");
        }
        Ok(out.into_bytes())
    }
    fn tail(&mut self) -> Result<Vec<u8>> {
        Ok(b"</rdf:RDF>\n".to_vec())
    }
}
