//! Catalogue entries in the control store: the declaration in force, a change under review, versions and steps.
//!
//! `body` holds the declaration without its items; items are rows of their own (one ledger: every data item is a
//! first-class row). A change is written with the state it was read in, so that two writers cannot overwrite each
//! other: the second is told `Stale`. Everything that belongs to one change is one transaction.

use model::code::{Grade, OnlineState, PublishState};
use model::entry::{Entry, EntryDraft, EntryFilter, EntryStep, EntryVersion};
use model::finding::RuleHits;
use model::item::Item;
use model::schema::Origin;
use model::{Code, Error, Op, Result};
use policy::{Action, Permit};
use sqlx::any::AnyRow;
use sqlx::{Any, AssertSqlSafe, Transaction};

use crate::clause::Clause;
use crate::db::{fail, json, maybe, number, on_duplicate, page, text, to_json};
use crate::{Store, finding};

/// An entry with what only the catalogue room needs to know of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    pub entry: Entry,
    /// A change under review (or refused and waiting to be mended); the entry's own draft stays in force.
    pub pending: Option<EntryDraft>,
    /// Who handed in what is under review: may not review it (four eyes).
    pub submitted_by: Option<String>,
}

/// The state an entry was read in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base {
    pub version: i64,
    pub publish_state: PublishState,
    pub online_state: OnlineState,
    pub updated_at: String,
}

impl Base {
    #[must_use]
    pub fn of(entry: &Entry) -> Self {
        Self {
            version: entry.version,
            publish_state: entry.publish_state,
            online_state: entry.online_state,
            updated_at: entry.updated_at.clone(),
        }
    }

    /// Whether the entry was live.
    fn live(&self) -> bool {
        Entry::live_in(self.publish_state, self.online_state)
    }
}

/// One change of the ledger with its step.
#[derive(Clone, Debug)]
pub struct EntryChange {
    /// What it is to be.
    pub held: Held,
    /// What it was; `None` enters a new entry.
    pub base: Option<Base>,
    /// Whether the declaration in force changes: then the items are written anew and the version is kept.
    pub declared: bool,
    pub action: &'static str,
    pub from: String,
    pub to: String,
    pub reason: String,
    /// Findings of the declaration being worked on; `None` leaves those kept as they are.
    pub findings: Option<Vec<RuleHits>>,
    /// The table of a department's database that a new entry is drafted from.
    pub origin: Option<Origin>,
}

/// Which entries of a list the caller may be shown at all (policy still decides each).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryScope {
    All,
    /// Published and online ones, and those of one organisation.
    LiveOr(Option<String>),
}

/// SQL of `Entry::live`.
pub(crate) const LIVE: &str = "online_state IN ('online', 'down-auditing', 'down-reject') \
                    AND publish_state IN ('published', 'change-auditing', 'change-reject')";

/// The same for walks in order of code. SQLite would read all live entries by the index of states and sort them for every page; of words
/// put together it takes no index but that of the code.
pub(crate) const LIVE_BY_CODE: &str = "COALESCE(online_state, '') IN ('online', 'down-auditing', 'down-reject') \
                    AND COALESCE(publish_state, '') IN ('published', 'change-auditing', 'change-reject')";

const WRITERS: &[Action] = &[
    Action::EntryCompile,
    Action::EntrySubmit,
    Action::EntryReview,
    Action::EntryImport,
    Action::SystemWork,
];

impl Store {
    /// Writes changes, all or none. `Stale` when an entry was changed since it was read, `Duplicate` when a new
    /// entry's code is taken.
    pub async fn entry_apply(
        &self,
        permit: &Permit,
        op: &Op,
        changes: &[EntryChange],
    ) -> Result<()> {
        permit.require(WRITERS)?;
        let mut tx = self.db.begin().await?;
        let mut moves = finding::Moves::new();
        for change in changes {
            match &change.base {
                None => insert(&mut tx, change).await?,
                Some(base) => update(&mut tx, change, base).await?,
            }
            if change.declared {
                write_items(&mut tx, &change.held.entry).await?;
                write_version(&mut tx, op, &change.held.entry).await?;
            }
            if let Some(hits) = &change.findings {
                let entry = &change.held.entry;
                let org = &entry.draft.org;
                finding::replace(&mut tx, &entry.id, org, hits, &mut moves).await?;
            }
            if let Some(origin) = &change.origin {
                crate::schema::write(&mut tx, origin).await?;
            }
            write_step(&mut tx, op, change).await?;
        }
        finding::settle(&mut tx, moves).await?;
        let ids: Vec<&str> = changes.iter().map(|c| c.held.entry.id.as_str()).collect();
        move_on(&mut tx, &ids).await?;
        tx.commit().await.map_err(fail)
    }

