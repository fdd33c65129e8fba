//! Looking at a source before a rail is made: can it be followed, and if not, what must be done there.

use model::Result;
use policy::port::{RailAddress, RailBinding, RailSeen, RailSurvey};

use super::kind::{self, Kind};
use super::place::{Session, cell, literal};
use super::shape::{Shape, TableSeen, look};
use crate::draft;

type Told = (String, String);

fn told(zh: impl Into<String>, en: impl Into<String>) -> Told {
    (zh.into(), en.into())
}

/// Oldest server that tells what is needed (`wal_status` of slots).
const OLDEST: u32 = 130_000;
/// Tables listed when none are named.
const TABLES: u32 = 500;

/// See [`policy::port::Rail::survey`].
pub(super) async fn survey(at: &RailAddress, tables: &[RailBinding]) -> Result<RailSurvey> {
    let session = Session::open(at).await?;
    let mut survey = RailSurvey::default();
    server(&session, at, &mut survey).await?;
    let named: Vec<String> = match tables.is_empty() {
        false => tables.iter().map(|t| t.place.clone()).collect(),
        true => session
            .ask(&format!(
                "SELECT n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                 WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence = 'p'
                   AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg_toast%'
                   AND has_table_privilege(c.oid, 'SELECT')
                 ORDER BY 1 LIMIT {TABLES}"
            ))
            .await?
            .iter()
            .map(|row| cell(row, 0).to_owned())
            .collect(),
    };
    for place in named {
        let binding = tables.iter().find(|t| t.place == place);
        let seen = match look(&session, &place).await? {
            Some(seen) => described(at, &place, binding, &seen),
            None => {
                let gone = super::line::gone(&place);
                let faults = vec![told(gone.zh(), gone.en())];
                RailSeen { place, faults, ..RailSeen::default() }
            }
        };
        survey.tables.push(seen);
    }
    Ok(survey)
}

/// What holds for the server and the account.
async fn server(session: &Session, at: &RailAddress, survey: &mut RailSurvey) -> Result<()> {
    let rows = session
        .ask(&format!(
            "SELECT current_setting('server_version'), current_setting('server_version_num'), current_setting('wal_level'),
               (SELECT (rolreplication OR rolsuper)::text FROM pg_roles WHERE rolname = current_user),
               has_database_privilege(current_database(), 'CREATE')::text,
               (SELECT count(*) FROM pg_replication_slots)::text, current_setting('max_replication_slots'),
               (SELECT count(*) FROM pg_replication_slots WHERE slot_name = {})::text, pg_is_in_recovery()::text",
            literal(&at.slot)
        ))
        .await?;
    let Some(row) = rows.first() else { return Ok(()) };
    survey.server = format!("PostgreSQL {}", cell(row, 0));
    let number = |at: usize| cell(row, at).parse::<u32>().unwrap_or(0);
    let faults = &mut survey.faults;
    if number(1) < OLDEST {
        faults.push(told(
            format!("数据源版本为 {}，实时同步需要 PostgreSQL 13 及以上", cell(row, 0)),
            format!(
                "the source is version {}; following it needs PostgreSQL 13 or later",
                cell(row, 0)
            ),
        ));
    }
    if cell(row, 2) != "logical" {
        faults.push(told(
            format!("数据源的 wal_level 为 {}；请在 postgresql.conf 设为 logical 并重启数据库", cell(row, 2)),
            format!("wal_level of the source is {}; set it to logical in postgresql.conf and restart the database", cell(row, 2)),
        ));
    }
    if cell(row, 3) != "true" {
        faults.push(told(
            "账号没有复制权限；请执行 ALTER ROLE 账号 REPLICATION",
            "the account may not replicate; run ALTER ROLE account REPLICATION",
        ));
    }
    if cell(row, 8) == "true" {
        faults.push(told(
            "数据源是只读备库；请连接主库",
            "the source is a standby; connect to the primary",
        ));
    }
    if !at.given && cell(row, 4) != "true" {
        faults.push(told(
            "账号不能创建发布；请执行 GRANT CREATE ON DATABASE 库名 TO 账号，或由管理员建好发布与复制槽后填入",
            "the account cannot create a publication; run GRANT CREATE ON DATABASE name TO account, or have publication and slot made and name them",
        ));
    }
    if cell(row, 7) == "0" && number(5) >= number(6) {
        faults.push(told(
            format!("复制槽已用完（max_replication_slots = {}）", cell(row, 6)),
            format!("all replication slots are in use (max_replication_slots = {})", cell(row, 6)),
        ));
    }
    Ok(())
}

