//! The grant of the check before opening (开放风险评估): the rows as the public would get them if a declaration were in force, for
//! the department that declares it. What is masked for the public is masked here; what would stay closed is not read at all.

use model::code::{Grade, OpenType};
use model::entry::Entry;
use model::{Op, Result};

use crate::release::grantee;
use crate::{Action, Grant, GrantColumn, Policy, Target, Via};

impl Policy {
    /// Decides that the caller may check an entry before it is opened, and says what is read for it. `entry` holds the declaration
    /// that is wanted; `held` are the items that the tables hold already. `None` when nothing of it would be shown to anybody.
    pub fn grant_assess(
        &self,
        op: &Op,
        entry: &Entry,
        held: &[&str],
        row_cap: u64,
    ) -> Result<Option<Grant>> {
        let draft = &entry.draft;
        let target = Target::plan(&entry.id, &draft.org, &draft.region, "");
        self.permit(op, Action::PlanKeep, &target)?;
        let today = op.today();
        let columns: Vec<GrantColumn> = draft
            .items
            .iter()
            .filter(|i| i.open_type != OpenType::None && i.grade < Grade::L4)
            .filter(|i| held.contains(&i.identifier.as_str()))
            .map(|item| {
                let mask = self.mask(item, Via::Open, today);
                GrantColumn {
                    identifier: item.identifier.clone(),
                    name_cn: item.name_cn.clone(),
                    data_type: item.data_type,
                    scale: item.scale,
                    grade: item.grade,
                    filterable: mask.is_none(),
                    lookup: false,
                    mask,
                }
            })
            .collect();
        if draft.open_type == OpenType::None || columns.is_empty() {
            return Ok(None);
        }
        let grade = columns.iter().map(|c| c.grade).max().unwrap_or(Grade::L1);
        Ok(Some(Grant {
            entry: entry.id.clone(),
            code: draft.code.clone(),
            key: draft.key().into_iter().map(str::to_owned).collect(),
            columns,
            row_filter: None,
            row_cap,
            quota: None,
            purpose: "open-check".to_owned(),
            request: None,
            grantee: grantee(&op.actor),
            grade,
            expires_at: None,
            action: Action::RowsDownload,
        }))
    }
}
