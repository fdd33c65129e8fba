//! The person's side: filing, withdrawing, evidence while it is under review.

use bytes::Bytes;
use chrono::TimeDelta;
use futures::stream::BoxStream;
use model::account::Role;
use model::identity::SubjectKind;
use model::realname::{RealNameDetails, RealNameFile, RealNameFiling, RealNameState};
use model::voice::plain;
use model::{Actor, Code, Error, Op, Result, op};
use policy::{Action, Permit};
use store::realname::Limit;

use super::{context, kind_of, shown, standing, target};
use crate::notice::{self, Told};
use crate::upload::{self, FileSort};
use crate::{App, audit, authorisation};

/// Longest names in characters.
const PERSON: usize = 50;
const COMPANY: usize = 100;
/// People of the authorities who are told at most.
const TOLD: u32 = 100;
/// What scans may be, told by content.
const SORTS: [FileSort; 3] = [FileSort::Pdf, FileSort::Png, FileSort::Jpeg];

/// The permit to file for oneself.
async fn own(app: &App, op: &Op) -> Result<Permit> {
    if !matches!(op.actor, Actor::User { .. }) {
        return Err(Error::of(Code::SignInRequired));
    }
    audit::permit(app, op, Action::RealNameFile, &target(op.actor.id())).await
}

/// Files who the caller is. Nothing is looked up by the number: the answer is the same whoever has it.
pub async fn file(app: &App, op: &Op, new: RealNameDetails) -> Result<RealNameFiling> {
    let permit = own(app, op).await?;
    may_file(app, op).await?;
    let kind = kind_of(op);
    let details = checked(kind, &new)?;
    let rules = &app.rules.signup.real_name;
    let id = op.new_id();
    let filing = RealNameFiling {
        account: op.actor.id().to_owned(),
        account_name: op.actor.name().to_owned(),
        kind,
        state: RealNameState::Review,
        shown: shown(&details.number),
        mark: authorisation::mark(app, &details.number),
        filed_at: op.stamp(),
        due: app.calendar.add_working_days(op.today(), rules.days),
        files: Vec::new(),
        decided_by: String::new(),
        decided_at: String::new(),
        reason: String::new(),
        revoked_by: String::new(),
        revoked_at: String::new(),
        edit: 1,
        id,
    };
    let text = serde_json::to_vec(&details)
        .map_err(|e| Error::internal("cannot write JSON").caused_by(e))?;
    let sealed = app.keys.vault().seal(&context(&filing.id), &text)?;
    let since = op::stamp(op.at - TimeDelta::hours(24));
    let limit = Limit { since: &since, most: rules.filings_a_day };
    if !app.store.real_name_insert(&permit, &filing, &sealed, limit).await? {
        return Err(Error::new(
            Code::RateLimited,
            format!("24 小时内最多提交 {} 次实名认证，请稍后再试", limit.most),
            format!("{} filings in 24 hours at most: try again later", limit.most),
        ));
    }
    record(app, op, "realname.file", &filing).await?;
    let told = Told {
        mark: format!("realname.filed:{}", filing.id),
        kind: "realname.filed",
        title: filing.account_name.clone(),
        words: filing.due.to_string(),
        href: format!("/console/realnames/{}", filing.id),
    };
    tell_desk(app, op, &filing, &told).await;
    Ok(filing)
}

/// Refused where there is nothing to verify, or it is verified.
async fn may_file(app: &App, op: &Op) -> Result<()> {
    let standing = standing(app, op).await?;
    let wrong = |zh: &str, en: &str| Err(Error::new(Code::WrongState, zh, en));
    if standing.of_org {
        return wrong(
            "您的账号已属于企业机构，无需再认证",
            "your account belongs to an enterprise already: there is nothing to verify",
        );
    }
    match standing.state {
        RealNameState::Verified => {
            wrong("您的账号已完成实名认证", "your account is verified already")
        }
        RealNameState::Review => wrong(
            "已有一份实名认证申请在审核中，请等待结果或先撤回",
            "a real-name filing of yours is under review: wait for the answer, or withdraw it first",
        ),
        _ => Ok(()),
    }
}

/// What was typed, in its one spelling.
fn checked(kind: SubjectKind, new: &RealNameDetails) -> Result<RealNameDetails> {
    let (words, most) = match kind {
        SubjectKind::Person => (("姓名", "name"), PERSON),
        SubjectKind::Company => (("企业名称", "name of the enterprise"), COMPANY),
    };
    let representative = match kind {
        SubjectKind::Person => String::new(),
        SubjectKind::Company => {
            let words = ("法定代表人", "legal representative");
            plain("representative", words, &new.representative, 2, PERSON)?
        }
    };
    Ok(RealNameDetails {
        name: plain("name", words, &new.name, 2, most)?,
        number: authorisation::checked(kind, &new.number)?,
        representative,
    })
}

