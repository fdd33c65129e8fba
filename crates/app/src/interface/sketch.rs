//! A description to start from, drawn from an entry: its key as parameters, what may be shared as items.

use std::fmt::Write as _;

use model::code::{DataType, OpenType, ShareType};
use model::entry::Entry;
use model::interface::Kind;
use model::item::Item;

/// The text of a description of this kind for an entry.
#[must_use]
pub fn sketch(entry: &Entry, kind: Kind) -> String {
    let draft = &entry.draft;
    let shared: Vec<&Item> = draft
        .items
        .iter()
        .filter(|i| i.share_type != ShareType::None || i.open_type != OpenType::None)
        .collect();
    // Rows are asked by their whole business key; where it may not be shared, by a look-up item.
    let primary: Vec<&Item> = shared.iter().filter(|i| i.primary).copied().collect();
    let whole =
        !primary.is_empty() && primary.len() == draft.items.iter().filter(|i| i.primary).count();
    let lookup = || shared.iter().find(|i| i.lookup).copied();
    let keys: Vec<&Item> = match (whole, kind, lookup()) {
        // One key a row: a batch looks up by one item.
        (true, Kind::Batch, Some(lookup)) if primary.len() > 1 => vec![lookup],
        (true, ..) => primary,
        (false, _, Some(lookup)) => vec![lookup],
        (false, _, None) => primary,
    };
    let plain = |t: DataType| shared.iter().find(move |i| i.data_type == t && !i.primary).copied();
    let mut text = format!(
        "title = {}\ndescription = \"\"\nkind = \"{kind}\"\nentry = \"{}\"\n",
        quoted(&format!("{}{}", draft.title, kind.zh())),
        draft.code
    );
    if kind == Kind::Batch {
        text.push_str("most_keys = 100\n");
    }
    if matches!(kind, Kind::List | Kind::Fuzzy | Kind::Incremental) {
        text.push_str("page_rows = 50\nmost_rows = 1000\n");
    }
    let param = |text: &mut String, item: &Item, how: &str, required: bool| {
        // Writing into a String cannot fail.
        let _ = write!(
            text,
            "\n[[param]]\nname = \"{0}\"\nitem = \"{0}\"\nmatch = \"{how}\"\nrequired = {required}\nnote = {1}\n",
            item.identifier,
            quoted(&item.name_cn)
        );
    };
    match kind {
        Kind::Query | Kind::Batch | Kind::Composed => {
            let n = if kind == Kind::Batch { 1 } else { keys.len() };
            keys.iter().take(n).for_each(|i| param(&mut text, i, "equal", true));
        }
        Kind::Verify => {
            keys.iter().for_each(|i| param(&mut text, i, "equal", true));
            let claimed =
                shared.iter().find(|i| !keys.iter().any(|k| k.identifier == i.identifier));
            claimed.iter().for_each(|i| param(&mut text, i, "equal", true));
        }
        Kind::Fuzzy => {
            if let Some(item) = plain(DataType::Text) {
                param(&mut text, item, "contains", true);
            }
        }
        Kind::Statistics => {
            // By what has few values: an item whose values are listed before any text.
            let listed =
                shared.iter().find(|i| i.value_domain.contains('|') && !i.primary).copied();
            let group = listed.or_else(|| plain(DataType::Text));
            let group = group.map(|i| i.identifier.as_str()).unwrap_or_default();
            let _ = write!(
                text,
                "\n[statistics]\ngroup_by = [\"{group}\"]\n\n[[statistics.measure]]\nhow = \"count\"\n"
            );
        }
        Kind::Proxied => keys.iter().for_each(|i| param(&mut text, i, "equal", true)),
        Kind::List | Kind::Incremental | Kind::File => {}
    }
    match kind {
        Kind::Verify | Kind::Statistics => {}
        Kind::Proxied => {
            returns(&mut text, &shared);
            upstream(&mut text, &keys, &draft.items);
        }
        Kind::Composed => {
            text.push_str(
                "\n[[part]]\nname = \"other\"\nentry = \"\"\nitem = \"\"\nequals = \"\"\noptional = false\n",
            );
            returns(&mut text, &shared);
        }
        _ => returns(&mut text, &shared),
    }
    text
}

/// A service to be described: every item under its own name, keys in the query.
fn upstream(text: &mut String, keys: &[&Item], items: &[Item]) {
    text.push_str(
        "\n[upstream]\nurl = \"https://\"\nmethod = \"GET\"\nform = \"json\"\nrows_at = \"/data\"\ntimeout_ms = 5000\nmost_bytes = 1048576\nretries = 1\ncache_seconds = 0\n",
    );
    for key in keys {
        let _ =
            write!(text, "\n[[upstream.send]]\nparam = \"{}\"\ninto = \"query\"\n", key.identifier);
    }
    for item in items {
        let name = &item.identifier;
        let _ = write!(text, "\n[[upstream.take]]\nitem = \"{name}\"\nfrom = \"{name}\"\n");
    }
}

fn returns(text: &mut String, items: &[&Item]) {
    for item in items {
        let _ = write!(text, "\n[[return]]\nitem = \"{}\"\n", item.identifier);
    }
}

/// A TOML string.
fn quoted(text: &str) -> String {
    let plain: String = text.chars().filter(|c| !c.is_control()).collect();
    format!("\"{}\"", plain.replace('\\', "\\\\").replace('"', "\\\""))
}
