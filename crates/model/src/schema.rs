//! Schemas of departments' databases (库表结构): what a look found, entries drafted from it, and where a later look found
//! it otherwise (结构变动, drift).

use serde::{Deserialize, Serialize};

use crate::code::code_list;
use crate::item::Item;

code_list! {
    /// What a relation of a database is.
    RelationKind {
        Table = "table", "表", "Table";
        View = "view", "视图", "View";
        Snapshot = "snapshot", "物化视图", "Materialised view";
        Foreign = "foreign", "外部表", "Foreign table";
        Other = "other", "其他", "Other";
    }
}

/// A table by schema and name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TableName {
    pub schema: String,
    pub name: String,
}

impl TableName {
    /// `schema.name`, for lists and records.
    #[must_use]
    pub fn dotted(&self) -> String {
        format!("{}.{}", self.schema, self.name)
    }
    /// One text for forms and the store, from which [`TableName::parse`] reads it whatever the names hold:
    /// `6.public.orders`.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}.{}.{}", self.schema.len(), self.schema, self.name)
    }
    #[must_use]
    pub fn parse(key: &str) -> Option<Self> {
        let (length, rest) = key.split_once('.')?;
        let (schema, name) = rest.split_at_checked(length.parse().ok()?)?;
        Some(Self { schema: schema.to_owned(), name: name.strip_prefix('.')?.to_owned() })
    }
}

/// A table as a look found it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceTable {
    #[serde(flatten)]
    pub of: TableName,
    pub kind: RelationKind,
    pub comment: String,
    /// Rows by the database's own estimate; `None` when it has none.
    pub rows: Option<i64>,
    /// How many columns it has; they themselves are read only when asked for.
    pub width: i64,
    pub columns: Vec<SourceColumn>,
    /// Columns of the primary key, in order.
    pub primary: Vec<String>,
    /// Columns of each unique key.
    pub unique: Vec<Vec<String>>,
    /// Columns of each foreign key, and the table it points to.
    pub foreign: Vec<(Vec<String>, String)>,
}

/// A column as a look found it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceColumn {
    pub name: String,
    /// As the database writes it: `character varying(20)`, `int(10) unsigned`.
    pub sql_type: String,
    pub comment: String,
    pub nullable: bool,
    /// The item drafted from it; `None` where the catalogue has no such type.
    pub item: Option<Item>,
    /// What should be known of the type, Chinese and English; empty when it maps plainly.
    pub note: (String, String),
}

/// Something of a database that is not offered, with the reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    pub what: String,
    pub count: i64,
    pub zh: String,
    pub en: String,
}

/// What a look at a database found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceSchema {
    /// Name and version of the server.
    pub product: String,
    pub tables: Vec<SourceTable>,
    pub left_out: Vec<LeftOut>,
    /// There are more tables than were listed.
    pub more: bool,
}

/// From which table of which source an entry was drafted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    pub entry: String,
    pub source: String,
    pub org: String,
    pub at: String,
    /// As it was when the entry was drafted or last brought level.
    pub table: SourceTable,
}

code_list! {
    /// What differs between two looks at a table.
    ChangeKind {
        TableGone = "table_gone", "表已不存在", "Table gone";
        TableRenamed = "table_renamed", "表疑似改名", "Table renamed, it seems";
        TableComment = "table_comment", "表注释改变", "Table comment changed";
        Added = "added", "新增字段", "Column added";
        Dropped = "dropped", "删除字段", "Column dropped";
        Renamed = "renamed", "字段疑似改名", "Column renamed, it seems";
        Retyped = "retyped", "类型改变", "Type changed";
        Comment = "comment", "注释改变", "Comment changed";
        Nullable = "nullable", "可空性改变", "Nullability changed";
        Primary = "primary", "主键改变", "Primary key changed";
        Unique = "unique", "唯一键改变", "Unique keys changed";
        Foreign = "foreign", "外键改变", "Foreign keys changed";
    }
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchemaChange {
    pub kind: ChangeKind,
    /// Column; empty for the table itself.
    pub column: String,
    pub before: String,
    pub after: String,
}

code_list! {
    /// What became of a drift.
    DriftState {
        Open = "open", "待处理", "Open";
        Taken = "taken", "已采纳", "Taken over";
        Dismissed = "dismissed", "已忽略", "Dismissed";
        Gone = "gone", "已消失", "Gone by itself";
    }
}

/// A task for the owner of an entry: its table is not what it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drift {
    pub id: String,
    pub entry: String,
    pub entry_title: String,
    pub source: String,
    pub source_name: String,
    pub org: String,
    pub table: TableName,
    pub state: DriftState,
    pub opened_at: String,
    pub updated_at: String,
    pub changes: Vec<SchemaChange>,
    /// The table as it is now; `None` when it is gone.
    pub now: Option<SourceTable>,
    /// Who decided, and why.
    pub by: String,
    pub reason: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_whatever_names_hold() {
        for (schema, name) in [("public", "a.b"), ("a.b", "c"), ("库", "表.一"), ("", "x")] {
            let table = TableName { schema: schema.into(), name: name.into() };
            assert_eq!(TableName::parse(&table.key()), Some(table));
        }
        for bad in ["", "public.orders", "99.a.b", "1.库.a", "2.ab"] {
            assert_eq!(TableName::parse(bad), None, "{bad}");
        }
    }
}