/// The caller's own filing that waits, with the permit to change it.
async fn waiting(app: &App, op: &Op) -> Result<(RealNameFiling, Permit)> {
    let permit = own(app, op).await?;
    let newest = app.store.real_name_newest(op.actor.id()).await?;
    let filing = newest.filter(|f| f.state == RealNameState::Review).ok_or_else(|| {
        Error::new(
            Code::WrongState,
            "没有审核中的实名认证申请",
            "no real-name filing of yours is under review",
        )
    })?;
    Ok((filing, permit))
}

/// Takes the caller's filing back while it waits. Its details and evidence are not kept.
pub async fn withdraw(app: &App, op: &Op) -> Result<RealNameFiling> {
    let (mut filing, permit) = waiting(app, op).await?;
    let seen = filing.edit;
    let files = std::mem::take(&mut filing.files);
    filing.edit += 1;
    filing.state = RealNameState::Withdrawn;
    filing.decided_at = op.stamp();
    app.store.real_name_update(&permit, &filing, seen).await?;
    for file in &files {
        upload::forget(app, &file.id).await;
    }
    record(app, op, "realname.withdraw", &filing).await?;
    Ok(filing)
}

/// Takes a scan in that goes with the filing under review. What it is its content tells.
pub async fn attach(
    app: &App,
    op: &Op,
    name: &str,
    bytes: BoxStream<'static, Result<Bytes>>,
) -> Result<RealNameFiling> {
    let (mut filing, permit) = waiting(app, op).await?;
    let rules = &app.rules.signup.real_name;
    if filing.files.len() >= rules.files {
        return Err(Error::new(
            Code::RuleBroken,
            format!("核验材料最多 {} 个", rules.files),
            format!("{} scans at most", rules.files),
        )
        .field("file", "请先移除不用的材料", "take away a scan that is not needed first"));
    }
    let taken = upload::take_in(app, op, rules.bytes, &SORTS, name, bytes).await?;
    let file = RealNameFile {
        id: taken.id,
        name: taken.name,
        media: taken.media.to_owned(),
        bytes: taken.bytes,
        checksum: taken.checksum,
        at: op.stamp(),
    };
    let seen = filing.edit;
    filing.edit += 1;
    filing.files.push(file.clone());
    let kept = async {
        let mut event = audit::event(op, "realname.attach", &filing.account_name);
        event.scope = format!("{} {} {}", file.media, file.bytes, file.checksum);
        audit::record(app, event).await?;
        app.store.real_name_update(&permit, &filing, seen).await
    };
    if let Err(e) = kept.await {
        upload::forget(app, &file.id).await;
        return Err(e);
    }
    Ok(filing)
}

/// Takes a scan away from the filing under review.
pub async fn detach(app: &App, op: &Op, file: &str) -> Result<RealNameFiling> {
    let (mut filing, permit) = waiting(app, op).await?;
    let before = filing.files.len();
    filing.files.retain(|f| f.id != file);
    if filing.files.len() == before {
        return Err(file_missing(file));
    }
    let seen = filing.edit;
    filing.edit += 1;
    app.store.real_name_update(&permit, &filing, seen).await?;
    upload::forget(app, file).await;
    record(app, op, "realname.detach", &filing).await?;
    Ok(filing)
}

/// A scan of the caller's own filing with its content.
pub async fn evidence(
    app: &App,
    op: &Op,
    file: &str,
) -> Result<(RealNameFile, BoxStream<'static, std::io::Result<Bytes>>)> {
    own(app, op).await?;
    let newest = app.store.real_name_newest(op.actor.id()).await?;
    content(app, op, newest, file).await
}

/// A scan of a filing, and that it was read.
pub(super) async fn content(
    app: &App,
    op: &Op,
    filing: Option<RealNameFiling>,
    file: &str,
) -> Result<(RealNameFile, BoxStream<'static, std::io::Result<Bytes>>)> {
    let filing = filing.ok_or_else(|| file_missing(file))?;
    let known = filing.files.iter().find(|f| f.id == file).cloned();
    let known = known.ok_or_else(|| file_missing(file))?;
    let pieces = upload::content(app, &known.id).await?;
    let mut event = audit::event(op, "realname.evidence", &filing.account_name);
    event.scope.clone_from(&known.checksum);
    audit::record(app, event).await?;
    Ok((known, pieces))
}

fn file_missing(id: &str) -> Error {
    let shown: String = id.chars().take(64).collect();
    Error::not_found("核验材料", "scan", &shown)
}

/// The record names the account and what was done, never the number.
pub(super) async fn record(app: &App, op: &Op, word: &str, filing: &RealNameFiling) -> Result<()> {
    let mut event = audit::event(op, word, &filing.account_name);
    event.scope = format!("{} {}", filing.kind, filing.id);
    event.reason.clone_from(&filing.reason);
    audit::record(app, event).await
}

/// Tells the authorities of something that waits; never whoever filed it.
pub(super) async fn tell_desk(app: &App, op: &Op, filing: &RealNameFiling, told: &Told) {
    let people = async {
        let mut people = app.store.holders_anywhere(Role::Authority, TOLD).await?;
        people.retain(|p| *p != filing.account);
        Ok(people)
    };
    notice::give(app, op, people.await, told).await;
}
