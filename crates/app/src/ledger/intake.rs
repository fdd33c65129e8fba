//! Batches of assets: what a file or a call brings is planned row by row in one pass (every fault told, duplicates
//! told), and written in one transaction. The same plan serves files (`sheet`) and calls.

use std::collections::{BTreeMap, HashMap, HashSet};

use model::asset::{Asset, AssetDraft, Ledger};
use model::audit::AuditEvent;
use model::{Code, Error, FieldError, Op, Result};
use policy::{Action, Target};
use serde::Serialize;
use store::asset::AssetChange;

use super::check::Known;
use super::rules::{LedgerRule, LedgerRules};
use super::{check, edit_change, graph, index, new_change, new_code, reachable, rules};
use crate::{App, audit};

/// A row as it came: where it stands, and the columns that were given (by key).
#[derive(Clone, Debug)]
pub(super) struct RawRow {
    /// `rows[3]`, `[2]`
    pub(super) place: String,
    pub(super) given: BTreeMap<String, String>,
}

/// What rows come to, as told to whoever brought them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct IntakeReport {
    pub ledger: Ledger,
    pub rows: u64,
    pub new: u64,
    pub changed: u64,
    /// Rows that say what the ledger says already.
    pub same: u64,
    /// Rows with a fault.
    pub refused: u64,
    pub faults: Vec<FieldError>,
    /// Rows that look like an asset of their organisation that is there, or stands earlier in the file.
    pub duplicates: u64,
    pub alike: Vec<FieldError>,
    /// Whether anything was written.
    pub applied: bool,
}

impl IntakeReport {
    /// Of no rows.
    pub(super) fn of(ledger: Ledger) -> Self {
        Self {
            ledger,
            rows: 0,
            new: 0,
            changed: 0,
            same: 0,
            refused: 0,
            faults: Vec::new(),
            duplicates: 0,
            alike: Vec::new(),
            applied: false,
        }
    }
}

/// A report with the changes it speaks of.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) changes: Vec<AssetChange>,
    pub(super) report: IntakeReport,
}

/// Takes a batch from a call (of an application, or of a person's script): rows of `{"code": …, "name": …}` with field
/// keys beside them. With faults nothing is written unless `good_rows` says that the good rows go in. Sent twice, the
/// second changes nothing.
pub async fn intake(
    app: &App,
    op: &Op,
    ledger: Ledger,
    rows: Vec<BTreeMap<String, String>>,
    good_rows: bool,
) -> Result<IntakeReport> {
    let most = rules(app, op)?.import.call_rows;
    if rows.len() > most {
        return Err(Error::new(
            Code::TooLarge,
            format!("一次调用最多 {most} 行，收到 {} 行，请分批", rows.len()),
            format!("one call brings {most} rows at most, {} came: send them in lots", rows.len()),
        ));
    }
    let own = op.actor.org().unwrap_or_default().to_owned();
    let raw = rows
        .into_iter()
        .enumerate()
        .map(|(i, mut given)| {
            // A caller reports its own organisation's assets unless it says otherwise (and may).
            given.entry("org".into()).or_insert_with(|| own.clone());
            RawRow { place: format!("[{i}]"), given }
        })
        .collect();
    let mut plan = plan(app, op, ledger, raw).await?;
    if good_rows || plan.report.faults.is_empty() {
        write(app, op, &mut plan, "call").await?;
    }
    Ok(plan.report)
}

/// What the planning of a batch asks of the ledger, read once.
struct Desk<'a> {
    app: &'a App,
    op: &'a Op,
    rules: &'a LedgerRules,
    rule: &'a LedgerRule,
    known: Known,
    /// Id, credit code or name of an organisation → id.
    orgs: HashMap<String, String>,
    now: HashMap<String, Asset>,
    /// Name keys by organisation, of the ledger and of the rows before.
    names: HashMap<String, HashSet<String>>,
    seen: HashSet<String>,
    /// Decisions by organisation and region.
    may: HashMap<(String, String), bool>,
}

