//! 应用查重: a proposed application is compared with all that are there, in name, text, function by function, and data
//! wanted. The answer is a list with reasons; the outcome is a person's, with what they saw kept beside it.

use std::collections::HashSet;

use model::asset::{
    Asset, AssetFilter, FunctionMatch, Ledger, Match, Proposal, ProposalDraft, Verdict,
};
use model::audit::AuditEvent;
use model::{Error, Op, Result};
use policy::{Action, Target};

use super::like::{dice, grams};
use super::rules::{LedgerRules, ProposalRules};
use super::{check, rules};
use crate::{App, Page, account, audit};

type Grams = HashSet<(char, char)>;

/// Words every application uses to speak of itself: they tell nothing apart.
const COMMONPLACE: [&str; 14] = [
    "系统", "平台", "应用", "管理", "功能", "建设", "实现", "提供", "支持", "进行", "用户", "信息",
    "数据", "服务",
];

/// Enters a proposal of one's organisation.
pub async fn propose(app: &App, op: &Op, draft: ProposalDraft) -> Result<Proposal> {
    let draft = tidy(draft);
    let proposal = Proposal {
        id: op.new_id(),
        draft,
        created_at: op.stamp(),
        created_by: op.actor.id().to_owned(),
        verdict: None,
        decided_at: None,
        decided_by: String::new(),
        reason: String::new(),
        matches: Vec::new(),
    };
    let region = region_of(app, &proposal.draft.org).await?;
    let target = Target::proposal(&proposal, &region);
    let permit = audit::permit(app, op, Action::ProposalSubmit, &target).await?;
    refuse(&proposal.draft)?;
    app.store.proposal_insert(&permit, &proposal).await?;
    audit::record(app, audit::event(op, "proposal.submit", &proposal.id)).await?;
    Ok(proposal)
}

fn tidy(mut draft: ProposalDraft) -> ProposalDraft {
    let list = |all: Vec<String>| -> Vec<String> {
        all.into_iter().map(|t| t.trim().to_owned()).filter(|t| !t.is_empty()).collect()
    };
    draft.name = draft.name.trim().to_owned();
    draft.description = draft.description.trim().to_owned();
    draft.functions = list(draft.functions);
    draft.data = list(draft.data);
    draft
}

fn refuse(draft: &ProposalDraft) -> Result<()> {
    let mut e = Error::invalid("拟建应用的信息不完整", "the proposal is not complete");
    if draft.name.is_empty() || draft.name.chars().count() > 200 {
        e = e.field("name", "名称为 1 至 200 个字", "the name has 1 to 200 characters");
    }
    if draft.description.chars().count() < 10 || draft.description.chars().count() > 5000 {
        e = e.field(
            "description",
            "说明为 10 至 5000 个字，查重以它为据",
            "the description has 10 to 5000 characters: the check rests on it",
        );
    }
    if draft.functions.is_empty() || draft.functions.len() > 100 {
        e = e.field(
            "functions",
            "请列出 1 至 100 项功能，每行一项",
            "list 1 to 100 functions, one a line",
        );
    }
    if draft.data.len() > 200 {
        e = e.field("data", "最多 200 项数据", "200 data at most");
    }
    if e.fields().is_empty() { Ok(()) } else { Err(e) }
}

/// The region of an organisation; refusals stay refusals of the caller when it is not known.
async fn region_of(app: &App, org: &str) -> Result<String> {
    Ok(app.store.org_require(org).await?.region)
}

/// One proposal, if the caller may see it; who decided by the name shown.
pub async fn proposal(app: &App, op: &Op, id: &str) -> Result<Proposal> {
    let mut found = kept(app, op, id).await?;
    account::logins_named(app, vec![&mut found.decided_by]).await?;
    Ok(found)
}

/// The same as it is kept.
async fn kept(app: &App, op: &Op, id: &str) -> Result<Proposal> {
    let missing =
        || Error::not_found("拟建应用", "proposal", &id.chars().take(64).collect::<String>());
    let found = app.store.proposal_get(id).await?.ok_or_else(missing)?;
    let region = region_of(app, &found.draft.org).await?;
    let target = Target::proposal(&found, &region);
    if app.policy.decide(op, Action::ProposalRead, &target).allowed {
        return Ok(found);
    }
    Err(missing())
}

/// Proposals the caller may see, newest first.
pub async fn proposals(
    app: &App,
    op: &Op,
    after: Option<&str>,
    limit: u32,
) -> Result<Page<Proposal>> {
    let strange = Target { org: Some(String::new()), ..Target::plain("Proposal", "") };
    let all = app.policy.decide(op, Action::ProposalRead, &strange).allowed;
    let org = if all { None } else { Some(op.actor.org().unwrap_or_default()) };
    if let Some(org) = org {
        let own = Target { org: Some(org.to_owned()), ..strange };
        audit::permit(app, op, Action::ProposalRead, &own).await?;
    }
    let limit = if limit == 0 { 50 } else { limit.min(500) };
    let items = app.store.proposal_list(org, after, limit + 1).await?;
    Ok(Page::cut(items, limit, |p| p.id.clone()))
}

