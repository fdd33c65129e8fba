//! Organisations and regions in the control store.

use std::time::{Duration, Instant};

use model::org::Org;
use model::region::{Region, RegionLevel};
use model::{Error, Result};
use policy::{Action, Permit};
use sqlx::any::AnyRow;

use crate::Store;
use crate::db::{fail, json, maybe, number, on_duplicate, text, to_json};

/// How long regions are kept that another process may have added to.
const KEPT: Duration = Duration::from_secs(10);

/// The regions as last read.
#[derive(Debug, Default)]
pub(crate) struct Regions(parking_lot::Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    /// Grows with each change, so that what was read before one is not kept after it.
    changes: u64,
    read: Option<(Instant, Vec<Region>)>,
}

impl Regions {
    /// What is kept, and after how many changes.
    fn get(&self) -> (Option<Vec<Region>>, u64) {
        let kept = self.0.lock();
        let fresh = kept.read.as_ref().filter(|(at, _)| at.elapsed() < KEPT);
        (fresh.map(|(_, regions)| regions.clone()), kept.changes)
    }

    fn put(&self, regions: &[Region], changes: u64) {
        let mut kept = self.0.lock();
        if kept.changes == changes {
            kept.read = Some((Instant::now(), regions.to_vec()));
        }
    }

    fn forget(&self) {
        let mut kept = self.0.lock();
        kept.changes += 1;
        kept.read = None;
    }
}

/// Enters an organisation: id, credit code, names, kind, region, what is above it, whether it is an authority.
pub(crate) const INSERT_ORG: &str =
    "INSERT INTO org (id, uscc, name_cn, name_en, kind, region, parent, authority)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";

impl Store {
    /// Enters regions that are not there yet; answers how many were new.
    pub async fn regions_insert(&self, permit: &Permit, regions: &[Region]) -> Result<u64> {
        permit.require(&[Action::OrgManage, Action::SystemWork])?;
        let mut tx = self.db.begin().await?;
        let mut new = 0;
        for r in regions {
            new += sqlx::query(
                "INSERT INTO region (code, name_cn, name_en, level, parent) VALUES ($1, $2, $3, $4, $5)
                 ON CONFLICT (code) DO NOTHING",
            )
            .bind(r.code.as_str())
            .bind(r.name_cn.as_str())
            .bind(r.name_en.as_str())
            .bind(level_word(r.level))
            .bind(r.parent.as_deref())
            .execute(&mut *tx)
            .await
            .map_err(fail)?
            .rows_affected();
        }
        tx.commit().await.map_err(fail)?;
        self.regions.forget();
        Ok(new)
    }

    /// All regions by code. They are asked for with every page and hardly ever change: kept for some seconds, and read anew after
    /// this process has entered one.
    pub async fn regions_list(&self) -> Result<Vec<Region>> {
        let (known, changes) = self.regions.get();
        if let Some(known) = known {
            return Ok(known);
        }
        let read = self.regions_read().await?;
        self.regions.put(&read, changes);
        Ok(read)
    }

    async fn regions_read(&self) -> Result<Vec<Region>> {
        sqlx::query("SELECT code, name_cn, name_en, level, parent FROM region ORDER BY code")
            .fetch_all(self.db.pool())
            .await
            .map_err(fail)?
            .iter()
            .map(|row| {
                let code = text(row, "code")?;
                Ok(Region {
                    level: model::region::level_of(&code)?,
                    name_cn: text(row, "name_cn")?,
                    name_en: text(row, "name_en")?,
                    parent: maybe(row, "parent")?,
                    code,
                })
            })
            .collect()
    }

    /// Enters an organisation. `Duplicate` when its id or credit code is known.
    pub async fn org_insert(&self, permit: &Permit, org: &Org) -> Result<()> {
        permit.require(&[Action::OrgManage, Action::SystemWork])?;
        sqlx::query(INSERT_ORG)
            .bind(org.id.as_str())
            .bind(org.uscc.as_str())
            .bind(org.name_cn.as_str())
            .bind(org.name_en.as_str())
            .bind(to_json(&org.kind)?)
            .bind(org.region.as_str())
            .bind(org.parent.as_deref())
            .bind(i64::from(org.authority))
            .execute(self.db.pool())
            .await
            .map_err(|e| {
                on_duplicate(
                    e,
                    &format!("统一社会信用代码 {} 或机构编号 {} 已登记", org.uscc, org.id),
                    &format!(
                        "the credit code {} or the id {} is registered already",
                        org.uscc, org.id
                    ),
                )
            })?;
        Ok(())
    }

