//! The part of a form that says which rows alone are wanted or agreed: of an organisation, and with certain values.

use minijinja::{Value, context};
use model::entry::Entry;
use model::request::{RowRange, RowValues};

use crate::Door;
use crate::form::Posted;
use crate::visit::Visit;

/// Lines of a form: what is set, some empty ones, and no more than this.
const MOST: usize = 10;
const EMPTY: usize = 2;

/// Reads `row_org` and, of each line, `row_item_N` and `row_values_N` (a value a line). A line with values and no item is kept, so that
/// it is told of and not passed over.
pub(super) fn read(posted: &Posted) -> RowRange {
    let only = (1..=MOST).filter_map(|n| {
        let item = posted.get(&format!("row_item_{n}")).to_owned();
        let values = posted.get(&format!("row_values_{n}"));
        let values: Vec<String> =
            values.lines().map(str::trim).filter(|v| !v.is_empty()).map(str::to_owned).collect();
        (!item.is_empty() || !values.is_empty()).then_some(RowValues { item, values })
    });
    RowRange { org: posted.get("row_org").to_owned(), only: only.collect() }
}

/// What the form shows for a range over the items that may be chosen, `(identifier, name)`.
pub(super) fn form(
    door: &Door,
    visit: &Visit,
    entry: &Entry,
    known: &[(String, String)],
    range: &RowRange,
) -> Value {
    let names = door.names.get();
    let by_org = app::sharing::org_item(&door.app, entry).is_some();
    let orgs: Vec<Value> = match by_org {
        true => names
            .orgs
            .iter()
            .map(|o| context! { uscc => &o.uscc, name => names.org(&o.id, visit.lang) })
            .collect(),
        false => Vec::new(),
    };
    let known: Vec<Value> = known
        .iter()
        .map(|(id, name)| context! { value => id, name => format!("{name} {id}") })
        .collect();
    let count = (range.only.len() + EMPTY).min(MOST.max(range.only.len()));
    let lines: Vec<Value> = (0..count)
        .map(|n| {
            let one = range.only.get(n);
            context! {
                n => n + 1,
                item => one.map(|o| o.item.clone()).unwrap_or_default(),
                values => one.map(|o| o.values.join("\n")).unwrap_or_default(),
            }
        })
        .collect();
    context! { by_org, orgs, org => &range.org, known, lines }
}

/// Name of the organisation that has a credit code; the code itself where nobody is known by it.
pub(super) fn org_name(door: &Door, visit: &Visit, uscc: &str) -> String {
    let names = door.names.get();
    let org = names.orgs.iter().find(|o| o.uscc == uscc);
    org.map_or(uscc, |o| names.org(&o.id, visit.lang)).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_and_none_is_passed_over() {
        let posted = Posted::of(&[
            ("row_org", " 91330100799655058B "),
            ("row_item_1", "status"),
            ("row_values_1", "1\r\n 2 \n\n"),
            ("row_item_2", ""),
            ("row_values_2", ""),
            ("row_item_3", ""),
            ("row_values_3", "x"),
        ]);
        let range = read(&posted);
        assert_eq!(range.org, "91330100799655058B");
        let told = |at: usize| (range.only[at].item.as_str(), range.only[at].values.join("|"));
        assert_eq!(range.only.len(), 2);
        assert_eq!((told(0), told(1)), (("status", "1|2".into()), ("", "x".into())));
    }
}