    /// Writes what a landing changed: rows in the current view and when data came.
    pub async fn entry_set_data(
        &self,
        permit: &Permit,
        id: &str,
        rows: i64,
        data_at: &str,
    ) -> Result<()> {
        permit.require(&[Action::DataCollect, Action::SystemWork])?;
        let mut tx = self.db.begin().await?;
        sqlx::query("UPDATE entry SET row_count = $1, data_at = $2 WHERE id = $3")
            .bind(rows)
            .bind(data_at)
            .bind(id)
            .execute(&mut *tx)
            .await
            .map_err(fail)?;
        move_on(&mut tx, &[id]).await?;
        tx.commit().await.map_err(fail)
    }

    /// One entry by id or code, with a pending change.
    pub async fn entry_held(&self, id_or_code: &str) -> Result<Option<Held>> {
        let row = sqlx::query("SELECT * FROM entry WHERE id = $1 OR code = $1")
            .bind(id_or_code)
            .fetch_optional(self.db.pool())
            .await
            .map_err(fail)?;
        let Some(row) = row else { return Ok(None) };
        let mut held = vec![read(&row)?];
        self.fill_items(&mut held).await?;
        Ok(held.pop())
    }

    /// One entry by id or code.
    pub async fn entry_get(&self, id_or_code: &str) -> Result<Option<Entry>> {
        Ok(self.entry_held(id_or_code).await?.map(|h| h.entry))
    }

    /// Entries by id without their items, in no order (heads for links and lists of names).
    pub async fn entry_heads(&self, ids: &[String]) -> Result<Vec<Entry>> {
        let mut out = Vec::new();
        for chunk in ids.chunks(500) {
            let marks: Vec<String> = (1..=chunk.len()).map(|n| format!("${n}")).collect();
            let sql = format!("SELECT * FROM entry WHERE id IN ({})", marks.join(", "));
            let mut query = sqlx::query(AssertSqlSafe(sql));
            for id in chunk {
                query = query.bind(id.clone());
            }
            for row in query.fetch_all(self.db.pool()).await.map_err(fail)? {
                out.push(read(&row)?.entry);
            }
        }
        Ok(out)
    }

    /// Entries by id with their items, in no order.
    pub async fn entries_of(&self, ids: &[String]) -> Result<Vec<Entry>> {
        let mut out = Vec::with_capacity(ids.len());
        for chunk in ids.chunks(500) {
            let marks: Vec<String> = (1..=chunk.len()).map(|n| format!("${n}")).collect();
            let sql = format!("SELECT * FROM entry WHERE id IN ({})", marks.join(", "));
            out.extend(self.entries_by(&sql, chunk).await?);
        }
        Ok(out)
    }

    /// A page of entries, newest first; `after` is the id of the last one seen.
    pub async fn entry_list(&self, filter: &EntryFilter, scope: &EntryScope) -> Result<Vec<Entry>> {
        let mut c = Clause::default();
        if let Some(after) = &filter.after {
            c.and_text("id <", after);
        }
        if let Some(org) = &filter.org {
            c.and_text("org =", org);
        }
        if let Some(state) = filter.publish_state {
            c.and_text("publish_state =", state.as_str());
        }
        if let Some(state) = filter.online_state {
            c.and_text("online_state =", state.as_str());
        }
        if filter.auditing {
            c.and("(publish_state LIKE '%-auditing' OR online_state LIKE '%-auditing')");
        }
        if filter.refused {
            c.and("(publish_state LIKE '%-reject' OR online_state LIKE '%-reject')");
        }
        if let Some(part) = filter.text.as_deref().map(str::trim).filter(|t| !t.is_empty()) {
            c.and_like(&["title", "code"], part);
        }
        match scope {
            EntryScope::All => {}
            EntryScope::LiveOr(None) => c.and(LIVE),
            EntryScope::LiveOr(Some(org)) => {
                c.and_text(&format!("(({LIVE}) OR org ="), org);
                c.close();
            }
        }
        let sql =
            format!("SELECT * FROM entry{} ORDER BY id DESC LIMIT {}", c.sql(), page(filter.limit));
        self.entries_by(&sql, c.values()).await
    }

