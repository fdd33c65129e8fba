//! Look-alikes: found on entry (same organisation, similar name), merged by a person and never by the platform.

use std::collections::HashSet;

use model::asset::{Asset, AssetDraft};
use model::audit::AuditEvent;
use model::{Code, Error, Op, Result};
use policy::{Action, Target};
use serde::Serialize;
use store::asset::AssetHead;

use super::rules::LedgerRules;
use super::{change_of, check, get, index, rules, standing};
use crate::{App, audit};

/// An asset that may be the same thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Alike {
    pub id: String,
    pub code: String,
    pub name: String,
    pub state: String,
    /// Percent.
    pub name_like: u32,
}

/// Assets of the same organisation that may be the same thing as this one.
pub async fn alike(app: &App, op: &Op, id: &str) -> Result<Vec<Alike>> {
    let asset = get(app, op, id).await?;
    of_draft(app, rules(app, op)?, &asset.draft, Some(&asset.id)).await
}

pub(super) async fn of_draft(
    app: &App,
    rules: &LedgerRules,
    draft: &AssetDraft,
    except: Option<&str>,
) -> Result<Vec<Alike>> {
    let mine = app.store.asset_names_of(draft.ledger, &draft.org).await?;
    let key = check::name_key(&draft.name, &rules.duplicate);
    let mut found: Vec<Alike> = mine
        .into_iter()
        .filter(|h| Some(h.id.as_str()) != except)
        .filter_map(|h| judge(h, &key, rules))
        .collect();
    found.sort_by(|a, b| b.name_like.cmp(&a.name_like).then_with(|| a.code.cmp(&b.code)));
    found.truncate(rules.duplicate.most);
    Ok(found)
}

fn judge(head: AssetHead, key: &str, rules: &LedgerRules) -> Option<Alike> {
    let other = check::name_key(&head.name, &rules.duplicate);
    let like = name_like(key, &other);
    (like >= rules.duplicate.name_like).then_some(Alike {
        id: head.id,
        code: head.code,
        name: head.name,
        state: head.state,
        name_like: like,
    })
}

/// Likeness of two name keys in percent. Names that differ by their numbers (node 01, node 02) are different things.
pub(super) fn name_like(a: &str, b: &str) -> u32 {
    let digits = |s: &str| s.chars().filter(char::is_ascii_digit).collect::<String>();
    if digits(a) != digits(b) {
        return 0;
    }
    dice(&grams(a), &grams(b))
}

/// Pairs of neighbouring characters; the character itself when there is only one.
pub(super) fn grams(text: &str) -> HashSet<(char, char)> {
    let chars: Vec<char> = text.chars().filter(|c| c.is_alphanumeric()).collect();
    let mut out: HashSet<(char, char)> =
        chars.windows(2).filter_map(|w| Some((*w.first()?, *w.get(1)?))).collect();
    if let ([only], true) = (chars.as_slice(), out.is_empty()) {
        out.insert((*only, *only));
    }
    out
}

/// Dice's coefficient in percent.
pub(super) fn dice(a: &HashSet<(char, char)>, b: &HashSet<(char, char)>) -> u32 {
    if a.is_empty() || b.is_empty() {
        return 0;
    }
    let common = a.intersection(b).count();
    u32::try_from(common * 200 / (a.len() + b.len())).unwrap_or(0)
}

/// The look-alikes as an error of the form.
pub(super) fn told(found: &[Alike]) -> Error {
    let mut e = Error::new(
        Code::Duplicate,
        format!(
            "本单位已有 {} 条相似资产；如确为另一项，请勾选“已核对，不是重复”后再保存",
            found.len()
        ),
        format!(
            "the organisation has {} similar assets; if this is another thing, tick “checked, not a duplicate” and save again",
            found.len()
        ),
    );
    for a in found.iter().take(10) {
        e = e.field(
            format!("{} {}", a.code, a.name),
            format!("名称相似度 {}%", a.name_like),
            format!("name alike by {} %", a.name_like),
        );
    }
    e
}

/// Merges `drop` into `keep`: empty fields of `keep` are filled, links move over, `drop` stays readable and points to
/// `keep`. Both must be of one ledger, and the caller must have the say over both.
pub async fn merge(app: &App, op: &Op, keep: &str, drop: &str, reason: &str) -> Result<Asset> {
    let (kept, dropped) = (get(app, op, keep).await?, get(app, op, drop).await?);
    if kept.id == dropped.id || kept.draft.ledger != dropped.draft.ledger {
        return Err(Error::invalid(
            "只能合并同一台账中的两条不同资产",
            "only two different assets of one ledger can be merged",
        ));
    }
    if reason.trim().is_empty() {
        return Err(Error::invalid("合并须写明理由", "a merge needs a reason").field(
            "reason",
            "请填写理由",
            "give a reason",
        ));
    }
    let permit = audit::permit(app, op, Action::AssetCompile, &Target::asset(&kept)).await?;
    audit::permit(app, op, Action::AssetCompile, &Target::asset(&dropped)).await?;
    standing(&kept)?;
    standing(&dropped)?;
    let rules = rules(app, op)?;
    let rule = rules.of(kept.draft.ledger)?;
    let mut filled = kept.clone();
    filled.version += 1;
    for (key, value) in &dropped.draft.fields {
        filled.draft.fields.entry(key.clone()).or_insert_with(|| value.clone());
    }
    for (mine, other) in [
        (&mut filled.draft.owner, &dropped.draft.owner),
        (&mut filled.draft.description, &dropped.draft.description),
    ] {
        if mine.is_empty() {
            mine.clone_from(other);
        }
    }
    let mut keep_change = change_of(op, rules, rule, filled, "merge");
    keep_change.base = Some(kept.version);
    keep_change.from.clone_from(&kept.state);
    keep_change.reason = format!("{} ← {}: {}", kept.draft.code, dropped.draft.code, reason.trim());
    let mut gone = dropped.clone();
    gone.version += 1;
    gone.merged_into = Some(kept.id.clone());
    let mut drop_change = change_of(op, rules, rule, gone, "merge");
    drop_change.base = Some(dropped.version);
    drop_change.from.clone_from(&dropped.state);
    drop_change.reason.clone_from(&keep_change.reason);
    app.store.asset_merge(&permit, op, &keep_change, &drop_change).await?;
    index::put(app, &[keep_change.asset.clone(), drop_change.asset]).await?;
    let event = AuditEvent {
        scope: dropped.draft.code,
        reason: reason.trim().to_owned(),
        ..audit::event(op, "asset.merge", &kept.draft.code)
    };
    audit::record(app, event).await?;
    Ok(keep_change.asset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_tell_machines_apart() {
        assert_eq!(name_like("市场监管数据库01", "市场监管数据库02"), 0);
        assert_eq!(name_like("市场监管数据库01", "市场监管数据库01"), 100);
        assert!(name_like("企业信用查询", "企业信用核查") >= 50);
        assert_eq!(name_like("税", "税"), 100);
        assert_eq!(name_like("", "税"), 0);
    }
}
