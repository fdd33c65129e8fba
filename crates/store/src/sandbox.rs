//! The data sandbox in the control store: programs, runs, releases, longer terms, the seats that wait for a decision, and who is bound to
//! a sandbox.

use model::Result;
use model::project::{Project, ProjectRole};
use model::request::RequestState;
use model::sandbox::release::{ReleaseState, SandboxRelease, ServedMark};
use model::sandbox::{
    ExtensionState, Review, SandboxExtension, SandboxLine, SandboxProgram, SandboxRun, SandboxTerms,
};
use policy::{Action, Permit};
use serde::de::DeserializeOwned;
use sqlx::any::AnyRow;
use sqlx::{Any, Transaction};

use crate::Store;
use crate::clause::Clause;
use crate::db::{changed, fail, json, number, page, text, to_json};
use crate::entry::touch;

const WRITERS: &[Action] = &[Action::ProjectWork, Action::SandboxReview, Action::SystemWork];

/// A body with the number of its last write.
#[derive(Clone, Debug)]
pub struct Kept<T> {
    pub body: T,
    pub edit: i64,
}

/// Something that waits at a desk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    pub subject: String,
    /// `run`, `release` or `extension`
    pub kind: String,
}

impl Store {
    /// Keeps a program; `content` is sealed.
    pub async fn sandbox_program_insert(
        &self,
        permit: &Permit,
        program: &SandboxProgram,
        content: &str,
    ) -> Result<()> {
        permit.require(WRITERS)?;
        sqlx::query(
            "INSERT INTO sandbox_program (id, project, content, body) VALUES ($1, $2, $3, $4)",
        )
        .bind(program.id.as_str())
        .bind(program.project.as_str())
        .bind(content)
        .bind(to_json(program)?)
        .execute(self.db.pool())
        .await
        .map_err(fail)?;
        Ok(())
    }

    /// A program with its sealed content.
    pub async fn sandbox_program_get(&self, id: &str) -> Result<Option<(SandboxProgram, String)>> {
        sqlx::query("SELECT content, body FROM sandbox_program WHERE id = $1")
            .bind(id)
            .fetch_optional(self.db.pool())
            .await
            .map_err(fail)?
            .map(|row| Ok((json(&row, "body")?, text(&row, "content")?)))
            .transpose()
    }

    /// Programs of a project, newest first.
    pub async fn sandbox_programs(&self, project: &str, limit: u32) -> Result<Vec<SandboxProgram>> {
        self.sandbox_page("SELECT body FROM sandbox_program", project, None, limit).await
    }

    /// Enters a run, with the seats that it waits for.
    pub async fn sandbox_run_insert(&self, permit: &Permit, run: &SandboxRun) -> Result<()> {
        permit.require(WRITERS)?;
        let mut tx = self.db.begin().await?;
        sqlx::query("INSERT INTO sandbox_run (id, project, edit, body) VALUES ($1, $2, 1, $3)")
            .bind(run.id.as_str())
            .bind(run.project.as_str())
            .bind(to_json(run)?)
            .execute(&mut *tx)
            .await
            .map_err(fail)?;
        seats(&mut tx, &run.id, "run", &run.reviews).await?;
        tx.commit().await.map_err(fail)
    }

    pub async fn sandbox_run_get(&self, id: &str) -> Result<Option<Kept<SandboxRun>>> {
        self.sandbox_kept("SELECT edit, body FROM sandbox_run", id).await
    }

    /// Runs of a project, newest first.
    pub async fn sandbox_runs(
        &self,
        project: &str,
        before: Option<&str>,
        limit: u32,
    ) -> Result<Vec<SandboxRun>> {
        self.sandbox_page("SELECT body FROM sandbox_run", project, before, limit).await
    }

    /// Writes a run over the state that was read; fails with `stale` when somebody was quicker.
    pub async fn sandbox_run_update(
        &self,
        permit: &Permit,
        run: &SandboxRun,
        edit: i64,
    ) -> Result<()> {
        permit.require(WRITERS)?;
        let mut tx = self.db.begin().await?;
        let done = sqlx::query(
            "UPDATE sandbox_run SET body = $1, edit = edit + 1 WHERE id = $2 AND edit = $3",
        )
        .bind(to_json(run)?)
        .bind(run.id.as_str())
        .bind(edit)
        .execute(&mut *tx)
        .await
        .map_err(fail)?;
        changed(done.rows_affected())?;
        seats(&mut tx, &run.id, "run", &run.reviews).await?;
        tx.commit().await.map_err(fail)
    }