    /// A page of open entries by code.
    pub async fn entry_list_open(&self, after: Option<&str>, limit: u32) -> Result<Vec<Entry>> {
        let mut c = Clause::default();
        c.and(LIVE_BY_CODE);
        c.and("open_type <> 'none'");
        if let Some(after) = after {
            c.and_text("code >", after);
        }
        let sql = format!("SELECT * FROM entry{} ORDER BY code LIMIT {}", c.sql(), page(limit));
        self.entries_by(&sql, c.values()).await
    }

    /// Number of all entries.
    pub async fn entry_count(&self) -> Result<u64> {
        let row = sqlx::query("SELECT COUNT(*) AS entries FROM entry")
            .fetch_one(self.db.pool())
            .await
            .map_err(fail)?;
        Ok(u64::try_from(number(&row, "entries")?).unwrap_or(0))
    }

    /// Steps of an entry's life, oldest first.
    pub async fn entry_steps(&self, id: &str) -> Result<Vec<EntryStep>> {
        sqlx::query("SELECT * FROM entry_step WHERE entry = $1 ORDER BY seq")
            .bind(id)
            .fetch_all(self.db.pool())
            .await
            .map_err(fail)?
            .iter()
            .map(|row| {
                Ok(EntryStep {
                    entry: text(row, "entry")?,
                    seq: number(row, "seq")?,
                    at: text(row, "at")?,
                    actor: text(row, "actor")?,
                    actor_name: text(row, "actor_name")?,
                    action: text(row, "action")?,
                    from: text(row, "from_state")?,
                    to: text(row, "to_state")?,
                    reason: text(row, "reason")?,
                })
            })
            .collect()
    }

    /// Kept versions, newest first.
    pub async fn entry_versions(&self, id: &str) -> Result<Vec<EntryVersion>> {
        sqlx::query("SELECT * FROM entry_version WHERE entry = $1 ORDER BY version DESC")
            .bind(id)
            .fetch_all(self.db.pool())
            .await
            .map_err(fail)?
            .iter()
            .map(read_version)
            .collect()
    }

    /// One kept version.
    pub async fn entry_version(&self, id: &str, version: i64) -> Result<Option<EntryVersion>> {
        sqlx::query("SELECT * FROM entry_version WHERE entry = $1 AND version = $2")
            .bind(id)
            .bind(version)
            .fetch_optional(self.db.pool())
            .await
            .map_err(fail)?
            .map(|row| read_version(&row))
            .transpose()
    }

    /// A number that grows with every change of the ledger or the share applications, also by other processes.
    pub async fn ledger_epoch(&self) -> Result<i64> {
        let row = sqlx::query("SELECT value FROM meta WHERE name = 'ledger_epoch'")
            .fetch_optional(self.db.pool())
            .await
            .map_err(fail)?;
        row.map_or(Ok(0), |row| Ok(text(&row, "value")?.parse().unwrap_or(0)))
    }

    async fn entries_by(&self, sql: &str, values: &[String]) -> Result<Vec<Entry>> {
        let mut query = sqlx::query(AssertSqlSafe(sql.to_owned()));
        for value in values {
            query = query.bind(value.as_str());
        }
        let rows = query.fetch_all(self.db.pool()).await.map_err(fail)?;
        let mut held = rows.iter().map(read).collect::<Result<Vec<_>>>()?;
        self.fill_items(&mut held).await?;
        Ok(held.into_iter().map(|h| h.entry).collect())
    }

    /// Reads the items of all these entries at once.
    pub(crate) async fn fill_items(&self, held: &mut [Held]) -> Result<()> {
        if held.is_empty() {
            return Ok(());
        }
        let marks: Vec<String> = (1..=held.len()).map(|n| format!("${n}")).collect();
        let sql = format!(
            "SELECT entry, body FROM item WHERE entry IN ({}) ORDER BY entry, position",
            marks.join(", ")
        );
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for h in held.iter() {
            query = query.bind(h.entry.id.clone());
        }
        let mut by_entry = std::collections::HashMap::<String, Vec<Item>>::new();
        for row in query.fetch_all(self.db.pool()).await.map_err(fail)? {
            by_entry.entry(text(&row, "entry")?).or_default().push(json(&row, "body")?);
        }
        for h in held {
            h.entry.draft.items = by_entry.remove(&h.entry.id).unwrap_or_default();
        }
        Ok(())
    }
}

