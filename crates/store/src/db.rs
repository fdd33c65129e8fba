//! The connection to the control database and the translation of its failures.

use model::{Code, Error, Result};
use serde::de::DeserializeOwned;
use sqlx::any::{AnyPoolOptions, AnyRow};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{Any, AnyPool, AssertSqlSafe, Row, Transaction};

use crate::StoreConfig;
use crate::clause::Clause;

/// Which database is behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    Sqlite,
    Postgres,
}

/// A pool of connections.
#[derive(Clone, Debug)]
pub struct Db {
    pool: AnyPool,
    backend: Backend,
}

/// A pool of so many connections to SQLite. Whether they live is not asked before each use: that costs a change of threads as much as the
/// use itself, and they live as the process does.
pub(crate) fn sqlite_pool(connections: u32) -> AnyPoolOptions {
    AnyPoolOptions::new().max_connections(connections).test_before_acquire(false)
}

impl Db {
    pub(crate) async fn open(config: &StoreConfig) -> Result<Self> {
        sqlx::any::install_default_drivers();
        let backend =
            if config.url.starts_with("postgres") { Backend::Postgres } else { Backend::Sqlite };
        let url = match backend {
            Backend::Postgres => config.url.clone(),
            Backend::Sqlite => {
                let path = config.folder.join("control.db");
                std::fs::create_dir_all(&config.folder).map_err(|e| {
                    Error::new(
                        Code::StoreUnavailable,
                        format!("无法创建数据目录 {}", config.folder.display()),
                        format!("cannot create the data folder {}", config.folder.display()),
                    )
                    .caused_by(e)
                })?;
                format!("sqlite://{}?mode=rwc", path.display())
            }
        };
        let options = match backend {
            Backend::Sqlite => sqlite_pool(4),
            Backend::Postgres => AnyPoolOptions::new().max_connections(8),
        };
        let pool = options
            .acquire_timeout(std::time::Duration::from_secs(20))
            .after_connect(move |connection, _| {
                Box::pin(async move {
                    if backend == Backend::Sqlite {
                        for pragma in [
                            "PRAGMA journal_mode = WAL",
                            "PRAGMA synchronous = FULL",
                            "PRAGMA busy_timeout = 15000",
                            "PRAGMA foreign_keys = ON",
                        ] {
                            sqlx::raw_sql(pragma).execute(&mut *connection).await?;
                        }
                    }
                    Ok(())
                })
            })
            .connect(&url)
            .await
            .map_err(unavailable)?;
        let db = Self { pool, backend };
        db.migrate().await?;
        Ok(db)
    }

    /// SQLite's control database for reading only, beside the process that writes it.
    pub(crate) async fn open_beside(config: &StoreConfig) -> Result<Self> {
        sqlx::any::install_default_drivers();
        let path = config.folder.join("control.db");
        let pool = sqlite_pool(2)
            .acquire_timeout(std::time::Duration::from_secs(20))
            .after_connect(|connection, _| {
                Box::pin(async move {
                    sqlx::raw_sql("PRAGMA busy_timeout = 15000").execute(&mut *connection).await?;
                    Ok(())
                })
            })
            .connect(&format!("sqlite://{}?mode=ro", path.display()))
            .await
            .map_err(unavailable)?;
        Ok(Self { pool, backend: Backend::Sqlite })
    }

