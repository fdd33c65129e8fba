//! JSON: an array of objects, one row a line.

use model::value::Rows;
use model::{Error, Result};

use crate::export::{Encoder, Heading};

pub(super) struct Json {
    /// Column names as JSON strings with their colon.
    keys: Vec<String>,
    first: bool,
}

impl Json {
    pub(super) fn new(heading: Heading) -> Self {
        let key = |id: &String| format!("{}:", serde_json::Value::String(id.clone()));
        Self { keys: heading.columns.iter().map(|(id, _)| key(id)).collect(), first: true }
    }
}

impl Encoder for Json {
    fn head(&mut self) -> Result<Vec<u8>> {
        Ok(b"[".to_vec())
    }
    fn rows(&mut self, rows: &Rows) -> Result<Vec<u8>> {
        let mut out = Vec::with_capacity(rows.rows.len() * 64);
        for row in &rows.rows {
            out.extend_from_slice(if self.first { b"\n{" } else { b",\n{" });
            self.first = false;
            for (i, (key, cell)) in self.keys.iter().zip(row).enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                out.extend_from_slice(key.as_bytes());
                serde_json::to_writer(&mut out, cell)
                    .map_err(|e| Error::internal(format!("json: {e}")))?;
            }
            out.push(b'}');
        }
        Ok(out)
    }
    fn tail(&mut self) -> Result<Vec<u8>> {
        Ok(b"\n]\n".to_vec())
    }
}