/// Marks that the ledger changed, inside the transaction that changes it.
pub(crate) async fn touch(tx: &mut Transaction<'static, Any>) -> Result<()> {
    sqlx::query(
        "INSERT INTO meta (name, value) VALUES ('ledger_epoch', '1')
         ON CONFLICT (name) DO UPDATE SET value = CAST(CAST(meta.value AS BIGINT) + 1 AS TEXT)",
    )
    .execute(&mut **tx)
    .await
    .map_err(fail)?;
    Ok(())
}

/// Marks that these entries changed: the ledger moves on by one, and they bear its number (see `Store::open_moves`). Numbers are in the
/// order in which changes are seen: whoever has moved the ledger on holds the others up until its transaction is over.
pub(crate) async fn move_on(tx: &mut Transaction<'static, Any>, ids: &[&str]) -> Result<()> {
    touch(tx).await?;
    for chunk in ids.chunks(500) {
        let marks: Vec<String> = (1..=chunk.len()).map(|n| format!("${n}")).collect();
        let sql = format!(
            "UPDATE entry SET moved = (SELECT CAST(value AS BIGINT) FROM meta WHERE name = 'ledger_epoch')
             WHERE id IN ({})",
            marks.join(", ")
        );
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for id in chunk {
            query = query.bind((*id).to_owned());
        }
        query.execute(&mut **tx).await.map_err(fail)?;
    }
    Ok(())
}

/// The declaration without its items, as kept in `body`.
pub(crate) fn body(draft: &EntryDraft) -> Result<String> {
    to_json(&EntryDraft { items: Vec::new(), ..draft.clone() })
}

async fn insert(tx: &mut Transaction<'static, Any>, change: &EntryChange) -> Result<()> {
    let (e, d) = (&change.held.entry, &change.held.entry.draft);
    sqlx::query(
        "INSERT INTO entry (id, code, title, org, region, domain, share_type, open_type, grade, publish_state,
             online_state, version, body, pending, submitted_by, created_at, created_by, updated_at, published_at,
             row_count, data_at, changed_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, NULL, NULL, $14, $15, $16, NULL, $17, NULL, $16)",
    )
    .bind(e.id.as_str())
    .bind(d.code.as_str())
    .bind(d.title.as_str())
    .bind(d.org.as_str())
    .bind(d.region.as_str())
    .bind(d.domain.as_str())
    .bind(d.share_type.as_str())
    .bind(d.open_type.as_str())
    .bind(e.grade.as_str())
    .bind(e.publish_state.as_str())
    .bind(e.online_state.as_str())
    .bind(e.version)
    .bind(body(d)?)
    .bind(e.created_at.as_str())
    .bind(e.created_by.as_str())
    .bind(e.updated_at.as_str())
    .bind(e.rows)
    .execute(&mut **tx)
    .await
    .map_err(|e| {
        on_duplicate(
            e,
            &format!("目录编码 `{}` 已被使用，请换一个编码", d.code),
            &format!("the entry code `{}` is taken, choose another", d.code),
        )
    })?;
    Ok(())
}

async fn update(
    tx: &mut Transaction<'static, Any>,
    change: &EntryChange,
    base: &Base,
) -> Result<()> {
    let (h, e, d) = (&change.held, &change.held.entry, &change.held.entry.draft);
    let pending = h.pending.as_ref().map(to_json).transpose()?;
    let done = sqlx::query(
        "UPDATE entry SET title = $1, region = $2, domain = $3, share_type = $4, open_type = $5, grade = $6,
             publish_state = $7, online_state = $8, version = $9, body = $10, pending = $11, submitted_by = $12,
             updated_at = $13, published_at = $14, changed_at = CASE WHEN $20 = 1 THEN $13 ELSE changed_at END
         WHERE id = $15 AND version = $16 AND publish_state = $17 AND online_state = $18 AND updated_at = $19",
    )
    .bind(d.title.as_str())
    .bind(d.region.as_str())
    .bind(d.domain.as_str())
    .bind(d.share_type.as_str())
    .bind(d.open_type.as_str())
    .bind(e.grade.as_str())
    .bind(e.publish_state.as_str())
    .bind(e.online_state.as_str())
    .bind(e.version)
    .bind(body(d)?)
    .bind(pending)
    .bind(h.submitted_by.as_deref())
    .bind(e.updated_at.as_str())
    .bind(e.published_at.as_deref())
    .bind(e.id.as_str())
    .bind(base.version)
    .bind(base.publish_state.as_str())
    .bind(base.online_state.as_str())
    .bind(base.updated_at.as_str())
    .bind(i64::from(change.declared || base.live() != e.live()))
    .execute(&mut **tx)
    .await
    .map_err(fail)?;
    if done.rows_affected() == 1 {
        return Ok(());
    }
    Err(Error::new(
        Code::Stale,
        format!("目录 `{}` 刚被他人修改，请刷新后重试", d.code),
        format!("the entry `{}` was just changed by someone else, reload and try again", d.code),
    ))
}

