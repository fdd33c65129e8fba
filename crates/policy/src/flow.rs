//! Grants narrower than an approved share application: of the return flow (回流), what concerns the receiver's own region, and of
//! deliveries (推送), what the receiver wants of it.
//!
//! The application may have been agreed for every row; what flows back by itself is still only what lies in the region of the
//! body that receives: a city its own and its counties' rows, a county its own alone. What is delivered in batches was agreed
//! for batch use.

use model::entry::Entry;
use model::region;
use model::request::Request;
use model::{Code, Error, Op, Result};

use crate::{Action, Grant, GrantAsk, Policy, Via};

/// What is asked of [`Policy::grant_flow`]. `op.actor` is the application that the share application was approved for.
#[derive(Clone, Copy, Debug)]
pub struct FlowAsk<'a> {
    pub entry: &'a Entry,
    pub request: &'a Request,
    /// Region of the body that receives (GB/T 2260).
    pub region: &'a str,
    /// Items wanted of those agreed; empty: all of them.
    pub items: &'a [String],
}

/// What is asked of [`Policy::grant_batch`]. `op.actor` is the application that the share application was approved for.
#[derive(Clone, Copy, Debug)]
pub struct BatchAsk<'a> {
    pub entry: &'a Entry,
    pub request: &'a Request,
    /// Region wanted within what was agreed (GB/T 2260); empty: all that was agreed.
    pub area: &'a str,
    /// Items wanted of those agreed; empty: all of them.
    pub items: &'a [String],
}

impl Policy {
    /// Decides a return flow and says exactly what of the entry. Kept and checked as other grants are.
    pub fn grant_flow(&self, op: &Op, ask: &FlowAsk<'_>) -> Result<Grant> {
        let mut narrowed = of_items(ask.request, ask.items)?;
        narrowed.area_range = area(ask)?;
        let asked = GrantAsk {
            action: Action::RowsFlow,
            entry: ask.entry,
            via: Via::Request(&narrowed),
            row_cap: u64::MAX,
        };
        self.grant_by(op, &asked)
    }

    /// Decides a delivery in batches and says exactly what of the entry: what was agreed, or less of it.
    pub fn grant_batch(&self, op: &Op, ask: &BatchAsk<'_>) -> Result<Grant> {
        let mut narrowed = of_items(ask.request, ask.items)?;
        if !ask.area.is_empty() {
            within_agreed(&narrowed.area_range, ask.area)?;
            ask.area.clone_into(&mut narrowed.area_range);
        }
        let asked = GrantAsk {
            action: Action::RowsBatch,
            entry: ask.entry,
            via: Via::Request(&narrowed),
            row_cap: u64::MAX,
        };
        self.grant(op, &asked)
    }
}

/// An agreement for some of its items only.
fn of_items(request: &Request, items: &[String]) -> Result<Request> {
    let mut narrowed = request.clone();
    if items.is_empty() {
        return Ok(narrowed);
    }
    if let Some(other) = items.iter().find(|i| !request.items.contains(i)) {
        return Err(Error::new(
            Code::ColumnNotGranted,
            format!("数据项 `{other}` 不在共享申请的范围内"),
            format!("the data item `{other}` was not applied for"),
        )
        .with_reasons(vec!["columns.not-granted".to_owned()]));
    }
    narrowed.items.retain(|i| items.contains(i));
    Ok(narrowed)
}

/// The region wanted must lie in the one agreed.
fn within_agreed(agreed: &str, wanted: &str) -> Result<()> {
    region::level_of(wanted).map_err(|e| e.field("area", "请核对", "check"))?;
    let agreed = agreed.trim();
    if agreed.is_empty() || region::covers(agreed, wanted) {
        return Ok(());
    }
    Err(Error::new(
        Code::NoGrant,
        format!("区域 {wanted} 不在共享申请的区域范围 {agreed} 之内"),
        format!("the area {wanted} lies outside the area {agreed} of the share application"),
    )
    .with_reasons(vec!["area.outside-agreed".to_owned()]))
}

/// The area that flows: what was agreed, within the receiver's region. Empty only where the whole entry lies in that region.
fn area(ask: &FlowAsk<'_>) -> Result<String> {
    let agreed = ask.request.area_range.trim();
    let receiver = ask.region;
    region::level_of(receiver).map_err(|e| {
        Error::new(
            Code::NoGrant,
            format!("接收单位的行政区划有误：{}", e.zh()),
            format!("the region of the receiving organisation is wrong: {}", e.en()),
        )
    })?;
    if region::covers(receiver, &ask.entry.draft.region) || region::covers(receiver, agreed) {
        return Ok(agreed.to_owned());
    }
    if agreed.is_empty() || region::covers(agreed, receiver) {
        return Ok(receiver.to_owned());
    }
    Err(Error::new(
        Code::NoGrant,
        format!("共享申请的区域范围 {agreed} 不在接收单位的行政区划 {receiver} 之内，没有可回流的数据"),
        format!(
            "the area {agreed} of the share application lies outside the receiver's region {receiver}: there is nothing to deliver"
        ),
    )
    .with_reasons(vec!["flow.outside-region".to_owned()]))
}

impl Grant {
    /// What decides how released rows look and which they are: two grants of the same shape release the same rows.
    #[must_use]
    pub fn shape(&self) -> String {
        let columns: Vec<String> = self
            .columns
            .iter()
            .map(|c| {
                let mask = c.mask.as_ref().map(model::mask::Mask::label).unwrap_or_default();
                format!("{}:{}:{}:{mask}", c.identifier, c.data_type.as_str(), c.scale)
            })
            .collect();
        format!(
            "1\n{}\n{}\n{}\n{:?}\n{}",
            self.code,
            self.key.join(","),
            columns.join(","),
            self.row_filter,
            self.grantee
        )
    }
}
