//! What is known of files that belong to forms; their content lies in the inbox folder, by id.

use model::basket::Attachment;
use model::{Error, Result};
use policy::{Action, Permit};
use sqlx::any::AnyRow;
use sqlx::{Any, Transaction};

use crate::Store;
use crate::db::{fail, maybe, number, text};

const WRITERS: &[Action] = &[
    Action::BasketFile,
    Action::ApprovalFollow,
    Action::ReportFill,
    Action::RestrictedApply,
    Action::RestrictedReview,
    Action::RestrictedOversee,
    Action::SystemWork,
];

impl Store {
    pub async fn attachment_insert(&self, permit: &Permit, file: &Attachment) -> Result<()> {
        permit.require(WRITERS)?;
        sqlx::query(
            "INSERT INTO attachment (id, bundle, owner, owner_name, name, media, bytes, checksum, at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        )
        .bind(file.id.as_str())
        .bind(file.bundle.as_deref())
        .bind(file.owner.as_str())
        .bind(file.owner_name.as_str())
        .bind(file.name.as_str())
        .bind(file.media.as_str())
        .bind(i64::try_from(file.bytes).unwrap_or(i64::MAX))
        .bind(file.checksum.as_str())
        .bind(file.at.as_str())
        .execute(self.db.pool())
        .await
        .map_err(fail)?;
        Ok(())
    }

    /// Takes a file away that waits in its owner's basket; one that was filed stays.
    pub async fn attachment_remove(&self, permit: &Permit, id: &str, owner: &str) -> Result<bool> {
        permit.require(WRITERS)?;
        let sql = "DELETE FROM attachment WHERE id = $1 AND owner = $2 AND bundle IS NULL";
        let done =
            sqlx::query(sql).bind(id).bind(owner).execute(self.db.pool()).await.map_err(fail)?;
        Ok(done.rows_affected() == 1)
    }

    /// Takes a file away from the form it belongs to.
    pub async fn attachment_drop(&self, permit: &Permit, id: &str, bundle: &str) -> Result<bool> {
        permit.require(&[Action::ReportFill])?;
        let sql = "DELETE FROM attachment WHERE id = $1 AND bundle = $2";
        let done =
            sqlx::query(sql).bind(id).bind(bundle).execute(self.db.pool()).await.map_err(fail)?;
        Ok(done.rows_affected() == 1)
    }

    pub async fn attachment_get(&self, id: &str) -> Result<Option<Attachment>> {
        sqlx::query("SELECT * FROM attachment WHERE id = $1")
            .bind(id)
            .fetch_optional(self.db.pool())
            .await
            .map_err(fail)?
            .map(|row| read(&row))
            .transpose()
    }

    /// Files that wait in a person's basket.
    pub async fn attachments_waiting(&self, owner: &str) -> Result<Vec<Attachment>> {
        self.attachments(
            "SELECT * FROM attachment WHERE owner = $1 AND bundle IS NULL ORDER BY id LIMIT 1000",
            owner,
        )
        .await
    }

    /// Files of a form.
    pub async fn attachments_of(&self, bundle: &str) -> Result<Vec<Attachment>> {
        self.attachments(
            "SELECT * FROM attachment WHERE bundle = $1 ORDER BY id LIMIT 1000",
            bundle,
        )
        .await
    }

    async fn attachments(&self, sql: &'static str, value: &str) -> Result<Vec<Attachment>> {
        let rows = sqlx::query(sql).bind(value).fetch_all(self.db.pool()).await.map_err(fail)?;
        rows.iter().map(read).collect()
    }
}

/// Files that wait in the applicant's basket go with a form, inside the transaction that keeps it.
pub(crate) async fn attach(
    tx: &mut Transaction<'static, Any>,
    bundle: &str,
    owner: &str,
    files: &[Attachment],
) -> Result<()> {
    for file in files {
        let done = sqlx::query(
            "UPDATE attachment SET bundle = $1 WHERE id = $2 AND owner = $3 AND bundle IS NULL",
        )
        .bind(bundle)
        .bind(file.id.as_str())
        .bind(owner)
        .execute(&mut **tx)
        .await
        .map_err(fail)?;
        if done.rows_affected() != 1 {
            return Err(Error::new(
                model::Code::WrongState,
                format!("附件 `{}` 已不在申请篮中，请刷新后重试", file.name),
                format!(
                    "the file `{}` is not in the basket any more: reload and try again",
                    file.name
                ),
            ));
        }
    }
    Ok(())
}

fn read(row: &AnyRow) -> Result<Attachment> {
    Ok(Attachment {
        id: text(row, "id")?,
        bundle: maybe(row, "bundle")?,
        owner: text(row, "owner")?,
        owner_name: text(row, "owner_name")?,
        name: text(row, "name")?,
        media: text(row, "media")?,
        bytes: u64::try_from(number(row, "bytes")?).unwrap_or(0),
        checksum: text(row, "checksum")?,
        at: text(row, "at")?,
    })
}