async fn write_items(tx: &mut Transaction<'static, Any>, entry: &Entry) -> Result<()> {
    sqlx::query("DELETE FROM item WHERE entry = $1")
        .bind(entry.id.as_str())
        .execute(&mut **tx)
        .await
        .map_err(fail)?;
    for (position, item) in (0_i64..).zip(&entry.draft.items) {
        sqlx::query(
            "INSERT INTO item (entry, position, identifier, name_cn, name_en, data_type, grade, share_type, open_type,
                 is_primary, is_lookup, body)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        )
        .bind(entry.id.as_str())
        .bind(position)
        .bind(item.identifier.as_str())
        .bind(item.name_cn.as_str())
        .bind(item.name_en.as_str())
        .bind(item.data_type.as_str())
        .bind(item.grade.as_str())
        .bind(item.share_type.as_str())
        .bind(item.open_type.as_str())
        .bind(i64::from(item.primary))
        .bind(i64::from(item.lookup))
        .bind(to_json(item)?)
        .execute(&mut **tx)
        .await
        .map_err(|e| {
            on_duplicate(
                e,
                &format!("数据项 `{}` 在目录中重复", item.identifier),
                &format!("the item `{}` stands twice in the entry", item.identifier),
            )
        })?;
    }
    Ok(())
}

async fn write_version(tx: &mut Transaction<'static, Any>, op: &Op, entry: &Entry) -> Result<()> {
    sqlx::query(
        "INSERT INTO entry_version (entry, version, at, actor, body) VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(entry.id.as_str())
    .bind(entry.version)
    .bind(op.stamp())
    .bind(op.actor.name())
    .bind(to_json(&entry.draft)?)
    .execute(&mut **tx)
    .await
    .map_err(fail)?;
    Ok(())
}

async fn write_step(
    tx: &mut Transaction<'static, Any>,
    op: &Op,
    change: &EntryChange,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO entry_step (entry, seq, at, actor, actor_name, action, from_state, to_state, reason)
         VALUES ($1, (SELECT COALESCE(MAX(seq), 0) + 1 FROM entry_step WHERE entry = $1), $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(change.held.entry.id.as_str())
    .bind(op.stamp())
    .bind(op.actor.id())
    .bind(op.actor.name())
    .bind(change.action)
    .bind(change.from.as_str())
    .bind(change.to.as_str())
    .bind(change.reason.as_str())
    .execute(&mut **tx)
    .await
    .map_err(fail)?;
    Ok(())
}

/// An entry without its items.
pub(crate) fn read_bare(row: &AnyRow) -> Result<Entry> {
    Ok(read(row)?.entry)
}

pub(crate) fn read(row: &AnyRow) -> Result<Held> {
    let draft: EntryDraft = json(row, "body")?;
    let unknown =
        |column: &str| Error::internal(format!("entry column `{column}` holds an unknown word"));
    let publish_state = PublishState::parse(&text(row, "publish_state")?)
        .ok_or_else(|| unknown("publish_state"))?;
    let online_state =
        OnlineState::parse(&text(row, "online_state")?).ok_or_else(|| unknown("online_state"))?;
    let grade = Grade::parse(&text(row, "grade")?).ok_or_else(|| unknown("grade"))?;
    let pending = maybe(row, "pending")?
        .map(|p| serde_json::from_str(&p))
        .transpose()
        .map_err(|e| Error::internal("column `pending` holds unexpected JSON").caused_by(e))?;
    Ok(Held {
        entry: Entry {
            id: text(row, "id")?,
            draft,
            grade,
            publish_state,
            online_state,
            version: number(row, "version")?,
            created_at: text(row, "created_at")?,
            created_by: text(row, "created_by")?,
            updated_at: text(row, "updated_at")?,
            published_at: maybe(row, "published_at")?,
            rows: number(row, "row_count")?,
            data_at: maybe(row, "data_at")?,
        },
        pending,
        submitted_by: maybe(row, "submitted_by")?,
    })
}

fn read_version(row: &AnyRow) -> Result<EntryVersion> {
    Ok(EntryVersion {
        entry: text(row, "entry")?,
        version: number(row, "version")?,
        at: text(row, "at")?,
        actor: text(row, "actor")?,
        draft: json(row, "body")?,
    })
}
