//! Baskets, forms and their parts in the control store. A form is kept together with the first events of its parts'
//! approvals, or not at all.

use model::asset::Ledger;
use model::basket::{AssetRef, BasketItem, Bundle, BundleKind, Feedback, Part, Want};
use model::flow::{Event, Phase, Stage, State};
use model::{Code, Error, Op, Result};
use policy::{Action, Permit};
use sqlx::any::AnyRow;
use sqlx::{Any, AssertSqlSafe, Transaction};

use crate::Store;
use crate::approval::append;
use crate::clause::Clause;
use crate::db::{fail, json, maybe, number, page, text, to_json};

/// An approval that begins with a part.
#[derive(Debug)]
pub struct PartStart<'a> {
    pub part: &'a Part,
    pub events: &'a [Event],
    pub state: &'a State,
    pub stage: &'a str,
}

/// Which forms a list wants, newest first.
#[derive(Clone, Debug, Default)]
pub struct BundleFilter {
    /// Applying organisation; `None` = all.
    pub org: Option<String>,
    /// Applying person, of those who file without an organisation.
    pub applicant: Option<String>,
    pub kind: Option<BundleKind>,
    pub after: Option<String>,
    pub limit: u32,
}

const PARTS: &str = "SELECT p.*, a.flow, a.phase, a.stage, a.due, a.updated_at FROM bundle_part p
    JOIN approval a ON a.id = p.approval";

impl Store {
    /// Puts a thing into a basket; putting it in again changes nothing but its title and owner.
    pub async fn basket_put(&self, permit: &Permit, owner: &str, item: &BasketItem) -> Result<()> {
        permit.require(&[Action::BasketFile])?;
        sqlx::query(
            "INSERT INTO basket_item (owner, ledger, asset, title, org, added_at) VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (owner, ledger, asset) DO UPDATE SET title = excluded.title, org = excluded.org",
        )
        .bind(owner)
        .bind(item.asset.ledger.as_str())
        .bind(item.asset.id.as_str())
        .bind(item.asset.title.as_str())
        .bind(item.asset.org.as_str())
        .bind(item.added_at.as_str())
        .execute(self.db.pool())
        .await
        .map_err(fail)?;
        Ok(())
    }

    /// Takes a thing out of a basket; answers whether it was in.
    pub async fn basket_take(
        &self,
        permit: &Permit,
        owner: &str,
        ledger: Ledger,
        asset: &str,
    ) -> Result<bool> {
        permit.require(&[Action::BasketFile])?;
        let sql = "DELETE FROM basket_item WHERE owner = $1 AND ledger = $2 AND asset = $3";
        let done = sqlx::query(sql)
            .bind(owner)
            .bind(ledger.as_str())
            .bind(asset)
            .execute(self.db.pool())
            .await
            .map_err(fail)?;
        Ok(done.rows_affected() == 1)
    }

    /// What is in a basket, by owner and title.
    pub async fn basket_list(&self, owner: &str) -> Result<Vec<BasketItem>> {
        sqlx::query("SELECT * FROM basket_item WHERE owner = $1 ORDER BY org, ledger, title, asset LIMIT 1000")
            .bind(owner)
            .fetch_all(self.db.pool())
            .await
            .map_err(fail)?
            .iter()
            .map(|row| Ok(BasketItem { asset: asset(row)?, added_at: text(row, "added_at")? }))
            .collect()
    }