    async fn migrate(&self) -> Result<()> {
        let migration = |version, name: &'static str, sql: &'static str| {
            Migration::new(
                version,
                name.into(),
                MigrationType::Simple,
                sqlx::SqlSafeStr::into_sql_str(sql),
                false,
            )
        };
        let mut all = vec![
            migration(1, "ground", include_str!("../migrations/0001_ground.sql")),
            migration(10, "asset", include_str!("../migrations/0010_asset.sql")),
        ];
        if self.backend == Backend::Postgres {
            all.push(migration(2, "audit", AUDIT_SQL));
            all.push(migration(17, "meter", METER_SQL));
        }
        all.push(migration(3, "lease", include_str!("../migrations/0003_lease.sql")));
        all.push(migration(4, "guard", include_str!("../migrations/0004_guard.sql")));
        all.push(migration(5, "dispatch", include_str!("../migrations/0005_dispatch.sql")));
        all.push(migration(7, "calendar", include_str!("../migrations/0007_calendar.sql")));
        all.push(migration(6, "source", include_str!("../migrations/0006_source.sql")));
        all.push(migration(8, "finding", include_str!("../migrations/0008_finding.sql")));
        all.push(migration(9, "schema", include_str!("../migrations/0009_schema.sql")));
        all.push(migration(11, "bounds", include_str!("../migrations/0011_bounds.sql")));
        all.push(migration(12, "halt", include_str!("../migrations/0012_halt.sql")));
        all.push(migration(13, "rail", include_str!("../migrations/0013_rail.sql")));
        all.push(migration(15, "certificate", include_str!("../migrations/0015_certificate.sql")));
        all.push(migration(16, "exchange", include_str!("../migrations/0016_exchange.sql")));
        all.push(migration(14, "pipeline", include_str!("../migrations/0014_pipeline.sql")));
        all.push(migration(18, "report", include_str!("../migrations/0018_report.sql")));
        all.push(migration(19, "reconcile", include_str!("../migrations/0019_reconcile.sql")));
        all.push(migration(20, "approval", include_str!("../migrations/0020_approval.sql")));
        let history = match self.backend {
            Backend::Sqlite => include_str!("../migrations/0021_history_sqlite.sql"),
            Backend::Postgres => include_str!("../migrations/0021_history_postgres.sql"),
        };
        all.push(migration(21, "history", history));
        all.push(migration(22, "basket", include_str!("../migrations/0022_basket.sql")));
        all.push(migration(23, "control", include_str!("../migrations/0023_control.sql")));
        all.push(migration(25, "outflow", include_str!("../migrations/0025_outflow.sql")));
        all.push(migration(24, "oversight", include_str!("../migrations/0024_oversight.sql")));
        all.push(migration(31, "seal", include_str!("../migrations/0031_seal.sql")));
        all.push(migration(26, "interface", include_str!("../migrations/0026_interface.sql")));
        all.push(migration(27, "credential", include_str!("../migrations/0027_credential.sql")));
        all.push(migration(29, "sql", include_str!("../migrations/0029_sql.sql")));
        all.push(migration(30, "openness", include_str!("../migrations/0030_openness.sql")));
        all.push(migration(32, "project", include_str!("../migrations/0032_project.sql")));
        all.push(migration(33, "project_job", include_str!("../migrations/0033_project_job.sql")));
        all.push(migration(34, "export", include_str!("../migrations/0034_project_export.sql")));
        all.push(migration(35, "delta", include_str!("../migrations/0035_delta.sql")));
        all.push(migration(36, "seal_stamp", include_str!("../migrations/0036_seal_stamp.sql")));
        all.push(migration(37, "delivery", include_str!("../migrations/0037_delivery.sql")));
        all.push(migration(38, "voice", include_str!("../migrations/0038_voice.sql")));
        all.push(migration(39, "showcase", include_str!("../migrations/0039_showcase.sql")));
        all.push(migration(40, "restricted", include_str!("../migrations/0040_restricted.sql")));
        all.push(migration(41, "credit", include_str!("../migrations/0041_credit.sql")));
        all.push(migration(42, "identity", include_str!("../migrations/0042_identity.sql")));
        all.push(migration(
            43,
            "authorisation",
            include_str!("../migrations/0043_authorisation.sql"),
        ));
        all.push(migration(44, "sandbox", include_str!("../migrations/0044_sandbox.sql")));
        all.push(migration(45, "release", include_str!("../migrations/0045_release.sql")));
        all.push(migration(46, "harvest", include_str!("../migrations/0046_harvest.sql")));
        all.push(migration(48, "openplan", include_str!("../migrations/0048_openplan.sql")));
        all.push(migration(49, "contest", include_str!("../migrations/0049_contest.sql")));
        all.push(migration(50, "news", include_str!("../migrations/0050_news.sql")));
        let term = include_str!("../migrations/0051_sandbox_term.sql");
        all.push(migration(51, "sandbox_term", term));
        all.push(migration(53, "signout", include_str!("../migrations/0053_signout.sql")));
        all.push(migration(52, "use_report", include_str!("../migrations/0052_use_report.sql")));
        all.push(migration(54, "place", include_str!("../migrations/0054_place.sql")));
        all.push(migration(55, "signup", include_str!("../migrations/0055_signup.sql")));
        let backchannel = include_str!("../migrations/0056_backchannel.sql");
        all.push(migration(56, "backchannel", backchannel));
        all.push(migration(57, "served", include_str!("../migrations/0057_served.sql")));
        let delta_purpose = include_str!("../migrations/0058_delta_purpose.sql");
        all.push(migration(58, "delta_purpose", delta_purpose));
        all.push(migration(59, "moved", include_str!("../migrations/0059_moved.sql")));
        let personal_token = include_str!("../migrations/0060_personal_token.sql");
        all.push(migration(60, "personal_token", personal_token));
        all.push(migration(62, "open_file", include_str!("../migrations/0062_open_file.sql")));
        let interface_day = include_str!("../migrations/0064_interface_day.sql");
        all.push(migration(64, "interface_day", interface_day));
        all.push(migration(65, "turn_told", include_str!("../migrations/0065_turn_told.sql")));
        // Migrations run by number: these add to tables of 20 to 23.
        all.push(migration(111, "desk", include_str!("../migrations/0111_desk.sql")));
        all.push(migration(112, "notice", include_str!("../migrations/0112_notice.sql")));
        Migrator::with_migrations(all).run(&self.pool).await.map_err(|e| {
            Error::new(
                Code::StoreUnavailable,
                "控制库结构升级失败：数据库可能由更新的版本创建",
                "the control store could not be migrated: it may have been made by a newer version",
            )
            .caused_by(e)
        })
    }

