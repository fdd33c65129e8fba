//! A table's columns, their types and the items they go to.

use std::collections::HashMap;

use model::item::Item;
use model::rail::RailColumn;
use model::{Code, Error, Result};

use super::decode::Relation;
use super::kind::{Kind, TypeSeen};
use super::place::{Session, cell, literal, table};
use crate::matching::{Header, Matched, settle};

/// A column as the catalogue of the database has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) seen: TypeSeen,
    pub(super) primary: bool,
    pub(super) identity: bool,
    pub(super) empty: bool,
}

/// A table as the catalogue of the database has it.
#[derive(Clone, Debug, Default)]
pub(super) struct TableSeen {
    /// `r`, `p` (partitioned), …
    pub(super) form: String,
    /// `d`, `f`, `i`, `n`.
    pub(super) identity: String,
    pub(super) rows: u64,
    pub(super) columns: Vec<Column>,
    pub(super) generated: Vec<String>,
    /// Columns of each unique index.
    pub(super) unique: Vec<Vec<String>>,
    pub(super) readable: bool,
    pub(super) owned: bool,
}

/// Looks a table up; `None` when there is none.
pub(super) async fn look(session: &Session, place: &str) -> Result<Option<TableSeen>> {
    let name = literal(&table(place));
    let head = session
        .ask(&format!(
            "SELECT c.oid, c.relkind, c.relreplident, greatest(c.reltuples, 0)::bigint,
                    has_table_privilege(c.oid, 'SELECT')::text, pg_has_role(c.relowner, 'USAGE')::text
             FROM pg_class c WHERE c.oid = to_regclass({name})"
        ))
        .await?;
    let Some(head) = head.first() else { return Ok(None) };
    let oid = cell(head, 0).to_owned();
    let columns = session
        .ask(&format!(
            "SELECT a.attname, a.atttypid, a.atttypmod, a.attnotnull::text, a.attgenerated,
               EXISTS (SELECT FROM pg_index i WHERE i.indrelid = a.attrelid AND i.indisprimary AND a.attnum = ANY (i.indkey))::text,
               EXISTS (SELECT FROM pg_index i WHERE i.indrelid = a.attrelid AND i.indisreplident AND a.attnum = ANY (i.indkey))::text
             FROM pg_attribute a WHERE a.attrelid = {oid} AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum"
        ))
        .await?;
    let unique = session
        .ask(&format!(
            "SELECT i.indexrelid, a.attname FROM pg_index i
             JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
             WHERE i.indrelid = {oid} AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
             ORDER BY i.indexrelid"
        ))
        .await?;
    let wanted: Vec<(u32, i32)> = columns
        .iter()
        .map(|row| (cell(row, 1).parse().unwrap_or(0), cell(row, 2).parse().unwrap_or(-1)))
        .collect();
    let types = types(session, &wanted).await?;
    let mut seen = TableSeen {
        form: cell(head, 1).to_owned(),
        identity: cell(head, 2).to_owned(),
        rows: cell(head, 3).parse().unwrap_or(0),
        readable: cell(head, 4) == "true",
        owned: cell(head, 5) == "true",
        ..TableSeen::default()
    };
    for (row, seen_type) in columns.iter().zip(types) {
        let name = cell(row, 0).to_owned();
        // The log does not carry generated columns.
        if !cell(row, 4).is_empty() {
            seen.generated.push(name);
            continue;
        }
        let primary = cell(row, 5) == "true";
        seen.columns.push(Column {
            name,
            seen: seen_type,
            primary,
            identity: match seen.identity.as_str() {
                "f" => true,
                "i" => cell(row, 6) == "true",
                "d" => primary,
                _ => false,
            },
            empty: cell(row, 3) != "true",
        });
    }
    let mut indexes: Vec<(String, Vec<String>)> = Vec::new();
    for row in &unique {
        let (index, column) = (cell(row, 0), cell(row, 1).to_owned());
        match indexes.last_mut() {
            Some((last, columns)) if last == index => columns.push(column),
            _ => indexes.push((index.to_owned(), vec![column])),
        }
    }
    seen.unique = indexes.into_iter().map(|(_, columns)| columns).collect();
    Ok(Some(seen))
}

