//! Data items of an entry by their names, for pages that know them by identifier (what an application asks for).

use minijinja::{Value, context};
use model::entry::{Entry, EntryDraft};
use model::{Error, Kind, Result};

use crate::Door;
use crate::view::value;
use crate::visit::Visit;

/// The items of these identifiers, in their order: `identifier`, and `item` where the declaration that the reader may see has it.
pub(crate) fn named(draft: Option<&EntryDraft>, identifiers: &[String]) -> Vec<Value> {
    identifiers
        .iter()
        .map(|identifier| {
            let item = draft.and_then(|draft| draft.item(identifier));
            context! { identifier, item => item.map(value) }
        })
        .collect()
}

/// The items of these identifiers of an entry by its id, named as far as the reader may see it.
pub(crate) async fn of_entry(
    door: &Door,
    visit: &Visit,
    id: &str,
    identifiers: &[String],
) -> Result<Vec<Value>> {
    if identifiers.is_empty() {
        return Ok(Vec::new());
    }
    let entry = entry(door, visit, id).await?;
    Ok(named(entry.as_ref().map(|e| &e.draft), identifiers))
}

/// The entry of this id or code as far as the reader may see it; none where the reader may not, or where it is no more.
pub(crate) async fn entry(door: &Door, visit: &Visit, id: &str) -> Result<Option<Entry>> {
    seen(app::catalogue::get(&door.app, &visit.op, id).await)
}

/// The open entry of this code as everybody sees it; none where it is not open any more.
pub(crate) async fn dataset(door: &Door, visit: &Visit, code: &str) -> Result<Option<Entry>> {
    let dataset = app::opening::dataset(&door.app, &visit.op, code).await;
    seen(dataset.map(|dataset| dataset.entry))
}

fn seen(entry: Result<Entry>) -> Result<Option<Entry>> {
    match entry {
        Ok(entry) => Ok(Some(entry)),
        Err(error) if hidden(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

fn hidden(error: &Error) -> bool {
    matches!(error.kind(), Kind::NotFound | Kind::Denied)
}

#[cfg(test)]
mod tests {
    use model::code::DataType;
    use model::item::Item;

    use super::*;

    #[test]
    fn an_item_that_is_no_more_keeps_its_identifier() {
        let draft = EntryDraft {
            items: vec![Item::new("xm", "姓名", DataType::Text)],
            ..crate::console::empty_draft("o1", "330100")
        };
        let asked = ["gone".to_owned(), "xm".to_owned()];
        let told = |draft: Option<&EntryDraft>| {
            let one = |i: &Value| {
                let item = i.get_attr("item").unwrap();
                let name = item.get_attr("name_cn").map(|n| n.to_string()).unwrap_or_default();
                (i.get_attr("identifier").unwrap().to_string(), name)
            };
            named(draft, &asked).iter().map(one).collect::<Vec<_>>()
        };
        let pair = |id: &str, name: &str| (id.to_owned(), name.to_owned());
        assert_eq!(told(Some(&draft)), [pair("gone", ""), pair("xm", "姓名")]);
        assert_eq!(told(None), [pair("gone", ""), pair("xm", "")]);
    }
}