pub(super) async fn plan(app: &App, op: &Op, ledger: Ledger, rows: Vec<RawRow>) -> Result<Plan> {
    let rules = rules(app, op)?;
    let rule = rules.of(ledger)?;
    let codes: Vec<String> = rows
        .iter()
        .filter_map(|r| r.given.get("code").cloned())
        .filter(|c| !c.is_empty())
        .collect();
    let now = app.store.asset_by_codes(ledger, &codes).await?;
    let (mut orgs, mut ids) = (HashMap::new(), HashSet::new());
    for org in app.store.orgs_list().await? {
        for word in [org.name_cn, org.uscc, org.id.clone()] {
            orgs.insert(word, org.id.clone());
        }
        ids.insert(org.id);
    }
    let regions = app.store.regions_list().await?.into_iter().map(|r| r.code).collect();
    let mut desk = Desk {
        app,
        op,
        rules,
        rule,
        known: Known { orgs: ids, regions },
        orgs,
        now: now.into_iter().map(|a| (a.draft.code.clone(), a)).collect(),
        names: HashMap::new(),
        seen: HashSet::new(),
        may: HashMap::new(),
    };
    let mut changes = Vec::new();
    let mut plan = IntakeReport::of(ledger);
    for row in rows {
        plan.rows += 1;
        match desk.row(&row) {
            Ok(None) => plan.same += 1,
            Ok(Some(change)) => {
                if change.base.is_none() {
                    plan.new += 1;
                    if desk.twin(&change).await? {
                        plan.duplicates += 1;
                        if plan.alike.len() < rules.import.told {
                            plan.alike.push(FieldError {
                                field: format!("{}.{}", row.place, change.asset.draft.name),
                                zh: "本单位已有（或文件中已有）名称相同的资产，请核对是否重复".into(),
                                en: "the organisation has (or the file holds) an asset of the same name: is it the same?".into(),
                            });
                        }
                    }
                } else {
                    plan.changed += 1;
                }
                changes.push(change);
            }
            Err(faults) => {
                plan.refused += 1;
                plan.faults.extend(faults.into_iter().map(|f| FieldError {
                    field: format!("{}.{}", row.place, label(rule, &f.field)),
                    ..f
                }));
            }
        }
    }
    Ok(Plan { changes, report: plan })
}

/// The header of a column by its key.
fn label<'a>(rule: &'a LedgerRule, key: &'a str) -> &'a str {
    let common = super::rules::COMMON.iter().find(|(k, _, _)| *k == key).map(|(_, zh, _)| *zh);
    common.or_else(|| rule.field(key).map(|f| f.zh.as_str())).unwrap_or(key)
}

fn fault(field: &str, zh: impl Into<String>, en: impl Into<String>) -> FieldError {
    FieldError { field: field.to_owned(), zh: zh.into(), en: en.into() }
}