/// Types of columns by number and modifier, in the order asked for.
pub(super) async fn types(session: &Session, wanted: &[(u32, i32)]) -> Result<Vec<TypeSeen>> {
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let list: Vec<String> =
        wanted.iter().map(|(oid, modifier)| format!("({oid}::oid, {modifier})")).collect();
    let list = list.join(", ");
    let names = session
        .ask(&format!(
            "SELECT v.o, v.m, format_type(v.o, v.m)
                || CASE WHEN t.typtype = 'd' THEN ' ' || format_type(t.typbasetype, t.typtypmod) ELSE '' END
             FROM (VALUES {list}) v (o, m) LEFT JOIN pg_type t ON t.oid = v.o"
        ))
        .await?;
    let chains = session
        .ask(&format!(
            "WITH RECURSIVE up AS (
               SELECT t.oid AS root, 0 AS depth, t.typname, t.typtype, t.typcategory, t.typbasetype, t.typelem
               FROM pg_type t WHERE t.oid IN (SELECT v.o FROM (VALUES {list}) v (o, m))
               UNION ALL
               SELECT up.root, up.depth + 1, t.typname, t.typtype, t.typcategory, t.typbasetype, t.typelem
               FROM up JOIN pg_type t ON t.oid = CASE WHEN up.typtype = 'd' THEN up.typbasetype
                 WHEN up.typcategory = 'A' AND up.typelem <> 0 THEN up.typelem END
             ) SELECT root, typname, typtype, typcategory FROM up ORDER BY root, depth DESC"
        ))
        .await?;
    let mut kinds: HashMap<u32, Kind> = HashMap::new();
    for row in &chains {
        // From the innermost type outwards.
        let root: u32 = cell(row, 0).parse().unwrap_or(0);
        let (name, class, category) = (cell(row, 1), cell(row, 2), cell(row, 3));
        let kind = match (class, category, kinds.remove(&root)) {
            ("d", _, Some(base)) => base,
            (_, "A", Some(element)) => Kind::Array(Box::new(element)),
            _ => Kind::of(name, class, category),
        };
        kinds.insert(root, kind);
    }
    let name_of = |oid: u32, modifier: i32| {
        let (oid, modifier) = (oid.to_string(), modifier.to_string());
        names
            .iter()
            .find(|row| cell(row, 0) == oid && cell(row, 1) == modifier)
            .map_or_else(|| format!("oid {oid}"), |row| cell(row, 2).to_owned())
    };
    Ok(wanted
        .iter()
        .map(|(oid, modifier)| TypeSeen {
            kind: kinds.get(oid).cloned().unwrap_or(Kind::Unknown),
            name: name_of(*oid, *modifier),
        })
        .collect())
}

/// Columns in the order in which their values come, with the items they go to.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    pub(super) place: String,
    pub(super) items: Vec<Item>,
    pub(super) names: Vec<String>,
    pub(super) types: Vec<TypeSeen>,
    pub(super) primary: Vec<bool>,
    pub(super) matched: Matched,
    /// Columns of the business key.
    pub(super) key: Vec<usize>,
    /// Item of each column.
    of_column: Vec<Option<usize>>,
    /// Columns whose values may be refused before they are typed; `None` when some have to be put into other words.
    doubtful: Option<Vec<usize>>,
}