/// Compares a proposal with every application of the ledger; most alike first, with reasons.
pub async fn compare(app: &App, op: &Op, id: &str) -> Result<(Vec<Match>, Verdict)> {
    let proposal = kept(app, op, id).await?;
    let rules = rules(app, op)?;
    let mut found = against_all(app, rules, &proposal.draft).await?;
    data_used(app, rules, &proposal.draft, &mut found).await?;
    found.sort_by(|a, b| b.score.cmp(&a.score).then_with(|| a.code.cmp(&b.code)));
    found.truncate(rules.proposal.most);
    let suggested = suggest(&found, &rules.proposal);
    Ok((found, suggested))
}

/// What the score suggests; a person decides.
pub(super) fn suggest(found: &[Match], rules: &ProposalRules) -> Verdict {
    match found.first().map_or(0, |m| m.score) {
        s if s >= rules.refuse_from => Verdict::Refused,
        s if s >= rules.reduce_from => Verdict::Reduced,
        _ if found.iter().any(|m| m.functions_covered >= rules.reduce_functions) => {
            Verdict::Reduced
        }
        _ => Verdict::Passed,
    }
}

/// Decides on a proposal, once, with a reason; the matches of this moment are kept as evidence.
pub async fn decide(
    app: &App,
    op: &Op,
    id: &str,
    verdict: Verdict,
    reason: &str,
) -> Result<Proposal> {
    let mut decided = kept(app, op, id).await?;
    let region = region_of(app, &decided.draft.org).await?;
    let target = Target::proposal(&decided, &region);
    let permit = audit::permit(app, op, Action::ProposalDecide, &target).await?;
    let reason = reason.trim();
    if reason.is_empty() || reason.chars().count() > 2000 {
        return Err(Error::invalid(
            "请写明结论的理由（2000 字以内）",
            "give the reason of the decision (2000 characters at most)",
        )
        .field("reason", "必填", "required"));
    }
    let (matches, _) = compare(app, op, id).await?;
    decided.verdict = Some(verdict);
    decided.decided_at = Some(op.stamp());
    decided.decided_by = op.actor.name().to_owned();
    reason.clone_into(&mut decided.reason);
    decided.matches = matches;
    app.store.proposal_decide(&permit, &decided).await?;
    let event = AuditEvent {
        scope: verdict.as_str().to_owned(),
        reason: reason.to_owned(),
        ..audit::event(op, "proposal.decide", id)
    };
    audit::record(app, event).await?;
    Ok(decided)
}

/// Every application in pages; only what has something in common with the proposal is kept.
async fn against_all(app: &App, rules: &LedgerRules, draft: &ProposalDraft) -> Result<Vec<Match>> {
    let asked = Features::of_proposal(draft, rules);
    let mut filter =
        AssetFilter { ledger: Some(Ledger::Application), limit: 1000, ..AssetFilter::default() };
    let mut found: Vec<Match> = Vec::new();
    loop {
        let page = app.store.asset_list(&filter).await?;
        let Some(last) = page.last() else { return Ok(found) };
        filter.after = Some(last.id.clone());
        found.extend(page.iter().map(|a| asked.judge(a, rules)).filter(|m| m.score >= 5));
        found.sort_by_key(|m| std::cmp::Reverse(m.score));
        // Data can lift a match by its share at most: twice the list is enough to choose from.
        found.truncate(rules.proposal.most.saturating_mul(4).max(50));
    }
}

/// Names of the data the matches use already, compared with what is wanted.
async fn data_used(
    app: &App,
    rules: &LedgerRules,
    draft: &ProposalDraft,
    found: &mut [Match],
) -> Result<()> {
    if draft.data.is_empty() {
        return Ok(());
    }
    let wanted: Vec<(String, Grams)> = draft.data.iter().map(|d| (d.clone(), telling(d))).collect();
    for m in found {
        let ids = super::walk::entries_used(app, &m.asset).await?;
        let titles: Vec<Grams> =
            app.store.entry_heads(&ids).await?.iter().map(|e| telling(&e.draft.title)).collect();
        m.data = wanted
            .iter()
            .filter(|(_, g)| titles.iter().any(|t| dice(g, t) >= rules.proposal.covered))
            .map(|(name, _)| name.clone())
            .collect();
        m.data_covered = share(m.data.len(), wanted.len());
        m.score = total(m, &rules.proposal, true);
    }
    Ok(())
}

