//! What a table at a target must look like, whichever database it is in.

use model::code::DataType;
use model::{Error, Result};
use policy::port::{OutletAddress, OutletColumn, OutletSurvey};

/// A table and its columns as they are to be written.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) flow: String,
    pub(super) schema: Option<String>,
    pub(super) table: String,
    pub(super) columns: Vec<OutletColumn>,
}

impl Plan {
    pub(super) fn of(at: &OutletAddress, columns: &[OutletColumn]) -> Result<Self> {
        let (schema, table) = match at.table.split_once('.') {
            Some((schema, table)) => (Some(schema), table),
            None => (None, at.table.as_str()),
        };
        let good = |name: &str| {
            (1..=63).contains(&name.len())
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
                && !name.starts_with(|c: char| c.is_ascii_digit())
        };
        if !good(table) || !schema.is_none_or(good) {
            return Err(Error::invalid(
                format!("目标表名 `{}` 应为 表名 或 模式.表名，只含字母、数字和下划线", at.table),
                format!(
                    "the target table `{}` reads table or schema.table, of letters, digits and underscores",
                    at.table
                ),
            )
            .field("table", "请核对", "check"));
        }
        Ok(Self {
            flow: at.flow.clone(),
            schema: schema.map(str::to_owned),
            table: table.to_owned(),
            columns: columns.to_vec(),
        })
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &OutletColumn> {
        self.columns.iter().filter(|c| c.key)
    }

    /// The table as people name it. (The table of positions lies in the same schema and knows it by its last part.)
    pub(super) fn place(&self) -> String {
        match &self.schema {
            Some(schema) => format!("{schema}.{}", self.table),
            None => self.table.clone(),
        }
    }
}

/// A column as found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) name: String,
    /// Type word of the database, without its length.
    pub(super) kind: String,
    /// Must be given a value that the platform does not have.
    pub(super) demanding: bool,
}

/// A table as found.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    pub(super) columns: Vec<Found>,
    /// Columns of each unique index.
    pub(super) unique: Vec<Vec<String>>,
    /// The platform made it.
    pub(super) made: bool,
}

impl Table {
    /// Whether rows are told apart as the plan says.
    pub(super) fn keyed(&self, plan: &Plan) -> bool {
        let mut wanted: Vec<&str> = plan.keys().map(|c| c.name.as_str()).collect();
        wanted.sort_unstable();
        self.unique.iter().any(|index| {
            let mut index: Vec<&str> = index.iter().map(String::as_str).collect();
            index.sort_unstable();
            index == wanted
        })
    }

    pub(super) fn column(&self, name: &str) -> Option<&Found> {
        self.columns.iter().find(|c| c.name.eq_ignore_ascii_case(name))
    }

    /// Whether the columns it has hold what the plan has for them.
    pub(super) fn holds(&self, plan: &Plan, fits: impl Fn(DataType, &str) -> bool) -> bool {
        plan.columns
            .iter()
            .all(|c| self.column(&c.name).is_none_or(|found| fits(c.data_type, &found.kind)))
    }