    /// Writes an organisation anew, all but its id. `Duplicate` when another has the credit code.
    pub async fn org_change(&self, permit: &Permit, org: &Org) -> Result<()> {
        permit.require(&[Action::OrgManage])?;
        sqlx::query(
            "UPDATE org SET uscc = $1, name_cn = $2, name_en = $3, kind = $4, region = $5, parent = $6, authority = $7
             WHERE id = $8",
        )
        .bind(org.uscc.as_str())
        .bind(org.name_cn.as_str())
        .bind(org.name_en.as_str())
        .bind(to_json(&org.kind)?)
        .bind(org.region.as_str())
        .bind(org.parent.as_deref())
        .bind(i64::from(org.authority))
        .bind(org.id.as_str())
        .execute(self.db.pool())
        .await
        .map_err(|e| {
            on_duplicate(
                e,
                &format!("统一社会信用代码 {} 已由其他机构登记", org.uscc),
                &format!("the credit code {} is registered for another organisation", org.uscc),
            )
        })?;
        Ok(())
    }

    pub async fn org_get(&self, id: &str) -> Result<Option<Org>> {
        sqlx::query("SELECT * FROM org WHERE id = $1")
            .bind(id)
            .fetch_optional(self.db.pool())
            .await
            .map_err(fail)?
            .map(|row| read_org(&row))
            .transpose()
    }

    /// The organisation, or `NotFound` in the user's words.
    pub async fn org_require(&self, id: &str) -> Result<Org> {
        self.org_get(id).await?.ok_or_else(|| Error::not_found("机构", "organisation", id))
    }

    /// An organisation and all below it, by id; empty when it is not known.
    pub async fn orgs_from(&self, id: &str) -> Result<Vec<String>> {
        sqlx::query(
            "WITH RECURSIVE below (id) AS (
                 SELECT id FROM org WHERE id = $1
                 UNION SELECT o.id FROM org o JOIN below b ON o.parent = b.id
             ) SELECT id FROM below",
        )
        .bind(id)
        .fetch_all(self.db.pool())
        .await
        .map_err(fail)?
        .iter()
        .map(|row| text(row, "id"))
        .collect()
    }

    /// All organisations, by region then name.
    pub async fn orgs_list(&self) -> Result<Vec<Org>> {
        sqlx::query("SELECT * FROM org ORDER BY region, name_cn")
            .fetch_all(self.db.pool())
            .await
            .map_err(fail)?
            .iter()
            .map(read_org)
            .collect()
    }

    /// A named value of the installation (schema marks, seed marks).
    pub async fn meta_get(&self, name: &str) -> Result<Option<String>> {
        sqlx::query("SELECT value FROM meta WHERE name = $1")
            .bind(name)
            .fetch_optional(self.db.pool())
            .await
            .map_err(fail)?
            .map(|row| text(&row, "value"))
            .transpose()
    }

    pub async fn meta_set(&self, permit: &Permit, name: &str, value: &str) -> Result<()> {
        permit.require(&[Action::SystemWork])?;
        sqlx::query(
            "INSERT INTO meta (name, value) VALUES ($1, $2)
             ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        )
        .bind(name)
        .bind(value)
        .execute(self.db.pool())
        .await
        .map_err(fail)?;
        Ok(())
    }
}

fn read_org(row: &AnyRow) -> Result<Org> {
    Ok(Org {
        id: text(row, "id")?,
        uscc: text(row, "uscc")?,
        name_cn: text(row, "name_cn")?,
        name_en: text(row, "name_en")?,
        kind: json(row, "kind")?,
        region: text(row, "region")?,
        parent: maybe(row, "parent")?,
        authority: number(row, "authority")? != 0,
    })
}

fn level_word(level: RegionLevel) -> &'static str {
    match level {
        RegionLevel::Province => "province",
        RegionLevel::City => "city",
        RegionLevel::County => "county",
    }
}
