//! What an export, or a run of a sandbox over whole data, reads: what those who decide on it see. A statement may read a table that a
//! job made, and the job may be written anew: the statement stays as it was, and what it gives does not. So a decision is about this,
//! and not about a text alone.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::result::{MadeBy, MadeFrom};
use crate::code::Grade;

/// What a statement reads, through the results of jobs down to what was granted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reads {
    /// Granted resources with their items, grades, masks and row filters, and the share applications that granted them.
    pub sources: Vec<MadeFrom>,
    /// Organisations whose data these are, that of the highest grade first.
    pub providers: Vec<String>,
    /// Results of jobs, through all of them, with the statements that made them.
    pub behind: Vec<MadeBy>,
}

impl Reads {
    /// Names of what is not the same now: codes of resources and results; where only whose data they are has changed, the
    /// organisations. Empty: everything is as it was. The order of things, and how they are called, does not matter.
    #[must_use]
    pub fn changed(&self, now: &Self) -> Vec<String> {
        let mut changed = differing(&sources(&self.sources), &sources(&now.sources));
        changed.extend(differing(&statements(&self.behind), &statements(&now.behind)));
        if changed.is_empty() {
            let set = |all: &[String]| all.iter().cloned().collect::<BTreeSet<_>>();
            let (was, is) = (set(&self.providers), set(&now.providers));
            changed.extend(was.symmetric_difference(&is).cloned());
        }
        changed.into_iter().collect()
    }
}

/// Keys that stand for different things, or are on one side only.
fn differing<'a, T: PartialEq>(
    was: &BTreeMap<&'a str, T>,
    now: &BTreeMap<&'a str, T>,
) -> BTreeSet<String> {
    let keys = was.keys().chain(now.keys());
    keys.filter(|key| was.get(*key) != now.get(*key)).map(|key| (*key).to_owned()).collect()
}

/// What is granted of a resource: by which share application, which rows, which items with grade and mask.
type Granted<'a> = (&'a str, &'a str, BTreeSet<(&'a str, Grade, &'a str)>);

fn sources(all: &[MadeFrom]) -> BTreeMap<&str, Granted<'_>> {
    let mut by_code = BTreeMap::new();
    for source in all {
        let items = source.items.iter();
        let items = items.map(|i| (i.identifier.as_str(), i.grade, i.mask.as_str())).collect();
        by_code
            .insert(source.code.as_str(), (source.request.as_str(), source.rows.as_str(), items));
    }
    by_code
}

fn statements(all: &[MadeBy]) -> BTreeMap<&str, BTreeSet<&str>> {
    let mut by_code: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for made in all {
        by_code.entry(&made.code).or_default().insert(&made.sql);
    }
    by_code
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::result::MadeItem;

    fn source(code: &str, mask: &str) -> MadeFrom {
        let item = MadeItem {
            identifier: "sfzh".into(),
            name_cn: "身份证号".into(),
            grade: Grade::L3,
            mask: mask.into(),
        };
        MadeFrom {
            code: code.into(),
            title: code.into(),
            request: "r1".into(),
            items: vec![item],
            rows: String::new(),
        }
    }

    fn by(code: &str, sql: &str) -> MadeBy {
        MadeBy { code: code.into(), sql: sql.into() }
    }

    #[test]
    fn whatever_is_read_otherwise_is_named() {
        let was = Reads {
            sources: vec![source("renkou", "keep(6,4)")],
            providers: vec!["a".into()],
            behind: vec![by("_t_one", "select 1"), by("_t_two", "select x from _t_one")],
        };
        let with = |change: &dyn Fn(&mut Reads)| {
            let mut now = was.clone();
            change(&mut now);
            was.changed(&now)
        };
        assert!(with(&|_| {}).is_empty());
        // How it is called, and in which order it comes, is no change.
        assert!(with(&|now| now.behind.reverse()).is_empty());
        assert!(with(&|now| now.sources[0].title = "人口".into()).is_empty());
        assert_eq!(with(&|now| now.sources = vec![source("renkou", "")]), ["renkou"]);
        assert_eq!(with(&|now| now.sources.push(source("fangchan", ""))), ["fangchan"]);
        assert_eq!(with(&|now| now.sources.clear()), ["renkou"]);
        assert_eq!(with(&|now| now.sources[0].rows = "all".into()), ["renkou"]);
        assert_eq!(with(&|now| now.sources[0].request = "r2".into()), ["renkou"]);
        assert_eq!(with(&|now| now.sources[0].items[0].grade = Grade::L4), ["renkou"]);
        assert_eq!(with(&|now| now.behind[0].sql = "select 2".into()), ["_t_one"]);
        assert_eq!(with(&|now| now.behind.push(by("_t_one", "select 2"))), ["_t_one"]);
        assert_eq!(with(&|now| now.providers.push("b".into())), ["b"]);
        assert_eq!(Reads::default().changed(&was), ["_t_one", "_t_two", "renkou"]);
    }
}