    /// What stands in the way of writing into a table that others made.
    pub(super) fn faults(
        &self,
        plan: &Plan,
        survey: &mut OutletSurvey,
        fits: impl Fn(DataType, &str) -> bool,
    ) {
        for column in &plan.columns {
            let name = &column.name;
            match self.column(name) {
                None => survey.faults.push((
                    format!("目标表缺少列 `{name}`（{}，{}）", column.title, column.data_type.zh()),
                    format!("the table has no column `{name}` ({})", column.data_type.as_str()),
                )),
                Some(found) if !fits(column.data_type, &found.kind) => survey.faults.push((
                    format!(
                        "目标表的列 `{name}` 类型为 {}，不能存放{}",
                        found.kind,
                        column.data_type.zh()
                    ),
                    format!(
                        "the column `{name}` is {}, which does not hold {}",
                        found.kind,
                        column.data_type.as_str()
                    ),
                )),
                Some(_) => {}
            }
        }
        for found in self.columns.iter().filter(|c| c.demanding) {
            if !plan.columns.iter().any(|c| c.name.eq_ignore_ascii_case(&found.name)) {
                survey.faults.push((
                    format!("目标表的列 `{}` 不可为空且没有缺省值，而授权中没有它", found.name),
                    format!(
                        "the column `{}` must not be empty and has no default, and is not granted",
                        found.name
                    ),
                ));
            }
        }
        if !self.keyed(plan) {
            let keys: Vec<&str> = plan.keys().map(|c| c.name.as_str()).collect();
            let keys = keys.join(", ");
            survey.faults.push((
                format!("目标表没有以（{keys}）为列的主键或唯一索引"),
                format!("the table has no primary key or unique index on ({keys})"),
            ));
        }
    }
}

/// All faults as one refusal.
pub(super) fn refuse(survey: &OutletSurvey) -> Result<()> {
    if survey.faults.is_empty() {
        return Ok(());
    }
    let list = |pick: fn(&(String, String)) -> &str, with: &str| {
        survey.faults.iter().map(pick).collect::<Vec<_>>().join(with)
    };
    Err(Error::new(
        model::Code::RuleBroken,
        format!("目标表不符合要求：{}", list(|f| &f.0, "；")),
        format!("the target table does not fit: {}", list(|f| &f.1, "; ")),
    ))
}

/// The table is there, holds rows, and is not ours.
pub(super) fn occupied(plan: &Plan) -> (String, String) {
    let place = plan.place();
    (
        format!("目标表 `{place}` 已有数据且不是由本回流写入；请清空后再试，或换一个表名"),
        format!(
            "the table `{place}` holds rows that this outflow did not write; empty it, or name another"
        ),
    )
}

/// Another flow writes into the table.
pub(super) fn taken(plan: &Plan) -> (String, String) {
    let place = plan.place();
    (
        format!("目标表 `{place}` 正由另一条回流写入，请换一个表名"),
        format!("another outflow writes into the table `{place}`; name another"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, data_type: DataType, key: bool) -> OutletColumn {
        OutletColumn { name: name.into(), title: name.into(), data_type, scale: 0, key }
    }

    fn plan(table: &str) -> Result<Plan> {
        let at = OutletAddress { url: String::new(), flow: "f".into(), table: table.into() };
        let columns = [column("id", DataType::Integer, true), column("xm", DataType::Text, false)];
        Plan::of(&at, &columns)
    }

    #[test]
    fn names_are_plain_words() {
        assert_eq!(plan("a.b").unwrap().place(), "a.b");
        assert_eq!(plan("T_1").unwrap().place(), "T_1");
        for bad in ["", "a b", "a.b.c", "1a", "a;drop", "a\"b", "表", ".a", "a."] {
            assert!(plan(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_given_table_is_told_everything_that_is_wrong_with_it() {
        let plan = plan("t").unwrap();
        let found = |name: &str, kind: &str, demanding| Found {
            name: name.into(),
            kind: kind.into(),
            demanding,
        };
        let mut table = Table {
            columns: vec![found("ID", "bigint", true), found("xm", "text", false)],
            unique: vec![vec!["id".into()]],
            made: false,
        };
        let fits = |t: DataType, kind: &str| (t == DataType::Integer) == (kind == "bigint");
        let mut survey = OutletSurvey::default();
        table.faults(&plan, &mut survey, fits);
        assert_eq!(survey.faults, []);
        table.columns = vec![found("id", "text", true), found("lrr", "text", true)];
        table.unique = vec![vec!["id".into(), "xm".into()]];
        table.faults(&plan, &mut survey, fits);
        assert_eq!(survey.faults.len(), 4, "{survey:?}");
        assert!(refuse(&survey).unwrap_err().zh().contains("lrr"));
    }
}