    #[must_use]
    pub fn backend(&self) -> Backend {
        self.backend
    }

    pub(crate) fn pool(&self) -> &AnyPool {
        &self.pool
    }

    /// A writing transaction (on SQLite it takes the write lock at once, so that it cannot fail half-way).
    pub(crate) async fn begin(&self) -> Result<Transaction<'static, Any>> {
        match self.backend {
            Backend::Sqlite => self.pool.begin_with("BEGIN IMMEDIATE").await,
            Backend::Postgres => self.pool.begin().await,
        }
        .map_err(fail)
    }

    /// Rows of a query put together from fixed pieces and a clause with its bound values.
    pub(crate) async fn rows(&self, sql: String, clause: &Clause) -> Result<Vec<AnyRow>> {
        let mut query = sqlx::query::<Any>(AssertSqlSafe(sql));
        for value in clause.values() {
            query = query.bind(value.clone());
        }
        query.fetch_all(&self.pool).await.map_err(fail)
    }

    /// What the rows of such a query keep as JSON in `body`; with an empty clause, of any query without values.
    pub(crate) async fn bodies<T: DeserializeOwned>(
        &self,
        sql: String,
        clause: &Clause,
    ) -> Result<Vec<T>> {
        self.rows(sql, clause).await?.iter().map(|row| json(row, "body")).collect()
    }

    /// The same of the first row, if there is one.
    pub(crate) async fn first<T: DeserializeOwned>(
        &self,
        sql: String,
        clause: &Clause,
    ) -> Result<Option<T>> {
        self.rows(sql, clause).await?.first().map(|row| json(row, "body")).transpose()
    }

    /// A page of the rows of one parent, newest first, those before an id: ids are in the order of time.
    pub(crate) async fn newest(
        &self,
        select: &'static str,
        (column, parent): (&'static str, &str),
        before: Option<&str>,
        limit: u32,
    ) -> Result<Vec<AnyRow>> {
        let mut clause = Clause::default();
        clause.and_text(&format!("{column} ="), parent);
        if let Some(before) = before.filter(|id| !id.is_empty()) {
            clause.and_text("id <", before);
        }
        let sql = format!("{select}{} ORDER BY id DESC LIMIT {}", clause.sql(), page(limit));
        self.rows(sql, &clause).await
    }

    /// What is kept as JSON under an id.
    pub(crate) async fn body<T: DeserializeOwned>(
        &self,
        table: &'static str,
        id: &str,
    ) -> Result<Option<T>> {
        let row = sqlx::query(AssertSqlSafe(format!("SELECT body FROM {table} WHERE id = $1")))
            .bind(id)
            .fetch_optional(&self.pool)
            .await
            .map_err(fail)?;
        row.map(|row| json(&row, "body")).transpose()
    }

    pub(crate) async fn ping(&self) -> Result<()> {
        sqlx::query("SELECT 1").execute(&self.pool).await.map_err(unavailable)?;
        Ok(())
    }

    pub(crate) async fn close(&self) {
        self.pool.close().await;
    }
}

