//! What stands over the columns of a table (CSV, XLSX): identifiers, as programs want them, or the names of the data items.

use std::collections::HashMap;

use app::opening::Dataset;

/// Which heads a table has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Heads {
    /// 标识符: those that files, tables and calls share.
    #[default]
    Identifier,
    /// 中文名称
    Chinese,
    /// 英文名称
    English,
}

impl Heads {
    /// By the word of the address (`heads=zh`, `heads=en`); `None` for any other.
    pub(crate) fn parse(word: &str) -> Option<Self> {
        match word {
            "zh" => Some(Heads::Chinese),
            "en" => Some(Heads::English),
            _ => None,
        }
    }
    /// What the address adds for them; nothing for the heads that every table has without asking.
    pub(crate) fn asked(self) -> Option<&'static str> {
        match self {
            Heads::Identifier => None,
            Heads::Chinese => Some("heads=zh"),
            Heads::English => Some("heads=en"),
        }
    }
    /// The heads of these columns (identifier and Chinese name each), in their order. A column without such a name has its
    /// identifier; names that several columns of the table share have it in brackets behind them.
    pub(crate) fn over(self, dataset: &Dataset, columns: &[(String, String)]) -> Vec<String> {
        let english: HashMap<&str, &str> = match self {
            Heads::English => {
                let items = dataset.entry.draft.items.iter();
                items.map(|i| (i.identifier.as_str(), i.name_en.as_str())).collect()
            }
            Heads::Identifier | Heads::Chinese => HashMap::new(),
        };
        let named = columns.iter().map(|(id, chinese)| {
            let name = match self {
                Heads::Identifier => id.as_str(),
                Heads::Chinese => chinese.as_str(),
                Heads::English => english.get(id.as_str()).copied().unwrap_or_default(),
            };
            (id.as_str(), name)
        });
        apart(&named.collect::<Vec<_>>())
    }
}

/// Heads of columns (identifier and name each) of which no two are the same.
fn apart(columns: &[(&str, &str)]) -> Vec<String> {
    let head = |(id, name): &(&str, &str)| match name.trim() {
        "" => (*id).to_owned(),
        name => name.to_owned(),
    };
    let mut times: HashMap<String, usize> = HashMap::new();
    for column in columns {
        *times.entry(head(column)).or_default() += 1;
    }
    let single = |name: &str| times.get(name).is_none_or(|n| *n < 2);
    columns
        .iter()
        .map(|column| match head(column) {
            name if single(&name) || name == column.0 => name,
            name => format!("{name} ({})", column.0),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_without_a_name_keeps_its_identifier_and_names_that_repeat_are_told_apart() {
        let columns = [("id", "编号"), ("a", "名称"), ("b", "名称 "), ("c", ""), ("d", "c")];
        assert_eq!(apart(&columns), ["编号", "名称 (a)", "名称 (b)", "c", "c (d)"]);
        assert_eq!(apart(&[]), Vec::<String>::new());
    }

    #[test]
    fn only_the_words_of_the_address_are_read() {
        for heads in [Heads::Chinese, Heads::English] {
            let word = heads.asked().and_then(|asked| asked.strip_prefix("heads=")).unwrap();
            assert_eq!(Heads::parse(word), Some(heads));
        }
        assert_eq!(Heads::default().asked(), None);
        for odd in ["", "ZH", "cn", "zh,en"] {
            assert_eq!(Heads::parse(odd), None, "{odd}");
        }
    }
}