/// What holds for a table, by itself and for the items of its entry.
pub(super) fn described(
    at: &RailAddress,
    place: &str,
    binding: Option<&RailBinding>,
    seen: &TableSeen,
) -> RailSeen {
    let mut out = RailSeen {
        place: place.to_owned(),
        rows: seen.rows,
        items: items(seen),
        ..RailSeen::default()
    };
    if !matches!(seen.form.as_str(), "r" | "p") {
        out.faults.push(told(
            "只能跟踪表，不能跟踪视图等对象",
            "only tables can be followed, not views and the like",
        ));
    }
    if !seen.readable {
        out.faults.push(told(
            format!("账号不能读该表；请执行 GRANT SELECT ON {place} TO 账号"),
            format!("the account may not read the table; run GRANT SELECT ON {place} TO account"),
        ));
    }
    if !at.given && !seen.owned {
        out.faults.push(told(
            "只有表的所有者能把它加入发布；请改用所有者账号，或由其建好发布后填入",
            "only the table's owner can put it into a publication; use that account, or have the publication made and name it",
        ));
    }
    if !seen.generated.is_empty() {
        let list = seen.generated.join(", ");
        out.notes.push(told(
            format!("生成列不在日志中，不会同步：{list}"),
            format!("generated columns are not in the log and will not come: {list}"),
        ));
    }
    let unknown: Vec<String> = seen
        .columns
        .iter()
        .filter(|c| matches!(&c.seen.kind, Kind::Unknown))
        .map(|c| format!("{} ({})", c.name, c.seen.name))
        .collect();
    if !unknown.is_empty() {
        let list = unknown.join(", ");
        out.notes.push(told(
            format!("以下列的类型没有对应关系，按文本同步：{list}"),
            format!("no mapping is known for these columns; they come as text: {list}"),
        ));
    }
    let Some(binding) = binding else {
        out.columns = shown(seen);
        if !seen.columns.iter().any(|c| c.primary) {
            out.notes.push(told("没有主键", "has no primary key"));
        }
        return out;
    };
    match Shape::of_table(place, &binding.items, seen) {
        Ok(shape) => {
            out.columns = shape.columns();
            keyed(place, &shape, seen, &mut out);
            let lost: Vec<&str> = (0..shape.names.len())
                .filter(|at| shape.item_of(*at).is_none())
                .filter_map(|at| shape.names.get(at).map(String::as_str))
                .collect();
            if !lost.is_empty() {
                let list = lost.join(", ");
                out.notes.push(told(
                    format!("目录没有对应的数据项，不会同步的列：{list}"),
                    format!("columns without an item, which will not come: {list}"),
                ));
            }
        }
        Err(error) => {
            out.columns = shown(seen);
            out.faults.push(told(error.zh(), error.en()));
        }
    }
    out
}

/// Whether changes and deletes can be told by the business key.
fn keyed(place: &str, shape: &Shape, seen: &TableSeen, out: &mut RailSeen) {
    let key: Vec<&str> =
        shape.key.iter().filter_map(|at| shape.names.get(*at).map(String::as_str)).collect();
    let column = |name: &str| seen.columns.iter().find(|c| c.name == name);
    let unique = seen.unique.iter().any(|index| index.iter().all(|c| key.contains(&c.as_str())));
    if !unique {
        let list = key.join(", ");
        out.faults.push(told(
            format!("业务主键（{list}）在源表中没有唯一约束；请在源表建唯一索引或主键"),
            format!("the business key ({list}) is not unique at the source; make it a primary key or a unique index there"),
        ));
    }
    let uncovered: Vec<&str> =
        key.iter().copied().filter(|name| column(name).is_none_or(|c| !c.identity)).collect();
    if !uncovered.is_empty() {
        let list = uncovered.join(", ");
        out.faults.push(told(
            format!("复制标识不含业务主键列 {list}；请执行 ALTER TABLE {place} REPLICA IDENTITY FULL，或让主键与业务主键一致"),
            format!("the replica identity does not hold the key columns {list}; run ALTER TABLE {place} REPLICA IDENTITY FULL, or let the primary key be the business key"),
        ));
    }
    let empty: Vec<&str> =
        key.iter().copied().filter(|name| column(name).is_some_and(|c| c.empty)).collect();
    if !empty.is_empty() {
        let list = empty.join(", ");
        out.faults.push(told(
            format!("业务主键列 {list} 在源表中可为空；请设为 NOT NULL"),
            format!("the key columns {list} may be null at the source; make them NOT NULL"),
        ));
    }
}

pub(super) fn shown(seen: &TableSeen) -> Vec<model::rail::RailColumn> {
    seen.columns
        .iter()
        .map(|c| model::rail::RailColumn {
            name: c.name.clone(),
            kind: c.seen.name.clone(),
            key: c.primary,
            item: None,
        })
        .collect()
}

/// Items as an entry for this table would have them.
fn items(seen: &TableSeen) -> Vec<model::item::Item> {
    let names: Vec<&str> = seen.columns.iter().map(|c| c.name.as_str()).collect();
    let identifiers = draft::identifiers(&names);
    seen.columns
        .iter()
        .zip(identifiers)
        .map(|(c, identifier)| kind::item(&identifier, &c.name, &c.seen, c.primary, c.empty))
        .collect()
}