    /// Enters a release with its frozen rows, sealed, and the seats that it waits for.
    pub async fn sandbox_release_insert(
        &self,
        permit: &Permit,
        release: &SandboxRelease,
        content: &str,
    ) -> Result<()> {
        permit.require(WRITERS)?;
        let mut tx = self.db.begin().await?;
        sqlx::query(
            "INSERT INTO sandbox_release (id, project, state, mark, edit, content, body, outlet) VALUES ($1, $2, $3, $4, 1, $5, $6, $7)",
        )
        .bind(release.id.as_str())
        .bind(release.project.as_str())
        .bind(release.state.as_str())
        .bind(release.mark.as_str())
        .bind(content)
        .bind(to_json(release)?)
        .bind(release.outlet.as_ref().map(|o| o.table.as_str()).unwrap_or_default())
        .execute(&mut *tx)
        .await
        .map_err(fail)?;
        seats(&mut tx, &release.id, "release", &release.reviews).await?;
        tx.commit().await.map_err(fail)
    }

    pub async fn sandbox_release_get(&self, id: &str) -> Result<Option<Kept<SandboxRelease>>> {
        self.sandbox_kept("SELECT edit, body FROM sandbox_release", id).await
    }

    /// The release whose file bears a mark.
    pub async fn sandbox_release_by_mark(&self, mark: &str) -> Result<Option<SandboxRelease>> {
        sqlx::query("SELECT body FROM sandbox_release WHERE mark = $1")
            .bind(mark)
            .fetch_optional(self.db.pool())
            .await
            .map_err(fail)?
            .map(|row| json(&row, "body"))
            .transpose()
    }

    /// Keeps what a served answer bears, with its call.
    pub async fn sandbox_mark_insert(&self, permit: &Permit, served: &ServedMark) -> Result<()> {
        permit.require(&[Action::SystemWork])?;
        sqlx::query("INSERT INTO sandbox_mark (id, release_id, at, body) VALUES ($1, $2, $3, $4)")
            .bind(served.mark.as_str())
            .bind(served.release.as_str())
            .bind(served.at.as_str())
            .bind(to_json(served)?)
            .execute(self.db.pool())
            .await
            .map_err(fail)?;
        Ok(())
    }

    /// The call whose answer bears a mark.
    pub async fn sandbox_mark_get(&self, mark: &str) -> Result<Option<ServedMark>> {
        self.db.body("sandbox_mark", mark).await
    }

    /// The frozen rows of a release, sealed.
    pub async fn sandbox_release_content(&self, id: &str) -> Result<String> {
        let row = sqlx::query("SELECT content FROM sandbox_release WHERE id = $1")
            .bind(id)
            .fetch_one(self.db.pool())
            .await
            .map_err(fail)?;
        text(&row, "content")
    }

    /// Releases of a project, newest first.
    pub async fn sandbox_releases(
        &self,
        project: &str,
        before: Option<&str>,
        limit: u32,
    ) -> Result<Vec<SandboxRelease>> {
        self.sandbox_page("SELECT body FROM sandbox_release", project, before, limit).await
    }

    /// Releases of a project that have left or may: ids, oldest first. Differencing looks at all of them.
    pub async fn sandbox_releases_out(&self, project: &str, limit: u32) -> Result<Vec<String>> {
        sqlx::query(
            "SELECT id FROM sandbox_release WHERE project = $1 AND state NOT IN ($2, $3) ORDER BY id LIMIT $4",
        )
        .bind(project)
        .bind(ReleaseState::Stopped.as_str())
        .bind(ReleaseState::Refused.as_str())
        .bind(page(limit))
        .fetch_all(self.db.pool())
        .await
        .map_err(fail)?
        .iter()
        .map(|row| text(row, "id"))
        .collect()
    }

    /// Writes a release over the state that was read; fails with `stale` when somebody was quicker: of two who fetch, one does.
    pub async fn sandbox_release_update(
        &self,
        permit: &Permit,
        release: &SandboxRelease,
        edit: i64,
    ) -> Result<()> {
        permit.require(WRITERS)?;
        let mut tx = self.db.begin().await?;
        let done = sqlx::query(
            "UPDATE sandbox_release SET body = $1, state = $2, edit = edit + 1 WHERE id = $3 AND edit = $4",
        )
        .bind(to_json(release)?)
        .bind(release.state.as_str())
        .bind(release.id.as_str())
        .bind(edit)
        .execute(&mut *tx)
        .await
        .map_err(fail)?;
        changed(done.rows_affected())?;
        seats(&mut tx, &release.id, "release", &release.reviews).await?;
        if release.outlet.is_some() {
            // What the gate decided of its rows holds no more.
            touch(&mut tx).await?;
        }
        tx.commit().await.map_err(fail)
    }