impl Shape {
    /// Matches columns to items. A missing item that must not be empty is refused, a missing key too.
    pub(super) fn of(
        place: &str,
        items: &[Item],
        columns: Vec<(String, TypeSeen, bool)>,
    ) -> Result<Self> {
        let headers: Vec<Header> =
            columns.iter().map(|(name, _, _)| Header::plain(name.clone())).collect();
        let mut matched = settle(&headers, items, true, None)?;
        // The word of the operation stands after the columns.
        matched.operation = Some(columns.len());
        let key: Vec<usize> = items
            .iter()
            .zip(&matched.of_item)
            .filter(|(item, _)| item.primary)
            .filter_map(|(_, column)| *column)
            .collect();
        if key.is_empty() {
            return Err(Error::new(
                Code::RuleBroken,
                "目录没有业务主键，无法按行同步；请先为目录设置主键",
                "the entry has no business key, so that rows cannot be followed; declare a key first",
            ));
        }
        let of_column: Vec<Option<usize>> = (0..columns.len())
            .map(|at| matched.of_item.iter().position(|column| *column == Some(at)))
            .collect();
        let used =
            || columns.iter().enumerate().filter(|(at, _)| of_column.get(*at) != Some(&None));
        let doubtful = used().all(|(_, (_, seen, _))| seen.kind.borrows()).then(|| {
            used().filter(|(_, (_, seen, _))| seen.kind.refuses()).map(|(at, _)| at).collect()
        });
        let (mut names, mut types, mut primary) = (Vec::new(), Vec::new(), Vec::new());
        for (name, seen, is_key) in columns {
            names.push(name);
            types.push(seen);
            primary.push(is_key);
        }
        let (place, items) = (place.to_owned(), items.to_vec());
        Ok(Self { place, items, names, types, primary, matched, key, of_column, doubtful })
    }

    pub(super) fn of_table(place: &str, items: &[Item], seen: &TableSeen) -> Result<Self> {
        let columns =
            seen.columns.iter().map(|c| (c.name.clone(), c.seen.clone(), c.primary)).collect();
        Self::of(place, items, columns)
    }

    /// As the log describes it.
    pub(super) async fn of_relation(
        session: &Session,
        relation: &Relation,
    ) -> Result<Vec<(String, TypeSeen, bool)>> {
        let wanted: Vec<(u32, i32)> =
            relation.columns.iter().map(|c| (c.type_id, c.modifier)).collect();
        let types = types(session, &wanted).await?;
        Ok(relation
            .columns
            .iter()
            .zip(types)
            .map(|(column, seen)| (column.name.clone(), seen, column.key))
            .collect())
    }

    /// Columns with their items, for people.
    pub(super) fn columns(&self) -> Vec<RailColumn> {
        self.names
            .iter()
            .zip(&self.types)
            .zip(&self.primary)
            .enumerate()
            .map(|(at, ((name, seen), key))| RailColumn {
                name: name.clone(),
                kind: seen.name.clone(),
                key: *key,
                item: self.item_of(at).map(|item| item.identifier.clone()),
            })
            .collect()
    }

    /// Columns that are asked before a row is typed as it stands; `None` when values have to be put into other words.
    pub(super) fn doubtful(&self) -> Option<&[usize]> {
        self.doubtful.as_deref()
    }

    /// The item a column goes to.
    pub(super) fn item_of(&self, column: usize) -> Option<&Item> {
        self.items.get(self.of_column.get(column).copied().flatten()?)
    }
}

/// What differs between the columns known and those now, in both languages.
pub(super) fn differences(known: &[RailColumn], now: &[RailColumn]) -> Vec<(String, String)> {
    let mut told = Vec::new();
    for old in known {
        match now.iter().find(|c| c.name == old.name) {
            None => told.push((
                format!("列 {}（{}）已删除或改名", old.name, old.kind),
                format!("column {} ({}) was dropped or renamed", old.name, old.kind),
            )),
            Some(new) if new.kind != old.kind => told.push((
                format!("列 {} 的类型由 {} 改为 {}", old.name, old.kind, new.kind),
                format!(
                    "the type of column {} changed from {} to {}",
                    old.name, old.kind, new.kind
                ),
            )),
            Some(_) => {}
        }
    }
    for new in now {
        if !known.iter().any(|c| c.name == new.name) {
            told.push((
                format!("新增列 {}（{}）", new.name, new.kind),
                format!("column {} ({}) was added", new.name, new.kind),
            ));
        }
    }
    told
}
