//! What a department's database holds: tables, columns, comments and keys, read from its own catalogue in a read-only
//! transaction; each column with the item drafted from it. What is not offered is told, never silently left.

mod mysql;
mod postgres;
mod types;

use std::collections::HashSet;
use std::time::Duration;

use model::schema::{LeftOut, RelationKind, SourceColumn, SourceSchema, TableName};
use model::{Code, Error, Result};

use crate::outgoing::Outgoing;
use crate::query::{Connected, connect};
use types::Mapped;

/// Tables listed at most.
const MOST: usize = 5_000;
/// Longest wait for a database's answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// Characters of a name that is taken from a comment.
const NAME: usize = 50;

/// Reads the tables of a database, or the columns and keys of some of them.
pub(crate) async fn describe(
    outgoing: &Outgoing,
    url: &str,
    only: Option<&[TableName]>,
) -> Result<SourceSchema> {
    let reading = async {
        match connect(outgoing, url).await? {
            Connected::Postgres(client, driver) => {
                let found = postgres::describe(&client, only).await;
                drop(client);
                driver.abort();
                found
            }
            Connected::Mysql(mut conn) => {
                let found = mysql::describe(&mut conn, only).await;
                if found.is_ok() {
                    let _ = conn.disconnect().await;
                }
                found
            }
        }
    };
    tokio::time::timeout(PATIENCE, reading).await.map_err(|_| {
        let seconds = PATIENCE.as_secs();
        Error::new(
            Code::SourceUnavailable,
            format!("数据源在 {seconds} 秒内没有说出库表结构，请核对网络后重试"),
            format!("the source did not tell its tables within {seconds} seconds; check the network and try again"),
        )
    })?
}

/// Something that is not offered.
fn left_out(what: &str, count: i64, zh: &str, en: &str) -> LeftOut {
    LeftOut { what: what.to_owned(), count, zh: zh.to_owned(), en: en.to_owned() }
}

/// Relations that are not tables, told by kind.
fn not_tables(found: &SourceSchema) -> Vec<LeftOut> {
    let count = |kind| {
        let of_kind = found.tables.iter().filter(|t| t.kind == kind).count();
        i64::try_from(of_kind).unwrap_or(0)
    };
    [
        (
            RelationKind::View,
            "视图由别的表算出，请为其来源表编目",
            "views are made of other tables: catalogue those",
        ),
        (
            RelationKind::Snapshot,
            "物化视图由别的表算出，请为其来源表编目",
            "materialised views are made of other tables: catalogue those",
        ),
        (
            RelationKind::Foreign,
            "外部表的数据在别的库，请在那里编目",
            "rows of foreign tables are in another database: catalogue them there",
        ),
        (RelationKind::Other, "序列等不含业务数据", "sequences and the like hold no business data"),
    ]
    .into_iter()
    .filter_map(|(kind, zh, en)| {
        let n = count(kind);
        (n > 0).then(|| left_out(kind.as_str(), n, zh, en))
    })
    .collect()
}

/// A column with its drafted item.
struct Drafting {
    used: HashSet<String>,
}

/// What the database says of a column.
struct Told<'a> {
    name: &'a str,
    sql_type: &'a str,
    /// Type to map, where it differs from the one written (a domain's base).
    base: &'a str,
    comment: &'a str,
    nullable: bool,
    /// Labels of an enumeration.
    labels: Vec<String>,
}

impl Drafting {
    fn new() -> Self {
        Self { used: HashSet::new() }
    }

    fn column(&mut self, at: usize, told: Told<'_>, mysql: bool) -> SourceColumn {
        let comment = told.comment.trim();
        let called = name_of(comment).unwrap_or(told.name);
        let mapped = match told.labels.is_empty() {
            true => types::map(told.base, mysql),
            false => Some(Mapped::text()),
        };
        let item = mapped.as_ref().map(|m| {
            let mut item =
                crate::draft::of_column(told.name, called, m.data_type, at, &mut self.used);
            (item.length, item.precision, item.scale) = (m.length, m.precision, m.scale);
            item.nullable = told.nullable;
            if told.name.is_ascii() {
                item.name_en = told.name.replace('_', " ").trim().to_owned();
            }
            if comment != called {
                comment.clone_into(&mut item.definition);
            }
            if !told.labels.iter().any(|l| l.contains('|')) {
                item.value_domain = told.labels.join("|");
            }
            item
        });
        let note = match mapped {
            Some(m) => m.note,
            None => (
                format!(
                    "类型 {} 不能编目（二进制或数据库自有类型），该列未列入；如需归集，请在查询中转换后另加数据项",
                    told.sql_type
                ),
                format!(
                    "the catalogue has no item for the type {} (binary or the database's own): the column is left out; to collect it, cast it in the query and add an item",
                    told.sql_type
                ),
            ),
        };
        SourceColumn {
            name: told.name.to_owned(),
            sql_type: told.sql_type.to_owned(),
            comment: comment.to_owned(),
            nullable: told.nullable,
            item,
            note,
        }
    }
}

/// The name at the beginning of a comment: `企业名称：营业执照上的名称` is called 企业名称.
fn name_of(comment: &str) -> Option<&str> {
    let marks = ['：', ':', '，', ',', '；', ';', '。', '（', '(', '\n', '\r', '\t', '、', '|'];
    let head = comment.split(marks).next().unwrap_or_default().trim();
    (!head.is_empty() && head.chars().count() <= NAME).then_some(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_begins_with_the_name() {
        for (comment, name) in [
            ("企业名称", Some("企业名称")),
            ("企业名称：营业执照上的名称", Some("企业名称")),
            ("性别（1男 2女）", Some("性别")),
            ("state, one of a b c", Some("state")),
            ("", None),
            ("（空）", None),
        ] {
            assert_eq!(name_of(comment), name, "{comment}");
        }
    }

    #[test]
    fn a_column_is_drafted_with_what_it_is_called() {
        let mut drafting = Drafting::new();
        let told = |name, base, comment| Told {
            name,
            sql_type: base,
            base,
            comment,
            nullable: false,
            labels: Vec::new(),
        };
        let column =
            drafting.column(0, told("ent_name", "character varying(200)", "企业名称：全称"), false);
        let item = column.item.unwrap();
        assert_eq!(
            (item.identifier.as_str(), item.name_cn.as_str(), item.name_en.as_str()),
            ("ent_name", "企业名称", "ent name")
        );
        assert_eq!(
            (item.length, item.nullable, item.definition.as_str()),
            (200, false, "企业名称：全称")
        );
        let sfzh = drafting.column(1, told("SFZH", "varchar(18)", "证件号"), true).item.unwrap();
        assert_eq!((sfzh.identifier.as_str(), sfzh.grade), ("sfzh", model::code::Grade::L3));
        let blob = drafting.column(2, told("photo", "bytea", "照片"), false);
        assert!(blob.item.is_none() && blob.note.0.contains("bytea"), "{:?}", blob.note);
    }
}