impl Desk<'_> {
    /// The change a row asks for; `None` when it says what is there already.
    fn row(&mut self, row: &RawRow) -> std::result::Result<Option<AssetChange>, Vec<FieldError>> {
        let code = row.given.get("code").map(|c| c.trim()).unwrap_or_default();
        let now = self.now.get(code).cloned();
        let mut draft = now.as_ref().map_or_else(|| blank(self.rule.word), |a| a.draft.clone());
        let mut state = now.as_ref().map_or(self.rule.first(), |a| a.state.as_str()).to_owned();
        let mut faults = Vec::new();
        for (key, value) in &row.given {
            let into = match key.as_str() {
                "code" => &mut draft.code,
                "name" => &mut draft.name,
                "region" => &mut draft.region,
                "owner" => &mut draft.owner,
                "description" => &mut draft.description,
                "org" => {
                    let value = value.trim();
                    draft.org = self.orgs.get(value).map_or(value, String::as_str).to_owned();
                    continue;
                }
                "org_name" => continue,
                "state" => {
                    if !value.trim().is_empty() {
                        match self.state(now.as_ref(), value.trim()) {
                            Ok(word) => state = word,
                            Err(e) => faults.push(fault("state", e.zh(), e.en())),
                        }
                    }
                    continue;
                }
                _ => draft.fields.entry(key.clone()).or_default(),
            };
            value.clone_into(into);
        }
        let mut draft = check::tidy(draft, self.rule);
        if draft.code.is_empty() {
            draft.code = new_code(self.op, self.rule, &draft);
        }
        faults.extend(check::faults(&draft, self.rule, &self.known));
        if !self.seen.insert(draft.code.clone()) {
            faults.push(fault(
                "code",
                format!("编号 `{}` 在本批中重复", draft.code),
                format!("the code `{}` stands twice in this lot", draft.code),
            ));
        }
        if let Some(a) = &now {
            if a.merged_into.is_some() {
                faults.push(fault(
                    "code",
                    "该编号的资产已并入另一条，不能再修改",
                    "the asset of this code was merged into another and cannot change",
                ));
            }
            if !self.allowed(&a.draft) {
                faults.push(fault(
                    "code",
                    "编号已被其他单位使用，请换一个编号",
                    "the code is taken by another organisation, choose another",
                ));
            }
        }
        if self.known.orgs.contains(&draft.org) && !self.allowed(&draft) {
            faults.push(fault(
                "org",
                "无权为该单位或该地区登记",
                "you may not enter assets of this organisation or region",
            ));
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        Ok(match now {
            Some(now) => edit_change(self.op, self.rules, self.rule, &now, draft, &state, "import"),
            None => Some(new_change(self.op, self.rules, self.rule, draft, &state, "import")),
        })
    }

    /// The word of a state that a row may bring: any for a new asset, a reachable one for one that is there.
    fn state(&self, now: Option<&Asset>, given: &str) -> Result<String> {
        match now {
            Some(a) if self.rule.state(given).is_some_and(|s| s.word == a.state) => {
                Ok(a.state.clone())
            }
            Some(a) => reachable(self.rule, &a.state, given).map(str::to_owned),
            None => match self.rule.state(given) {
                Some(s) => Ok(s.word.clone()),
                None => reachable(self.rule, self.rule.first(), given).map(str::to_owned),
            },
        }
    }

    fn allowed(&mut self, draft: &AssetDraft) -> bool {
        let key = (draft.org.clone(), draft.region.clone());
        if let Some(may) = self.may.get(&key) {
            return *may;
        }
        let target = Target::new_asset(draft);
        let may = self.app.policy.decide(self.op, Action::AssetImport, &target).allowed;
        self.may.insert(key, may);
        may
    }

    /// Whether the organisation has an asset of the same name, there or among the rows before.
    async fn twin(&mut self, change: &AssetChange) -> Result<bool> {
        let org = &change.asset.draft.org;
        if !self.names.contains_key(org) {
            let mine = self.app.store.asset_names_of(self.rule.word, org).await?;
            let keys = mine.iter().map(|h| check::name_key(&h.name, &self.rules.duplicate));
            self.names.insert(org.clone(), keys.collect());
        }
        let keys = self.names.entry(org.clone()).or_default();
        Ok(!keys.insert(change.name_key.clone()))
    }
}

fn blank(ledger: Ledger) -> AssetDraft {
    AssetDraft {
        ledger,
        code: String::new(),
        name: String::new(),
        org: String::new(),
        region: String::new(),
        owner: String::new(),
        description: String::new(),
        fields: BTreeMap::new(),
    }
}

/// Writes a plan's changes in one transaction, brings search up to date, and leaves one record of the batch (each
/// asset's own step names who, when and how).
pub(super) async fn write(app: &App, op: &Op, plan: &mut Plan, source: &str) -> Result<()> {
    plan.report.applied = true;
    let Some(first) = plan.changes.first() else { return Ok(()) };
    // Each row was decided by itself; the permit is for the batch.
    let permit =
        audit::permit(app, op, Action::AssetImport, &Target::new_asset(&first.asset.draft)).await?;
    app.store.asset_apply(&permit, op, &plan.changes).await?;
    let assets: Vec<Asset> = plan.changes.iter().map(|c| c.asset.clone()).collect();
    graph::follow_field(app, op, &permit, &assets).await?;
    index::put(app, &assets).await?;
    let told = &plan.report;
    let event = AuditEvent {
        rows: u64::try_from(plan.changes.len()).unwrap_or(0),
        reason: source.to_owned(),
        scope: format!("new {} changed {} refused {}", told.new, told.changed, told.refused),
        ..audit::event(op, "asset.import", told.ledger.as_str())
    };
    audit::record(app, event).await
}
