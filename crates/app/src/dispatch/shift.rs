//! Moving quota from one holder to another: asked for by who needs it, agreed to in an approval (the flow `quota`),
//! applied by the platform when it is granted.
//!
//! What lies above the two moves along, so that sums hold: between organisations of two cities the cities' quotas move,
//! too. What lies above both stays; along one line (from a region to its organisation) only the lower one changes.

use model::audit::AuditEvent;
use model::dispatch::{Holder, HolderKind, Resource};
use model::flow::{Fact, Facts, Subject};
use model::{Code, Error, Op, Result};
use policy::{Action, Permit, Target};
use store::dispatch::{QuotaChange, QuotaMove};

use super::quota::{Known, Tree, changed, known, words};
use crate::approval::{self, Beginning, Held};
use crate::{App, audit};

/// Kind of the subject of an approval that moves quota.
pub(crate) const SUBJECT: &str = "quota";

/// What is asked for.
#[derive(Clone, Debug)]
pub struct MoveNew {
    pub resource: Resource,
    pub from: Holder,
    pub to: Holder,
    pub amount: u64,
    pub reason: String,
}

/// Asks for quota of another holder; answers the request with its approval.
pub async fn ask(app: &App, op: &Op, new: MoveNew) -> Result<QuotaMove> {
    let (from, to) = (known(app, &new.from).await?, known(app, &new.to).await?);
    let target = Target {
        org: (to.holder.kind != HolderKind::Region).then(|| to.org.clone()),
        region: Some(to.region.clone()),
        ..Target::plain("Quota", &to.holder.key())
    };
    let permit = audit::permit(app, op, Action::QuotaAsk, &target).await?;
    let reason = words(&new.reason)?;
    // What cannot be done now is not asked for.
    plan(app, &new, &from, &to).await?;
    let org = op.actor.org().unwrap_or_default().to_owned();
    let id = op.new_id();
    let beginning = Beginning {
        flow: "quota",
        subject: Subject { kind: SUBJECT.into(), id: id.clone() },
        title: format!("{}：{} → {}，{}", new.resource.zh(), from.name, to.name, new.amount),
        applicant_org: org.clone(),
        owner_org: from.org.clone(),
        more: approval::Places::new(),
        facts: facts(&new, &from, &to, &org),
    };
    let begun = approval::begin(app, op, &permit, beginning).await?;
    let kept = QuotaMove {
        id,
        resource: new.resource,
        from: new.from,
        to: new.to,
        amount: new.amount,
        reason,
        org,
        from_org: from.org,
        applicant: op.actor.id().to_owned(),
        applicant_name: op.actor.name().to_owned(),
        approval: begun.id.clone(),
        created_at: op.stamp(),
        applied_at: None,
        phase: begun.state.phase,
    };
    app.store.quota_move_insert(&permit, &kept, &begun.events, &begun.state, &begun.stage).await?;
    approval::started(app, op, &begun).await?;
    let event = AuditEvent {
        scope: format!("{} {} {}→{}", kept.resource, kept.amount, kept.from.key(), kept.to.key()),
        reason: kept.reason.clone(),
        request: kept.approval.clone(),
        ..audit::event(op, "quota.ask", &kept.id)
    };
    audit::record(app, event).await?;
    approval::settle(app, op, &begun.id).await?;
    app.store
        .quota_move_get(&kept.id)
        .await?
        .ok_or_else(|| Error::internal("a request to move quota is gone"))
}

fn facts(new: &MoveNew, from: &Known, to: &Known, org: &str) -> Facts {
    let city = |region: &str| region.get(..4).unwrap_or(region).to_owned();
    let amount = i64::try_from(new.amount).unwrap_or(i64::MAX);
    Facts::from([
        ("resource".to_owned(), Fact::Text(new.resource.as_str().to_owned())),
        ("amount".to_owned(), Fact::Number(amount)),
        ("own".to_owned(), Fact::Flag(from.org == org)),
        ("cross".to_owned(), Fact::Flag(city(&from.region) != city(&to.region))),
    ])
}

/// Applies what an approval granted; granting it again changes nothing.
pub(crate) async fn deliver(
    app: &App,
    system: &Op,
    permit: &Permit,
    held: &Held,
) -> Result<String> {
    let id = &held.state.subject.id;
    let found = app.store.quota_move_get(id).await?.ok_or_else(|| {
        Error::internal(format!("no request to move quota behind the approval `{}`", held.id))
    })?;
    let note = format!("quota {} {}", found.resource, found.amount);
    if found.applied_at.is_some() {
        return Ok(note);
    }
    let (from, to) = (known(app, &found.from).await?, known(app, &found.to).await?);
    let new = MoveNew {
        resource: found.resource,
        from: found.from,
        to: found.to,
        amount: found.amount,
        reason: found.reason,
    };
    let mut changes = plan(app, &new, &from, &to).await?;
    for change in &mut changes {
        change.reference.clone_from(&held.id);
    }
    // `Stale` (somebody set a quota just now) is tried again by the approvals' tick.
    match app.store.quota_apply(permit, system, &changes, Some(id)).await {
        Err(e) if e.code() == Code::Stale => {
            return Err(Error::of(Code::StoreUnavailable).caused_by(e.en().to_owned()));
        }
        other => other?,
    };
    app.shares.forget();
    for change in &changes {
        changed(app, system, "quota.move", change).await?;
    }
    Ok(note)
}