fn share(part: usize, whole: usize) -> u32 {
    (part * 100).checked_div(whole).and_then(|s| u32::try_from(s).ok()).unwrap_or(0)
}

/// The score: parts by their weights; data counts only when data was asked for.
fn total(m: &Match, rules: &ProposalRules, with_data: bool) -> u32 {
    let mut parts = vec![
        (rules.name, m.name_like),
        (rules.text, m.text_like),
        (rules.functions, m.functions_covered),
    ];
    if with_data {
        parts.push((rules.data, m.data_covered));
    }
    let weight: u32 = parts.iter().map(|(w, _)| w).sum();
    parts.iter().map(|(w, p)| w * p).sum::<u32>().checked_div(weight).unwrap_or(0)
}

/// Pairs of characters without commonplace words.
fn telling(text: &str) -> Grams {
    let mut text = text.to_lowercase();
    for word in COMMONPLACE {
        text = text.replace(word, " ");
    }
    text.split(|c: char| !c.is_alphanumeric()).flat_map(grams).collect()
}

struct Features {
    name: Grams,
    text: Grams,
    functions: Vec<(String, Grams)>,
    covered: u32,
}

impl Features {
    fn of_proposal(draft: &ProposalDraft, rules: &LedgerRules) -> Self {
        let all = format!("{}。{}", draft.description, draft.functions.join("。"));
        Self {
            name: grams(&check::name_key(&draft.name, &rules.duplicate)),
            text: telling(&all),
            functions: draft.functions.iter().map(|f| (f.clone(), telling(f))).collect(),
            covered: rules.proposal.covered,
        }
    }

    fn judge(&self, asset: &Asset, rules: &LedgerRules) -> Match {
        let d = &asset.draft;
        // What the other application does: its functions, and the sentences of its description.
        let mut theirs: Vec<(&str, Grams)> = d
            .field("functions")
            .lines()
            .chain(d.description.split(['。', '；', ';', '\n', '，', ',']))
            .map(str::trim)
            .filter(|t| t.chars().nth(2).is_some())
            .map(|t| (t, telling(t)))
            .filter(|(_, g)| !g.is_empty())
            .collect();
        theirs.dedup_by(|a, b| a.0 == b.0);
        let functions: Vec<FunctionMatch> =
            self.functions.iter().map(|(wanted, g)| best(wanted, g, &theirs)).collect();
        let covered = functions.iter().filter(|f| f.overlap >= self.covered).count();
        let text = telling(&format!("{}。{}", d.description, d.field("functions")));
        let mut m = Match {
            asset: asset.id.clone(),
            code: d.code.clone(),
            name: d.name.clone(),
            org: d.org.clone(),
            state: asset.state.clone(),
            score: 0,
            name_like: dice(&self.name, &grams(&check::name_key(&d.name, &rules.duplicate))),
            text_like: dice(&self.text, &text),
            functions_covered: share(covered, self.functions.len()),
            data_covered: 0,
            functions,
            data: Vec::new(),
        };
        m.score = total(&m, &rules.proposal, false);
        m
    }
}

/// The text that covers a function best: how much of the function's telling pairs stand in it, weighed with likeness so
/// that a long text does not cover everything.
fn best(wanted: &str, grams: &Grams, theirs: &[(&str, Grams)]) -> FunctionMatch {
    let mut best = FunctionMatch { wanted: wanted.to_owned(), found: String::new(), overlap: 0 };
    if grams.is_empty() {
        return best;
    }
    for (text, other) in theirs {
        let inside = share(grams.intersection(other).count(), grams.len());
        let overlap = (2 * inside + dice(grams, other)) / 3;
        if overlap > best.overlap {
            best.overlap = overlap;
            (*text).clone_into(&mut best.found);
        }
    }
    best
}

/// Precision and recall over labelled cases, for the test set: `(suggested, labelled)` pairs.
#[cfg(test)]
fn precision_recall(
    cases: &[(Verdict, Verdict)],
) -> std::collections::HashMap<&'static str, (f64, f64)> {
    let mut out = std::collections::HashMap::new();
    for (word, is) in [
        ("duplicate", (|v| v == Verdict::Refused) as fn(Verdict) -> bool),
        ("overlap", |v| v != Verdict::Passed),
    ] {
        let count = |f: &dyn Fn(bool, bool) -> bool| {
            let n = cases.iter().filter(|(s, l)| f(is(*s), is(*l))).count();
            f64::from(u32::try_from(n).unwrap_or(0))
        };
        let hit = count(&|s, l| s && l);
        let precision = hit / count(&|s, _| s).max(1.0);
        let recall = hit / count(&|_, l| l).max(1.0);
        out.insert(word, (precision, recall));
    }
    out
}

#[cfg(test)]
mod held_out;
#[cfg(test)]
mod tests;