/// The audit table, also made in SQLite's own audit file.
pub(crate) const AUDIT_SQL: &str = include_str!("../migrations/0002_audit.sql");

/// The meter's tables, beside the audit table.
pub(crate) const METER_SQL: &str = include_str!("../migrations/0017_meter.sql");

fn unavailable(e: sqlx::Error) -> Error {
    Error::of(Code::StoreUnavailable).caused_by(e)
}

/// Translates a database failure; a unique constraint becomes `Duplicate` (use [`on_duplicate`] to say of what).
pub(crate) fn fail(e: sqlx::Error) -> Error {
    let code = match &e {
        sqlx::Error::Database(d) if d.is_unique_violation() => Code::Duplicate,
        sqlx::Error::RowNotFound => Code::NotFound,
        sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed => {
            Code::StoreUnavailable
        }
        _ => Code::Internal,
    };
    Error::of(code).caused_by(e)
}

/// Says in the user's words what exists already.
pub(crate) fn on_duplicate(e: sqlx::Error, zh: &str, en: &str) -> Error {
    match &e {
        sqlx::Error::Database(d) if d.is_unique_violation() => {
            Error::new(Code::Duplicate, zh, en).caused_by(e)
        }
        _ => fail(e),
    }
}

/// A text column.
pub(crate) fn text(row: &AnyRow, column: &str) -> Result<String> {
    row.try_get(column).map_err(fail)
}
/// A text column that may be null.
pub(crate) fn maybe(row: &AnyRow, column: &str) -> Result<Option<String>> {
    row.try_get(column).map_err(fail)
}
/// A whole number.
pub(crate) fn number(row: &AnyRow, column: &str) -> Result<i64> {
    row.try_get(column).map_err(fail)
}
/// A JSON column read into its type.
pub(crate) fn json<T: serde::de::DeserializeOwned>(row: &AnyRow, column: &str) -> Result<T> {
    serde_json::from_str(&text(row, column)?).map_err(|e| {
        Error::internal(format!("column `{column}` holds unexpected JSON")).caused_by(e)
    })
}
/// A value as JSON text for a column.
pub(crate) fn to_json<T: serde::Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|e| Error::internal("cannot write JSON").caused_by(e))
}
/// A count as a column holds it.
pub(crate) fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
/// Refused as stale when a write over what was read found nothing to write over: somebody changed it meanwhile.
pub(crate) fn changed(rows: u64) -> Result<()> {
    if rows == 1 { Ok(()) } else { Err(Error::of(Code::Stale)) }
}
/// Page size within bounds.
pub(crate) fn page(limit: u32) -> i64 {
    i64::from(if limit == 0 { 50 } else { limit.min(1000) })
}
