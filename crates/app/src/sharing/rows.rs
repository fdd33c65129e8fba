//! Rows that a share application is limited to, by organisation and by values: checked when it is filed, narrowed by whoever decides it,
//! then and later. What was asked for is never widened: more rows are a new application.

use model::code::{DataType, Grade, ShareType};
use model::entry::Entry;
use model::ident;
use model::item::Item;
use model::reading::cell::Cell;
use model::reading::typing::{Doubt, Field, Hint};
use model::reading::why::Why;
use model::request::{Request, RequestState, RequestWay, RowRange, RowValues};
use model::{Code, Error, FieldError, Op, Result};
use policy::{Action, Target};

use super::ask::{reason_needed, refuse_faults, settled, wrong_state};
use super::look::visible;
use crate::{App, audit};

/// Most items rows are limited by, and most values of one.
const MOST_ITEMS: usize = 10;
const MOST_VALUES: usize = 100;

/// Narrows the rows of an application: by whoever decides its present stage, or could end it once it is approved. It holds at the next
/// call, in this process at once.
pub async fn limit_rows(
    app: &App,
    op: &Op,
    id: &str,
    range: RowRange,
    reason: &str,
) -> Result<Request> {
    let request = visible(app, op, id).await?;
    let action = deciding(request.state).ok_or_else(|| wrong_state(request.state))?;
    let permit = audit::permit(app, op, action, &Target::request(&request)).await?;
    let reason = reason.trim();
    if reason.is_empty() {
        return Err(reason_needed("限定行范围", "limiting the rows"));
    }
    let entry = app.store.entry_get(&request.entry).await?;
    let entry = entry.ok_or_else(|| Error::not_found("目录", "entry", &request.entry))?;
    let range = tidy(&entry, range);
    refuse_faults(faults(&entry, app.policy.org_item(&entry.draft.items), None, &range))?;
    if !range.within(&request.row_range) {
        return Err(wider(&request.row_range));
    }
    if range == request.row_range {
        return Ok(request);
    }
    let told = format!("{reason} [{range}]");
    app.store.request_limit(&permit, op, &request, &range, &told).await?;
    let limited = Request { row_range: range, ..request };
    settled(app, op, "request.limit", &limited, reason.to_owned()).await?;
    visible(app, op, id).await
}

/// Whether the caller may narrow the rows of an application as it stands.
#[must_use]
pub fn may_limit(app: &App, op: &Op, request: &Request) -> bool {
    let target = Target::request(request);
    deciding(request.state).is_some_and(|action| app.may(op, action, &target))
}

/// Identifier of the item that holds the organisation a row belongs to, where the entry has one.
#[must_use]
pub fn org_item<'a>(app: &App, entry: &'a Entry) -> Option<&'a str> {
    app.policy.org_item(&entry.draft.items).map(|i| i.identifier.as_str())
}

fn deciding(state: RequestState) -> Option<Action> {
    match state {
        RequestState::ProviderAuditing => Some(Action::RequestReviewProvider),
        RequestState::AuthorityAuditing => Some(Action::RequestReviewAuthority),
        RequestState::Approved => Some(Action::RequestRevoke),
        RequestState::Rejected
        | RequestState::Undone
        | RequestState::Revoked
        | RequestState::Expired => None,
    }
}

fn wider(agreed: &RowRange) -> Error {
    Error::new(
        Code::RuleBroken,
        format!("行范围只能在申请的范围（{agreed}）之内收窄，不能放宽；需要更多行请由申请人重新申请"),
        format!("rows are only narrowed within what was asked for ({agreed}); more of them need a new application"),
    )
    .field("row_values", "超出申请的范围", "beyond what was asked for")
}

/// The same range with each value as the item's type reads it, each once. What cannot be read stays as it was written: [`faults`] names it.
pub(super) fn tidy(entry: &Entry, range: RowRange) -> RowRange {
    let one = |only: RowValues| {
        let name = only.item.trim();
        let item = entry.draft.item(name);
        let mut values: Vec<String> = Vec::with_capacity(only.values.len());
        for written in only.values.iter().map(|v| v.trim()).filter(|v| !v.is_empty()) {
            let read = item.and_then(|i| read(i, written).ok());
            let value = read.unwrap_or_else(|| written.to_owned());
            if !values.contains(&value) {
                values.push(value);
            }
        }
        RowValues { item: name.to_owned(), values }
    };
    RowRange { org: range.org.trim().to_owned(), only: range.only.into_iter().map(one).collect() }
}

/// A value as the item's values are kept.
fn read(item: &Item, text: &str) -> std::result::Result<String, Why> {
    let mut field = Field::new(item, Hint::default(), 1);
    field.push(Some(Cell::plain(text)), true, Doubt { nul: true, damage: true })?;
    let value = field.column.value(0).to_text();
    value.ok_or_else(|| Why::plain("是空值", "means no value"))
}

/// Whether somebody who may have the unconditional items anyway learns nothing by choosing these rows: what they are chosen by is shared
/// without condition and not masked.
pub(super) fn harmless(entry: &Entry, range: &RowRange) -> bool {
    range.only.iter().filter_map(|only| entry.draft.item(&only.item)).all(|item| {
        item.share_type == ShareType::Unconditional
            && item.grade == Grade::L1
            && item.mask.is_none()
    })
}