/// The changes that a move means, or why it cannot be.
async fn plan(app: &App, new: &MoveNew, from: &Known, to: &Known) -> Result<Vec<QuotaChange>> {
    let tree = Tree::load(app, new.resource).await?;
    let mut kept: Vec<(Holder, String, Option<u64>)> = Vec::new();
    for known in [from, to] {
        let amount = match known.holder.kind {
            HolderKind::Application => {
                // The day tells its use, which is not asked for here.
                app.store.quota_get(new.resource, &known.holder, "").await?.map(|r| r.amount)
            }
            _ => tree.amount(&known.holder),
        };
        kept.push((known.holder.clone(), known.parent.clone(), amount));
    }
    let amount = |holder: &Holder| {
        let own = kept.iter().find(|(h, _, _)| h == holder);
        own.map_or_else(|| tree.amount(holder), |(_, _, amount)| *amount)
    };
    let steps = steps(
        &Side { holder: from.holder.clone(), line: tree.line(&from.holder, &from.parent) },
        &Side { holder: to.holder.clone(), line: tree.line(&to.holder, &to.parent) },
        new.amount,
        &amount,
        tree.handed_on(&from.holder),
    )?;
    let parent = |holder: &Holder| {
        let own = kept.iter().find(|(h, _, _)| h == holder).map(|(_, parent, _)| parent.clone());
        own.or_else(|| tree.line(holder, "").first().map(|h| h.id.clone())).unwrap_or_default()
    };
    Ok(steps
        .into_iter()
        .map(|(holder, was, amount)| QuotaChange {
            resource: new.resource,
            parent: parent(&holder),
            holder,
            was: Some(was),
            amount: Some(amount),
            cause: "move",
            reference: String::new(),
            reason: new.reason.clone(),
        })
        .collect())
}

/// One end of a move with everything above it, nearest first.
struct Side {
    holder: Holder,
    line: Vec<Holder>,
}

impl Side {
    fn all(&self) -> impl Iterator<Item = &Holder> {
        std::iter::once(&self.holder).chain(&self.line)
    }
}

/// `(holder, before, after)` of every quota a move changes.
fn steps(
    from: &Side,
    to: &Side,
    n: u64,
    amount: &dyn Fn(&Holder) -> Option<u64>,
    handed_on: u64,
) -> Result<Vec<(Holder, u64, u64)>> {
    if n == 0 || from.holder == to.holder {
        return Err(Error::invalid(
            "请填写大于 0 的数量，且调出方与调入方不能相同",
            "enter an amount above 0 and two different holders",
        )
        .field("amount", "请修改", "change it"));
    }
    let none = |side: &Side| {
        Error::new(
            Code::RuleBroken,
            format!("{} `{}` 没有自己的配额，不能调剂", side.holder.kind.zh(), side.holder.id),
            format!("`{}` has no quota of its own: nothing can be moved", side.holder.key()),
        )
    };
    let has = amount(&from.holder).ok_or_else(|| none(from))?;
    amount(&to.holder).ok_or_else(|| none(to))?;
    // Towards what lies above, the whole of one's own may go but for what is handed on.
    let free = has.saturating_sub(handed_on);
    if n > free {
        return Err(Error::new(
            Code::RuleBroken,
            format!("调出方配额 {has}，其中 {handed_on} 已分配给下级，最多可调出 {free}"),
            format!("the giving side has {has}, {handed_on} of it handed on: {free} at most can be moved"),
        )
        .field("amount", "超出可调出的数量", "more than can be moved"));
    }
    let shared = |holder: &Holder, other: &Side| other.all().any(|h| h == holder);
    let mut found = Vec::new();
    for holder in from.all().filter(|h| !shared(h, to)) {
        if let Some(was) = amount(holder) {
            found.push((holder.clone(), was, was.saturating_sub(n)));
        }
    }
    for holder in to.all().filter(|h| !shared(h, from)) {
        if let Some(was) = amount(holder) {
            found.push((holder.clone(), was, was.saturating_add(n)));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(keys: &[&str]) -> Side {
        let mut all = keys.iter().map(|k| Holder::parse(k).unwrap());
        Side { holder: all.next().unwrap(), line: all.collect() }
    }

    fn check(from: &[&str], to: &[&str], n: u64, expected: &[&str]) {
        let amounts = |h: &Holder| match h.key().as_str() {
            "region:330000" => Some(1000),
            "region:330100" => Some(400),
            "region:330200" => Some(300),
            "org:hz" => Some(100),
            "org:nb" => Some(50),
            _ => None,
        };
        let got = steps(&side(from), &side(to), n, &amounts, 0).map(|steps| {
            steps.iter().map(|(h, was, now)| format!("{} {was}→{now}", h.key())).collect::<Vec<_>>()
        });
        assert_eq!(got.unwrap_or_else(|e| vec![e.code().as_str().to_owned()]), expected);
    }

    #[test]
    fn what_lies_above_moves_along_and_what_is_shared_stays() {
        let hz = ["org:hz", "region:330100", "region:330000"];
        let nb = ["org:nb", "region:330200", "region:330000"];
        check(
            &hz,
            &nb,
            10,
            &["org:hz 100→90", "region:330100 400→390", "org:nb 50→60", "region:330200 300→310"],
        );
        check(&["region:330100", "region:330000"], &hz, 10, &["org:hz 100→110"]);
        check(&hz, &["region:330100", "region:330000"], 10, &["org:hz 100→90"]);
        check(&hz, &nb, 101, &["rule_broken"]);
        check(&hz, &["org:other", "region:330200"], 1, &["rule_broken"]);
        check(&hz, &hz, 1, &["invalid_input"]);
        check(&hz, &nb, 0, &["invalid_input"]);
    }
}
