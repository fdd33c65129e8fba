//! JSON records taken apart: the cells of one record by column.

use std::collections::HashMap;

use model::parcel::SniffedColumn;

use crate::cell::{Cell, Mark};
use crate::json_scan::{self, Kind};
use crate::shape::Shape;
use crate::why::Why;

/// The cells of one record by column; columns are added as names appear.
pub(crate) struct Fields {
    pub(crate) names: Vec<String>,
    at: HashMap<String, usize>,
    text: String,
    spans: Vec<Option<(usize, usize)>>,
    geo: bool,
    kind: Kind,
}

impl Fields {
    pub(crate) fn new(geo: bool, kind: Kind) -> Self {
        Self {
            names: Vec::new(),
            at: HashMap::new(),
            text: String::new(),
            spans: Vec::new(),
            geo,
            kind,
        }
    }

    pub(crate) fn clear(&mut self) {
        self.text.clear();
        self.spans.clear();
    }

    pub(crate) fn cell(&self, at: usize) -> Option<Cell<'_>> {
        let (start, end) = (*self.spans.get(at)?)?;
        Some(Cell { text: self.text.get(start..end)?, mark: Mark::Exact })
    }

    fn put(&mut self, name: &str, raw: &str) {
        let at = match self.at.get(name) {
            Some(at) => *at,
            None => {
                let at = self.names.len();
                self.names.push(name.to_owned());
                self.at.insert(name.to_owned(), at);
                at
            }
        };
        let span = json_scan::cell_text(raw).map(|text| {
            let start = self.text.len();
            self.text.push_str(&text);
            (start, self.text.len())
        });
        if self.spans.len() <= at {
            self.spans.resize(at + 1, None);
        }
        if let Some(slot) = self.spans.get_mut(at) {
            *slot = span;
        }
    }

    /// Takes a record's raw text apart.
    pub(crate) fn take(&mut self, raw: &str) -> Result<(), Why> {
        self.clear();
        if self.kind == Kind::Map {
            return self.take_member(raw);
        }
        check(raw)?;
        if self.kind == Kind::Scalars {
            self.put("value", raw);
            return Ok(());
        }
        if !raw.starts_with('{') {
            return Err(Why::plain("记录不是 JSON 对象", "the record is not a JSON object"));
        }
        if self.geo {
            return self.take_feature(raw);
        }
        for (name, value) in json_scan::members(raw) {
            self.put(&name, value);
        }
        Ok(())
    }

    fn take_feature(&mut self, raw: &str) -> Result<(), Why> {
        let members = json_scan::members(raw);
        let find = |name: &str| members.iter().find(|(k, _)| k == name).map(|(_, v)| *v);
        let properties = find("properties").filter(|p| p.starts_with('{'));
        if let Some(id) = find("id") {
            let taken =
                properties.is_some_and(|p| json_scan::members(p).iter().any(|(k, _)| k == "id"));
            self.put(if taken { "feature_id" } else { "id" }, id);
        }
        if let Some(properties) = properties {
            for (name, value) in json_scan::members(properties) {
                let name = if name == "geometry" { "properties_geometry" } else { &name };
                self.put(name, value);
            }
        }
        match find("geometry") {
            Some(geometry) => self.put("geometry", geometry),
            None => return Err(Why::plain("要素缺少 geometry", "the feature has no geometry")),
        }
        Ok(())
    }

    /// `"key": value` of an object used as a table.
    fn take_member(&mut self, raw: &str) -> Result<(), Why> {
        let wrapped = format!("{{{raw}}}");
        check(&wrapped)?;
        for (key, value) in json_scan::members(&wrapped) {
            let quoted = serde_json::to_string(&key).unwrap_or_default();
            self.put("key", &quoted);
            if value.starts_with('{') {
                for (name, value) in json_scan::members(value) {
                    self.put(if name == "key" { "key_2" } else { &name }, value);
                }
            } else {
                self.put("value", value);
            }
        }
        Ok(())
    }
}

pub(crate) fn check(raw: &str) -> Result<(), Why> {
    json_scan::valid(raw).map_err(|e| {
        Why::told(
            format!("不是合法的 JSON（记录内第 {} 行第 {} 列）", e.line(), e.column()),
            format!("is not valid JSON (line {}, column {} of the record)", e.line(), e.column()),
        )
    })
}

pub(crate) fn columns_of(
    table: &Fields,
    shapes: &[(Shape, u64)],
    records: u64,
) -> Vec<SniffedColumn> {
    table
        .names
        .iter()
        .zip(shapes)
        .map(|(name, (shape, present))| {
            let mut column = shape.column(name);
            column.nullable |= *present < records;
            if table.geo && name == "geometry" {
                column.data_type = model::code::DataType::Geometry;
            }
            column
        })
        .collect()
}