    /// What waits at the desk of an organisation (empty: the authority's), oldest first.
    pub async fn sandbox_desk(
        &self,
        org: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Waiting>> {
        sqlx::query(
            "SELECT subject, kind FROM sandbox_seat WHERE org = $1 AND waits = 1 AND subject > $2 ORDER BY subject LIMIT $3",
        )
        .bind(org)
        .bind(after.unwrap_or_default())
        .bind(page(limit))
        .fetch_all(self.db.pool())
        .await
        .map_err(fail)?
        .iter()
        .map(|row| Ok(Waiting { subject: text(row, "subject")?, kind: text(row, "kind")? }))
        .collect()
    }

    /// The release whose rows the gate knows by this name.
    pub async fn sandbox_release_by_outlet(&self, table: &str) -> Result<Option<SandboxRelease>> {
        sqlx::query("SELECT body FROM sandbox_release WHERE outlet = $1 AND outlet <> ''")
            .bind(table)
            .fetch_optional(self.db.pool())
            .await
            .map_err(fail)?
            .map(|row| json(&row, "body"))
            .transpose()
    }

    /// Releases of a project that are served as interfaces.
    pub async fn sandbox_releases_served(
        &self,
        project: &str,
    ) -> Result<Vec<Kept<SandboxRelease>>> {
        sqlx::query("SELECT edit, body FROM sandbox_release WHERE project = $1 AND state = $2")
            .bind(project)
            .bind(ReleaseState::Served.as_str())
            .fetch_all(self.db.pool())
            .await
            .map_err(fail)?
            .iter()
            .map(|row| Ok(Kept { body: json(row, "body")?, edit: number(row, "edit")? }))
            .collect()
    }

    /// Whether what an application is granted is used in a sandbox alone: it works in one that is not closed, or was agreed something for
    /// use in one only.
    pub async fn sandbox_bound(&self, application: &str) -> Result<bool> {
        let found = sqlx::query(
            "SELECT 1 AS found FROM project WHERE application = $1 AND sandbox = 1
             UNION ALL SELECT 1 FROM request WHERE application = $1 AND sandboxed = 1 AND state = $2 LIMIT 1",
        )
        .bind(application)
        .bind(RequestState::Approved.as_str())
        .fetch_optional(self.db.pool())
        .await
        .map_err(fail)?;
        Ok(found.is_some())
    }

    /// Sandboxes that a person is a member of, newest first.
    pub async fn sandboxes_of(
        &self,
        user: &str,
        before: Option<&str>,
        limit: u32,
    ) -> Result<Vec<SandboxLine>> {
        sqlx::query(
            "SELECT p.body, m.role, (SELECT CAST(COALESCE(SUM(r.byte_count), 0) AS BIGINT) FROM project_result r WHERE r.project = p.id) AS bytes
             FROM project p JOIN project_member m ON m.project = p.id
             WHERE m.user_id = $1 AND p.sandbox > 0 AND ($2 = '' OR p.id < $2) ORDER BY p.id DESC LIMIT $3",
        )
        .bind(user)
        .bind(before.unwrap_or_default())
        .bind(page(limit))
        .fetch_all(self.db.pool())
        .await
        .map_err(fail)?
        .iter()
        .map(line)
        .collect()
    }

    /// Open sandboxes whose term ends on a day or later, by id.
    pub async fn sandboxes_open(
        &self,
        until: &str,
        after: &str,
        limit: u32,
    ) -> Result<Vec<Project>> {
        sqlx::query(
            "SELECT body FROM project WHERE sandbox = 1 AND (sandbox_until = '' OR sandbox_until >= $1) AND id > $2 ORDER BY id LIMIT $3",
        )
        .bind(until)
        .bind(after)
        .bind(page(limit))
        .fetch_all(self.db.pool())
        .await
        .map_err(fail)?
        .iter()
        .map(|row| json(row, "body"))
        .collect()
    }

    /// Enters an extension that is asked for, with the seat that it waits for.
    pub async fn sandbox_extension_insert(
        &self,
        permit: &Permit,
        extension: &SandboxExtension,
    ) -> Result<()> {
        permit.require(&[Action::ProjectKeep])?;
        let mut tx = self.db.begin().await?;
        sqlx::query(
            "INSERT INTO sandbox_extension (id, project, edit, body) VALUES ($1, $2, 1, $3)",
        )
        .bind(extension.id.as_str())
        .bind(extension.project.as_str())
        .bind(to_json(extension)?)
        .execute(&mut *tx)
        .await
        .map_err(fail)?;
        seats(&mut tx, &extension.id, "extension", &extension.reviews).await?;
        tx.commit().await.map_err(fail)
    }

    pub async fn sandbox_extension_get(&self, id: &str) -> Result<Option<Kept<SandboxExtension>>> {
        self.sandbox_kept("SELECT edit, body FROM sandbox_extension", id).await
    }

    /// Extensions of a project, newest first.
    pub async fn sandbox_extensions(
        &self,
        project: &str,
        limit: u32,
    ) -> Result<Vec<SandboxExtension>> {
        self.sandbox_page("SELECT body FROM sandbox_extension", project, None, limit).await
    }

    /// Writes what was decided of an extension, and the longer term where it was agreed; fails with `stale` when somebody was quicker.
    pub async fn sandbox_extension_update(
        &self,
        permit: &Permit,
        extension: &SandboxExtension,
        edit: i64,
    ) -> Result<()> {
        permit.require(&[Action::SandboxReview])?;
        let mut tx = self.db.begin().await?;
        let done = sqlx::query(
            "UPDATE sandbox_extension SET body = $1, edit = edit + 1 WHERE id = $2 AND edit = $3",
        )
        .bind(to_json(extension)?)
        .bind(extension.id.as_str())
        .bind(edit)
        .execute(&mut *tx)
        .await
        .map_err(fail)?;
        changed(done.rows_affected())?;
        seats(&mut tx, &extension.id, "extension", &extension.reviews).await?;
        if extension.state == ExtensionState::Agreed {
            let row = sqlx::query("SELECT body FROM project WHERE id = $1")
                .bind(extension.project.as_str())
                .fetch_one(&mut *tx)
                .await
                .map_err(fail)?;
            let mut project: Project = json(&row, "body")?;
            project.sandbox = Some(SandboxTerms { until: extension.until.clone() });
            crate::project::write(&mut tx, &project).await?;
        }
        tx.commit().await.map_err(fail)
    }

    async fn sandbox_kept<T: DeserializeOwned>(
        &self,
        select: &'static str,
        id: &str,
    ) -> Result<Option<Kept<T>>> {
        let mut clause = Clause::default();
        clause.and_text("id =", id);
        let rows = self.db.rows(format!("{select}{}", clause.sql()), &clause).await?;
        rows.first()
            .map(|row| Ok(Kept { body: json(row, "body")?, edit: number(row, "edit")? }))
            .transpose()
    }

    async fn sandbox_page<T: DeserializeOwned>(
        &self,
        select: &'static str,
        project: &str,
        before: Option<&str>,
        limit: u32,
    ) -> Result<Vec<T>> {
        let rows = self.db.newest(select, ("project", project), before, limit).await?;
        rows.iter().map(|row| json(row, "body")).collect()
    }
}

fn line(row: &AnyRow) -> Result<SandboxLine> {
    let project: Project = json(row, "body")?;
    Ok(SandboxLine {
        role: ProjectRole::parse(&text(row, "role")?)
            .ok_or_else(|| model::Error::internal("the role of a member"))?,
        bytes: u64::try_from(number(row, "bytes")?).unwrap_or(0),
        id: project.id,
        code: project.code,
        name: project.name,
        purpose: project.purpose,
        org: project.org,
        application_name: project.application_name,
        until: project.sandbox.map(|terms| terms.until).unwrap_or_default(),
        closed: project.closed_at.is_some(),
        storage_bytes: project.quota.storage_bytes,
    })
}

/// Seats as the reviews say: one that has decided waits no more, and none does once somebody has refused.
async fn seats(
    tx: &mut Transaction<'static, Any>,
    subject: &str,
    kind: &str,
    reviews: &[Review],
) -> Result<()> {
    let over = reviews.iter().any(|r| r.agreed == Some(false));
    for review in reviews {
        sqlx::query(
            "INSERT INTO sandbox_seat (subject, org, kind, waits) VALUES ($1, $2, $3, $4)
             ON CONFLICT (subject, org) DO UPDATE SET waits = excluded.waits",
        )
        .bind(subject)
        .bind(review.org.as_str())
        .bind(kind)
        .bind(i64::from(!over && review.agreed.is_none()))
        .execute(&mut **tx)
        .await
        .map_err(fail)?;
    }
    Ok(())
}