/// What is wrong with a range. `by_org` is the item that holds the organisation of a row; `way` that of an applicant, who may choose rows
/// only by what is offered to it.
pub(super) fn faults(
    entry: &Entry,
    by_org: Option<&Item>,
    way: Option<RequestWay>,
    range: &RowRange,
) -> Vec<FieldError> {
    let mut faults = Vec::new();
    if !range.org.is_empty() {
        faults.extend(org_fault(by_org, &range.org));
    }
    if range.only.len() > MOST_ITEMS {
        faults.push(values_fault(
            format!("最多按 {MOST_ITEMS} 个数据项限定行范围"),
            format!("rows are limited by {MOST_ITEMS} items at most"),
        ));
        return faults;
    }
    for (n, only) in range.only.iter().enumerate() {
        let twice = range.only.iter().take(n).any(|before| before.item == only.item);
        faults.extend(match twice {
            true => Some(values_fault(
                format!("数据项 `{}` 重复，请把取值写在一起", only.item),
                format!("the item `{}` stands twice: write its values together", only.item),
            )),
            false => one_fault(entry, way, only),
        });
    }
    faults
}

fn org_fault(by_org: Option<&Item>, org: &str) -> Option<FieldError> {
    let told = |zh: String, en: String| Some(FieldError { field: "row_org".into(), zh, en });
    let Some(item) = by_org else {
        return told(
            "该资源没有单位代码数据项，不能按单位提供，请把所属单位改为“不限”".into(),
            "the resource has no item that holds the organisation's code, so that rows cannot be limited to one: choose “All”"
                .into(),
        );
    };
    if let Err(e) = ident::uscc(org) {
        return told(e.zh().to_owned(), e.en().to_owned());
    }
    match read(item, org) {
        Ok(value) if value == org => None,
        _ => told(
            format!("数据项 `{}` 存放的不是统一社会信用代码，不能按单位提供", item.identifier),
            format!(
                "the item `{}` does not hold credit codes: rows cannot be limited by it",
                item.identifier
            ),
        ),
    }
}

fn one_fault(entry: &Entry, way: Option<RequestWay>, only: &RowValues) -> Option<FieldError> {
    let name = &only.item;
    let Some(item) = entry.draft.item(name) else {
        return Some(values_fault(
            format!("目录没有数据项 `{name}`，不能按它限定行范围"),
            format!("the entry has no item `{name}` to limit rows by"),
        ));
    };
    if way.is_some_and(|way| !way.offers(item)) {
        return Some(values_fault(
            format!(
                "数据项 `{name}` 不对申请人提供，不能由申请人按它限定行范围；可由数源单位审核时设定"
            ),
            format!(
                "the item `{name}` is not offered: an applicant cannot choose rows by it; the provider may when deciding"
            ),
        ));
    }
    if matches!(item.data_type, DataType::Json | DataType::Geometry) {
        return Some(values_fault(
            format!("数据项 `{name}` 的类型不能用于限定行范围"),
            format!("rows cannot be limited by the type of the item `{name}`"),
        ));
    }
    if only.values.is_empty() || only.values.len() > MOST_VALUES {
        return Some(values_fault(
            format!("请为数据项 `{name}` 填写 1 至 {MOST_VALUES} 个取值，每行一个"),
            format!("give 1 to {MOST_VALUES} values for the item `{name}`, one a line"),
        ));
    }
    only.values.iter().find_map(|value| {
        let why = read(item, value).err()?;
        let shown: String = value.chars().take(40).collect();
        Some(values_fault(
            format!("数据项 `{name}` 的取值 `{shown}` {}", why.zh),
            format!("the value `{shown}` for the item `{name}` {}", why.en),
        ))
    })
}

fn values_fault(zh: String, en: String) -> FieldError {
    FieldError { field: "row_values".into(), zh, en }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(identifier: &str, data_type: DataType) -> Item {
        Item {
            share_type: ShareType::Unconditional,
            ..Item::new(identifier, identifier, data_type)
        }
    }

    #[test]
    fn a_value_is_kept_as_its_type_reads_it() {
        let number = item("n", DataType::Integer);
        assert_eq!(read(&number, "007").unwrap(), "7");
        assert!(read(&number, "seven").is_err());
        assert!(read(&item("t", DataType::Text), "NULL").is_err(), "it means no value");
        assert_eq!(read(&item("t", DataType::Text), "007").unwrap(), "007");
        let mut status = item("s", DataType::Text);
        status.value_domain = "在业|注销".into();
        assert!(read(&status, "在业").is_ok());
        let why = read(&status, "停业").unwrap_err();
        assert!(why.zh.contains("在业|注销"), "{why:?}");
    }

    #[test]
    fn an_organisation_needs_an_item_that_holds_its_code() {
        let code = "91330100799655058B";
        assert!(org_fault(None, code).is_some());
        assert!(org_fault(Some(&item("dwdm", DataType::Text)), code).is_none());
        assert!(org_fault(Some(&item("dwdm", DataType::Integer)), code).is_some());
        assert!(org_fault(Some(&item("dwdm", DataType::Text)), "某局").is_some());
    }
}
