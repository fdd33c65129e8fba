//! Rows that a share application is limited to: of an area, of an organisation, with certain values. All of it becomes one condition of
//! the grant, which every engine applies inside its plan. What cannot be kept releases nothing: never more than was agreed.

use model::code::DataType;
use model::item::Item;
use model::query::{Comparison, Condition};
use model::region::{self, RegionLevel};
use model::request::{Request, RowValues};
use model::{Code, Error, Result};

use crate::{GrantAsk, Policy, Via};

impl Policy {
    /// The item that holds the region code of a row: an area range needs one.
    #[must_use]
    pub fn region_item<'a>(&self, items: &'a [Item]) -> Option<&'a Item> {
        self.masks().region_item(items)
    }

    /// The item that holds the credit code of the organisation a row belongs to: a range of one organisation needs it.
    #[must_use]
    pub fn org_item<'a>(&self, items: &'a [Item]) -> Option<&'a Item> {
        self.masks().org_item(items)
    }

    /// The rows that were agreed; `None`: all.
    pub(crate) fn row_filter(&self, ask: &GrantAsk<'_>) -> Result<Option<Condition>> {
        let Via::Request(request) = ask.via else { return Ok(None) };
        let items = &ask.entry.draft.items;
        let mut all: Vec<Condition> = Vec::new();
        all.extend(self.in_area(request, items)?);
        all.extend(self.of_org(request, items)?);
        for only in &request.row_range.only {
            all.push(with_values(only, items)?);
        }
        Ok(if all.len() > 1 { Some(Condition::And(all)) } else { all.pop() })
    }

    fn in_area(&self, request: &Request, items: &[Item]) -> Result<Option<Condition>> {
        let area = request.area_range.trim();
        if area.is_empty() {
            return Ok(None);
        }
        let Some(item) = self.region_item(items) else {
            return Err(Error::new(
                Code::NoGrant,
                "共享申请限定了区域范围，而该资源没有行政区划数据项，无法按区域提供，请撤回后重新申请",
                "the agreement is limited to an area, and the resource has no region item to limit it by: withdraw it and \
                 apply anew",
            )
            .with_reasons(vec!["area.no-region-item".to_owned()]));
        };
        let level = region::level_of(area).map_err(|e| {
            Error::new(
                Code::NoGrant,
                format!("共享申请的区域范围有误：{}", e.zh()),
                format!("the area range of the share application is wrong: {}", e.en()),
            )
        })?;
        Ok(Some(within(item, area, level)))
    }

    fn of_org(&self, request: &Request, items: &[Item]) -> Result<Option<Condition>> {
        let org = request.row_range.org.trim();
        if org.is_empty() {
            return Ok(None);
        }
        let Some(item) = self.org_item(items) else {
            return Err(Error::new(
                Code::NoGrant,
                "共享申请限定了所属单位，而该资源没有单位代码数据项，无法按单位提供，请撤回后重新申请",
                "the agreement is limited to the rows of an organisation, and the resource has no item that holds its code: \
                 withdraw it and apply anew",
            )
            .with_reasons(vec!["rows.no-org-item".to_owned()]));
        };
        Ok(Some(on(item, Comparison::Eq(org.to_owned()))))
    }
}

/// Rows in which an item has one of the values.
fn with_values(only: &RowValues, items: &[Item]) -> Result<Condition> {
    let item = items.iter().find(|i| i.identifier == only.item);
    match (item, only.values.as_slice()) {
        (None, _) | (_, []) => Err(Error::new(
            Code::NoGrant,
            format!(
                "共享申请按数据项 `{}` 限定了行范围，而该资源已没有此数据项或未给出取值，无法提供，请撤回后重新申请",
                only.item
            ),
            format!(
                "the agreement is limited to rows by the item `{}`, which the resource has no more, or by no value: withdraw \
                 it and apply anew",
                only.item
            ),
        )
        .with_reasons(vec!["rows.no-item".to_owned()])),
        (Some(item), [value]) => Ok(on(item, Comparison::Eq(value.clone()))),
        (Some(item), values) => Ok(on(item, Comparison::In(values.to_vec()))),
    }
}

/// Rows whose region code lies in `area`.
fn within(item: &Item, area: &str, level: RegionLevel) -> Condition {
    let digits = match level {
        RegionLevel::County => return on(item, Comparison::Eq(area.to_owned())),
        RegionLevel::City => 4,
        RegionLevel::Province => 2,
    };
    let prefix: String = area.chars().take(digits).collect();
    match item.data_type {
        DataType::Integer | DataType::Decimal | DataType::Float => Condition::And(vec![
            on(item, Comparison::Gte(format!("{prefix:0<6}"))),
            on(item, Comparison::Lte(format!("{prefix:9<6}"))),
        ]),
        _ => on(item, Comparison::Like(format!("{prefix}%"))),
    }
}

fn on(item: &Item, comparison: Comparison) -> Condition {
    Condition::Column { column: item.identifier.clone(), comparison }
}