    /// Keeps a form with its parts and the beginnings of their approvals, and empties these things out of the basket.
    pub async fn bundle_insert(
        &self,
        permit: &Permit,
        bundle: &Bundle,
        starts: &[PartStart<'_>],
    ) -> Result<()> {
        permit.require(&[Action::BasketFile])?;
        let mut tx = self.db.begin().await?;
        sqlx::query(
            "INSERT INTO bundle (id, kind, org, applicant, applicant_name, created_at, form, feedback)
             VALUES ($1, $2, $3, $4, $5, $6, $7, NULL)",
        )
        .bind(bundle.id.as_str())
        .bind(bundle.kind.as_str())
        .bind(bundle.org.as_str())
        .bind(bundle.applicant.as_str())
        .bind(bundle.applicant_name.as_str())
        .bind(bundle.created_at.as_str())
        .bind(to_json(&bundle.form)?)
        .execute(&mut *tx)
        .await
        .map_err(fail)?;
        for start in starts {
            insert_part(&mut tx, start.part).await?;
            append(&mut tx, &start.part.approval, start.events, start.state, start.stage).await?;
            sqlx::query("DELETE FROM basket_item WHERE owner = $1 AND ledger = $2 AND asset = $3")
                .bind(bundle.applicant.as_str())
                .bind(start.part.asset.ledger.as_str())
                .bind(start.part.asset.id.as_str())
                .execute(&mut *tx)
                .await
                .map_err(fail)?;
        }
        crate::attachment::attach(&mut tx, &bundle.id, &bundle.applicant, &bundle.files).await?;
        tx.commit().await.map_err(fail)
    }

    /// A part goes another way (a dispute), if it still follows `from`.
    pub async fn part_follow(
        &self,
        permit: &Permit,
        from: &str,
        start: &PartStart<'_>,
    ) -> Result<()> {
        permit.require(&[Action::ApprovalFollow])?;
        let mut tx = self.db.begin().await?;
        let done =
            sqlx::query("UPDATE bundle_part SET approval = $1 WHERE id = $2 AND approval = $3")
                .bind(start.part.approval.as_str())
                .bind(start.part.id.as_str())
                .bind(from)
                .execute(&mut *tx)
                .await
                .map_err(fail)?;
        if done.rows_affected() != 1 {
            return Err(moved());
        }
        append(&mut tx, &start.part.approval, start.events, start.state, start.stage).await?;
        tx.commit().await.map_err(fail)
    }

    /// What is wanted of a part is changed (缺项补正), while its approval is with the applicant.
    pub async fn part_want(&self, permit: &Permit, part: &str, want: &Want) -> Result<()> {
        permit.require(&[Action::ApprovalFollow])?;
        sqlx::query(
            "UPDATE bundle_part SET want = $1 WHERE id = $2
             AND EXISTS (SELECT 1 FROM approval a WHERE a.id = bundle_part.approval AND a.phase = 'returned')",
        )
        .bind(to_json(want)?)
        .bind(part)
        .execute(self.db.pool())
        .await
        .map_err(fail)
        .and_then(|done| if done.rows_affected() == 1 { Ok(()) } else { Err(moved()) })
    }

    pub async fn bundle_get(&self, id: &str) -> Result<Option<Bundle>> {
        let row = sqlx::query("SELECT * FROM bundle WHERE id = $1")
            .bind(id)
            .fetch_optional(self.db.pool())
            .await
            .map_err(fail)?;
        let Some(row) = row else { return Ok(None) };
        let parts = self.parts_of(id).await?;
        let files = self.attachments_of(id).await?;
        Ok(Some(Bundle { files, ..read(&row, parts)? }))
    }

    pub async fn part_get(&self, id: &str) -> Result<Option<Part>> {
        sqlx::query(AssertSqlSafe(format!("{PARTS} WHERE p.id = $1")))
            .bind(id)
            .fetch_optional(self.db.pool())
            .await
            .map_err(fail)?
            .map(|row| read_part(&row))
            .transpose()
    }

    async fn parts_of(&self, bundle: &str) -> Result<Vec<Part>> {
        sqlx::query(AssertSqlSafe(format!("{PARTS} WHERE p.bundle = $1 ORDER BY p.n")))
            .bind(bundle)
            .fetch_all(self.db.pool())
            .await
            .map_err(fail)?
            .iter()
            .map(read_part)
            .collect()
    }

    /// A page of forms with their parts, newest first; `after` is the id of the last one seen.
    pub async fn bundle_list(&self, filter: &BundleFilter) -> Result<Vec<Bundle>> {
        let mut c = Clause::default();
        if let Some(org) = &filter.org {
            c.and_text("org =", org);
        }
        if let Some(applicant) = &filter.applicant {
            c.and_text("applicant =", applicant);
            c.and("org = ''");
        }
        if let Some(kind) = filter.kind {
            c.and_text("kind =", kind.as_str());
        }
        if let Some(after) = &filter.after {
            c.and_text("id <", after);
        }
        let sql = format!(
            "SELECT * FROM bundle{} ORDER BY id DESC LIMIT {}",
            c.sql(),
            page(filter.limit)
        );
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for value in c.values() {
            query = query.bind(value.as_str());
        }
        let rows = query.fetch_all(self.db.pool()).await.map_err(fail)?;
        let mut found = Vec::with_capacity(rows.len());
        for row in &rows {
            let parts = self.parts_of(&text(row, "id")?).await?;
            found.push(read(row, parts)?);
        }
        Ok(found)
    }

    /// The newest parts about one thing that have been decided, with the organisation that applied, except `but`.
    pub async fn parts_decided(
        &self,
        ledger: Ledger,
        asset: &str,
        but: &str,
        limit: u32,
    ) -> Result<Vec<(Part, String, String)>> {
        let sql = format!(
            "SELECT p.*, a.flow, a.phase, a.stage, a.due, a.updated_at, a.applicant_org, b.form FROM bundle_part p
             JOIN approval a ON a.id = p.approval JOIN bundle b ON b.id = p.bundle
             WHERE p.ledger = $1 AND p.asset = $2 AND p.id <> $3 AND a.phase IN ('approved', 'refused')
             ORDER BY p.id DESC LIMIT {}",
            page(limit)
        );
        sqlx::query(AssertSqlSafe(sql))
            .bind(ledger.as_str())
            .bind(asset)
            .bind(but)
            .fetch_all(self.db.pool())
            .await
            .map_err(fail)?
            .iter()
            .map(|row| {
                let form: model::basket::Form = json(row, "form")?;
                Ok((read_part(row)?, text(row, "applicant_org")?, form.name))
            })
            .collect()
    }

    /// Keeps the feedback on a form; the first one stays.
    pub async fn bundle_feedback(
        &self,
        permit: &Permit,
        _op: &Op,
        id: &str,
        feedback: &Feedback,
    ) -> Result<()> {
        permit.require(&[Action::ApprovalFollow])?;
        let done =
            sqlx::query("UPDATE bundle SET feedback = $1 WHERE id = $2 AND feedback IS NULL")
                .bind(to_json(feedback)?)
                .bind(id)
                .execute(self.db.pool())
                .await
                .map_err(fail)?;
        if done.rows_affected() == 1 { Ok(()) } else { Err(moved()) }
    }
}

fn moved() -> Error {
    Error::new(
        Code::WrongState,
        "申请刚被处理过，请刷新后查看",
        "the application was just acted on, reload to see it",
    )
}

async fn insert_part(tx: &mut Transaction<'static, Any>, part: &Part) -> Result<()> {
    sqlx::query(
        "INSERT INTO bundle_part (id, bundle, n, ledger, asset, title, org, want, approval)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(part.id.as_str())
    .bind(part.bundle.as_str())
    .bind(i64::from(part.n))
    .bind(part.asset.ledger.as_str())
    .bind(part.asset.id.as_str())
    .bind(part.asset.title.as_str())
    .bind(part.asset.org.as_str())
    .bind(to_json(&part.want)?)
    .bind(part.approval.as_str())
    .execute(&mut **tx)
    .await
    .map_err(fail)?;
    Ok(())
}

fn asset(row: &AnyRow) -> Result<AssetRef> {
    let word = text(row, "ledger")?;
    Ok(AssetRef {
        ledger: Ledger::of_word(&word)
            .ok_or_else(|| Error::internal(format!("ledger `{word}` is unknown")))?,
        id: text(row, "asset")?,
        title: text(row, "title")?,
        org: text(row, "org")?,
    })
}

fn read_part(row: &AnyRow) -> Result<Part> {
    let (phase, stage) = (text(row, "phase")?, text(row, "stage")?);
    Ok(Part {
        id: text(row, "id")?,
        bundle: text(row, "bundle")?,
        n: u32::try_from(number(row, "n")?).unwrap_or(0),
        asset: asset(row)?,
        want: json(row, "want")?,
        approval: text(row, "approval")?,
        flow: text(row, "flow")?,
        phase: Phase::parse(&phase)
            .ok_or_else(|| Error::internal(format!("approval phase `{phase}` is unknown")))?,
        stage: Stage::ALL.into_iter().find(|s| s.as_str() == stage),
        due: text(row, "due")?,
        updated_at: text(row, "updated_at")?,
    })
}

fn read(row: &AnyRow, parts: Vec<Part>) -> Result<Bundle> {
    let word = text(row, "kind")?;
    let feedback = maybe(row, "feedback")?
        .map(|f| serde_json::from_str(&f))
        .transpose()
        .map_err(|e| Error::internal("column `feedback` holds unexpected JSON").caused_by(e))?;
    Ok(Bundle {
        id: text(row, "id")?,
        kind: BundleKind::parse(&word)
            .ok_or_else(|| Error::internal(format!("bundle kind `{word}` is unknown")))?,
        form: json(row, "form")?,
        org: text(row, "org")?,
        applicant: text(row, "applicant")?,
        applicant_name: text(row, "applicant_name")?,
        created_at: text(row, "created_at")?,
        feedback,
        files: Vec::new(),
        parts,
    })
}
