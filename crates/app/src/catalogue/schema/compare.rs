//! Differences between two looks at a table. Pure. A column that went while one of the same type and comment came, in the
//! same place, looks renamed: that is said as a guess, and a person decides.

use model::schema::{ChangeKind, SchemaChange, SourceColumn, SourceTable};

/// Share of columns that a table must have in common with one that went, in percent, to look like it renamed.
const ALIKE: usize = 80;

/// What changed from one look to the next.
pub(super) fn compare(before: &SourceTable, after: &SourceTable) -> Vec<SchemaChange> {
    let mut found = Vec::new();
    let mut say = |kind, column: &str, before: String, after: String| {
        found.push(SchemaChange { kind, column: column.to_owned(), before, after });
    };
    if before.comment != after.comment {
        say(ChangeKind::TableComment, "", before.comment.clone(), after.comment.clone());
    }
    let gone: Vec<(usize, &SourceColumn)> = before
        .columns
        .iter()
        .enumerate()
        .filter(|(_, c)| column(after, &c.name).is_none())
        .collect();
    let mut come: Vec<(usize, &SourceColumn)> = after
        .columns
        .iter()
        .enumerate()
        .filter(|(_, c)| column(before, &c.name).is_none())
        .collect();
    for (at, old) in gone {
        let like = |(n, new): &(usize, &SourceColumn)| {
            new.sql_type == old.sql_type
                && (if old.comment.is_empty() {
                    *n == at && new.comment.is_empty()
                } else {
                    new.comment == old.comment
                })
        };
        match come.iter().position(like) {
            Some(n) => {
                let (_, new) = come.remove(n);
                say(ChangeKind::Renamed, &old.name, old.name.clone(), new.name.clone());
            }
            None => say(ChangeKind::Dropped, &old.name, described(old), String::new()),
        }
    }
    for (_, new) in come {
        say(ChangeKind::Added, &new.name, String::new(), described(new));
    }
    for new in &after.columns {
        let Some(old) = column(before, &new.name) else { continue };
        if old.sql_type != new.sql_type {
            say(ChangeKind::Retyped, &new.name, old.sql_type.clone(), new.sql_type.clone());
        }
        if old.comment != new.comment {
            say(ChangeKind::Comment, &new.name, old.comment.clone(), new.comment.clone());
        }
        if old.nullable != new.nullable {
            let word = |nullable| if nullable { "NULL" } else { "NOT NULL" }.to_owned();
            say(ChangeKind::Nullable, &new.name, word(old.nullable), word(new.nullable));
        }
    }
    if before.primary != after.primary {
        say(ChangeKind::Primary, "", before.primary.join(", "), after.primary.join(", "));
    }
    let sorted = |t: &SourceTable| {
        let mut keys: Vec<String> = t.unique.iter().map(|u| u.join(", ")).collect();
        keys.sort();
        keys.join("; ")
    };
    if sorted(before) != sorted(after) {
        say(ChangeKind::Unique, "", sorted(before), sorted(after));
    }
    let points = |t: &SourceTable| {
        let mut keys: Vec<String> = t
            .foreign
            .iter()
            .map(|(columns, to)| format!("{} → {to}", columns.join(", ")))
            .collect();
        keys.sort();
        keys.join("; ")
    };
    if points(before) != points(after) {
        say(ChangeKind::Foreign, "", points(before), points(after));
    }
    found
}

/// The table among others that a table which went looks renamed to.
pub(super) fn renamed<'a>(
    before: &SourceTable,
    others: impl Iterator<Item = &'a SourceTable>,
) -> Option<&'a SourceTable> {
    let alike = |other: &SourceTable| {
        let same = before
            .columns
            .iter()
            .filter(|c| column(other, &c.name).is_some_and(|o| o.sql_type == c.sql_type));
        same.count() * 100 / before.columns.len().max(other.columns.len()).max(1)
    };
    others
        .filter(|o| o.of.schema == before.of.schema)
        .map(|o| (alike(o), o))
        .filter(|(share, _)| *share >= ALIKE)
        .max_by_key(|(share, _)| *share)
        .map(|(_, o)| o)
}

fn column<'a>(table: &'a SourceTable, name: &str) -> Option<&'a SourceColumn> {
    table.columns.iter().find(|c| c.name == name)
}

fn described(column: &SourceColumn) -> String {
    let null = if column.nullable { "" } else { " NOT NULL" };
    match column.comment.is_empty() {
        true => format!("{}{null}", column.sql_type),
        false => format!("{}{null} · {}", column.sql_type, column.comment),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::schema::{RelationKind, TableName};

    fn table(columns: &[(&str, &str, &str)]) -> SourceTable {
        SourceTable {
            of: TableName { schema: "public".into(), name: "t".into() },
            kind: RelationKind::Table,
            comment: "企业".into(),
            rows: None,
            width: 0,
            columns: columns
                .iter()
                .map(|(name, sql_type, comment)| SourceColumn {
                    name: (*name).into(),
                    sql_type: (*sql_type).into(),
                    comment: (*comment).into(),
                    nullable: true,
                    item: None,
                    note: Default::default(),
                })
                .collect(),
            primary: vec!["id".into()],
            unique: Vec::new(),
            foreign: Vec::new(),
        }
    }

    #[test]
    fn every_kind_of_change_is_told() {
        let before = table(&[
            ("id", "integer", "编号"),
            ("mc", "text", "名称"),
            ("old", "date", ""),
            ("je", "numeric(10,2)", "金额"),
        ]);
        let mut after = table(&[
            ("id", "bigint", "编号"),
            ("name", "text", "名称"),
            ("je", "numeric(10,2)", "金额（元）"),
            ("new", "uuid", ""),
        ]);
        after.comment = "企业登记".into();
        after.primary = vec!["id".into(), "name".into()];
        after.unique = vec![vec!["name".into()]];
        after.foreign = vec![(vec!["id".into()], "public.o".into())];
        after.columns[2].nullable = false;
        let told: Vec<String> = compare(&before, &after)
            .into_iter()
            .map(|c| format!("{} {} {}>{}", c.kind, c.column, c.before, c.after))
            .collect();
        assert_eq!(
            told,
            [
                "table_comment  企业>企业登记",
                "renamed mc mc>name",
                "dropped old date>",
                "added new >uuid",
                "retyped id integer>bigint",
                "comment je 金额>金额（元）",
                "nullable je NULL>NOT NULL",
                "primary  id>id, name",
                "unique  >name",
                "foreign  >id → public.o",
            ]
        );
        assert!(compare(&before, &before).is_empty());
    }

    #[test]
    fn a_table_that_went_is_known_again_by_its_columns() {
        let before = table(&[
            ("id", "integer", ""),
            ("mc", "text", ""),
            ("je", "date", ""),
            ("a", "text", ""),
            ("b", "text", ""),
        ]);
        let mut like = before.clone();
        like.of.name = "t_new".into();
        like.columns.pop();
        let unlike = table(&[("id", "integer", "")]);
        let found = renamed(&before, [&unlike, &like].into_iter());
        assert_eq!(found.map(|t| t.of.name.as_str()), Some("t_new"));
        assert!(renamed(&before, [&unlike].into_iter()).is_none());
    }
}
