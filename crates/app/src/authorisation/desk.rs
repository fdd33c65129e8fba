//! Asking, giving, refusing, revoking, looking. Who asks learns nothing of the subject: not even whether it has an account.

use chrono::TimeDelta;
use model::account::{Application, Role};
use model::entry::Entry;
use model::identity::{
    Authorisation, AuthorisationNew, AuthorisationState, AuthorisationUse, SubjectKind,
};
use model::request::RequestState;
use model::{Actor, Code, Error, Op, Result, op};
use policy::{Action, Permit, Target};
use serde::Serialize;
use store::authorisation::AuthorisationFilter;

use super::{Subject, checked, mark, subject_of};
use crate::notice::{self, Told};
use crate::restricted::fill;
use crate::{App, Page, account, audit};

/// Uses shown on one page.
const USES: u32 = 200;
/// People of a company who are told at most.
const TOLD: u32 = 20;

/// An authorisation as its subject sees it.
#[derive(Clone, Debug, Serialize)]
pub struct AuthorisationView {
    pub authorisation: Authorisation,
    /// The letter with its blanks filled in, Chinese and English.
    pub letter_zh: String,
    pub letter_en: String,
    /// It stands and its term is not over.
    pub holds: bool,
    pub uses: Vec<AuthorisationUse>,
}

/// The caller's subject, or what to do to have one.
async fn own(app: &App, op: &Op) -> Result<Subject> {
    if !matches!(op.actor, Actor::User { .. }) {
        return Err(Error::of(Code::SignInRequired));
    }
    subject_of(app, op).await?.ok_or_else(|| {
        Error::new(
            Code::RuleBroken,
            "您的账号尚未核验身份，请完成实名认证（/account/realname），或携带证件联系系统管理员登记；企业账号须属于企业机构",
            "no identifier is confirmed for your account yet: have your real name verified (/account/realname), or show the document to the system administrator; a company's account belongs to an enterprise organisation",
        )
    })
}

async fn giver(app: &App, op: &Op, id: &str) -> Result<Permit> {
    let target =
        Target { owner: Some(op.actor.id().to_owned()), ..Target::plain("Authorisation", id) };
    audit::permit(app, op, Action::AuthorisationGive, &target).await
}

/// Application and entry between which an authorisation may be: the application is granted the entry already.
async fn between(app: &App, new: &AuthorisationNew) -> Result<(Application, Entry)> {
    let missing = || {
        Error::invalid(
            "该应用没有此数据的有效授权，须先在平台申请并获批准",
            "the application has no valid grant for these data: it applies for them first",
        )
        .field(
            "entry",
            "请核对应用和数据编码",
            "check the application and the code of the data",
        )
    };
    let application = match app.store.application_get(&new.application).await? {
        Some(found) => found,
        None => app
            .store
            .application_by_key(&new.application)
            .await?
            .map(|f| f.0)
            .ok_or_else(missing)?,
    };
    let entry = app.store.entry_get(&new.entry).await?.ok_or_else(missing)?;
    let approved = [RequestState::Approved];
    let request = app.store.request_newest(&application.id, &entry.id, &approved).await?;
    let Some(request) = request.filter(|_| application.active) else { return Err(missing()) };
    if let Some(strange) = new.items.iter().find(|i| !request.items.contains(i)) {
        return Err(Error::invalid(
            format!("数据项 `{strange}` 不在该应用的授权范围内"),
            format!("the item `{strange}` is not granted to the application"),
        )
        .field("items", "请核对数据项", "check the items"));
    }
    Ok((application, entry))
}

/// An authorisation of what was typed, not yet anybody's decision.
fn drafted(
    app: &App,
    op: &Op,
    subject: &str,
    new: AuthorisationNew,
    application: Application,
    entry: Entry,
) -> Result<Authorisation> {
    let rules = &app.rules.identity.authorisation;
    let purpose = new.purpose.trim().to_owned();
    if !(rules.purpose_least..=rules.purpose_most).contains(&purpose.chars().count()) {
        let (least, most) = (rules.purpose_least, rules.purpose_most);
        return Err(Error::invalid(
            format!("用途为 {least} 至 {most} 个字"),
            format!("the purpose has {least} to {most} characters"),
        )
        .field("purpose", "请写明用途", "say what the data are for"));
    }
    if !(1..=rules.days_most).contains(&new.days) {
        let most = rules.days_most;
        return Err(Error::invalid(
            format!("期限为 1 至 {most} 天"),
            format!("the term is 1 to {most} days"),
        )
        .field("days", "请填写天数", "enter the days"));
    }
    Ok(Authorisation {
        id: op.new_id(),
        subject: subject.to_owned(),
        state: AuthorisationState::Asked,
        application: application.id,
        application_name: application.name,
        org: application.org,
        entry: entry.id,
        entry_code: entry.draft.code,
        entry_title: entry.draft.title,
        items: new.items,
        purpose,
        days: new.days,
        letter: String::new(),
        asked_by: op.actor.id().to_owned(),
        asked_at: op.stamp(),
        given_at: String::new(),
        until: String::new(),
        ended_at: String::new(),
    })
}

/// Asks a subject for an authorisation, as whoever manages the application. The answer is the same whoever the subject is.
pub async fn ask(
    app: &App,
    op: &Op,
    new: AuthorisationNew,
    kind: SubjectKind,
    identifier: &str,
) -> Result<Authorisation> {
    let (_, permit) = account::managed(app, op, &new.application).await?;
    let (application, entry) = between(app, &new).await?;
    let identifier = checked(kind, identifier)?;
    let subject = mark(app, &identifier);
    if app.store.authorisation_waits(&application.id, &entry.id, &subject).await? {
        return Err(Error::new(
            Code::Duplicate,
            "已向该主体请求过授权，请等待答复",
            "this subject was asked already: wait for the answer",
        ));
    }
    let asked = drafted(app, op, &subject, new, application, entry)?;
    app.store.authorisation_insert(&permit, &asked).await?;
    record(app, op, "authorisation.ask", &asked).await?;
    let mut people: Vec<String> = app.store.subject_account(&subject).await?.into_iter().collect();
    if kind == SubjectKind::Company
        && let Some(org) = app.store.org_of_uscc(&identifier).await?
    {
        people.extend(app.store.holders(&org, Role::Enterprise, TOLD).await?);
    }
    let href = format!("/account/authorisations/{}", asked.id);
    tell(app, op, people, "authorisation.asked", &asked, href).await;
    Ok(asked)
}

/// Gives an authorisation that nobody asked for.
pub async fn give(app: &App, op: &Op, new: AuthorisationNew) -> Result<Authorisation> {
    let subject = own(app, op).await?;
    let (application, entry) = between(app, &new).await?;
    let drafted = drafted(app, op, &subject.mark, new, application, entry)?;
    let permit = giver(app, op, &drafted.id).await?;
    let given = given(app, op, drafted);
    record(app, op, "authorisation.give", &given).await?;
    app.store.authorisation_insert(&permit, &given).await?;
    Ok(given)
}

fn given(app: &App, op: &Op, authorisation: Authorisation) -> Authorisation {
    let term = TimeDelta::days(i64::from(authorisation.days));
    Authorisation {
        state: AuthorisationState::Standing,
        letter: app.rules.identity.authorisation.letter.version.clone(),
        given_at: op.stamp(),
        until: op::stamp(op.at + term),
        ..authorisation
    }
}

/// The caller's own authorisation; another's is not found.
async fn owned(app: &App, op: &Op, id: &str) -> Result<Authorisation> {
    let subject = own(app, op).await?;
    let found = app.store.authorisation_get(id).await?;
    found.filter(|a| a.subject == subject.mark).ok_or_else(|| missing(id))
}

fn missing(id: &str) -> Error {
    Error::not_found("授权", "authorisation", &id.chars().take(40).collect::<String>())
}

/// The subject's answer to what was asked.
pub async fn answer(app: &App, op: &Op, id: &str, agreed: bool) -> Result<Authorisation> {
    let asked = owned(app, op, id).await?;
    if asked.state != AuthorisationState::Asked {
        return Err(Error::of(Code::WrongState));
    }
    let permit = giver(app, op, id).await?;
    let (answered, action, kind) = match agreed {
        true => (given(app, op, asked), "authorisation.give", "authorisation.given"),
        false => (
            Authorisation { state: AuthorisationState::Refused, ended_at: op.stamp(), ..asked },
            "authorisation.refuse",
            "authorisation.ended",
        ),
    };
    record(app, op, action, &answered).await?;
    if !app.store.authorisation_update(&permit, &answered, AuthorisationState::Asked).await? {
        return Err(Error::of(Code::Stale));
    }
    tell_asker(app, op, kind, &answered).await;
    Ok(answered)
}

/// Revokes an authorisation: the next call is refused.
pub async fn revoke(app: &App, op: &Op, id: &str) -> Result<Authorisation> {
    let standing = owned(app, op, id).await?;
    if standing.state != AuthorisationState::Standing {
        return Err(Error::of(Code::WrongState));
    }
    let permit = giver(app, op, id).await?;
    let revoked =
        Authorisation { state: AuthorisationState::Revoked, ended_at: op.stamp(), ..standing };
    if !app.store.authorisation_update(&permit, &revoked, AuthorisationState::Standing).await? {
        return Err(Error::of(Code::Stale));
    }
    record(app, op, "authorisation.revoke", &revoked).await?;
    tell_asker(app, op, "authorisation.ended", &revoked).await;
    Ok(revoked)
}

/// What was authorised by an account that was not who it said has ended with its verification: recorded, and whoever asked is told.
pub(crate) async fn voided(
    app: &App,
    op: &Op,
    account: &str,
    ended: &[Authorisation],
) -> Result<()> {
    for authorisation in ended {
        record(app, op, "authorisation.revoke", authorisation).await?;
        if authorisation.asked_by != account {
            tell_asker(app, op, "authorisation.ended", authorisation).await;
        }
    }
    Ok(())
}

/// The caller's own authorisations and what it is asked for, newest first.
pub async fn mine(
    app: &App,
    op: &Op,
    before: Option<&str>,
    limit: u32,
) -> Result<Page<Authorisation>> {
    let Some(subject) = subject_of(app, op).await? else {
        return Ok(Page { items: Vec::new(), next: None });
    };
    let filter = AuthorisationFilter {
        subject: Some(&subject.mark),
        before,
        limit: limit.saturating_add(1),
        ..AuthorisationFilter::default()
    };
    let found = app.store.authorisation_list(&filter).await?;
    Ok(Page::cut(found, limit, |a| a.id.clone()))
}

/// One of the caller's own, with its letter and who has used it when.
pub async fn one(app: &App, op: &Op, id: &str) -> Result<AuthorisationView> {
    let authorisation = owned(app, op, id).await?;
    let uses = app.store.authorisation_uses(id, USES).await?;
    let letter = &app.rules.identity.authorisation.letter;
    let filled = |text: &str, all: &str| {
        let items = match authorisation.items.is_empty() {
            true => all.to_owned(),
            false => authorisation.items.join(", "),
        };
        let values = [
            ("application", authorisation.application_name.clone()),
            ("entry", authorisation.entry_title.clone()),
            ("days", authorisation.days.to_string()),
            ("items", items),
            ("purpose", authorisation.purpose.clone()),
        ];
        fill(text, &values)
    };
    Ok(AuthorisationView {
        letter_zh: filled(&letter.zh, "该应用获准使用的全部数据项"),
        letter_en: filled(&letter.en, "(all that are granted to it)"),
        holds: authorisation.holds(&op.stamp()),
        authorisation,
        uses,
    })
}

/// What an application has asked for and was given, newest first, for whoever may see the application.
pub async fn asked(
    app: &App,
    op: &Op,
    application: &str,
    before: Option<&str>,
    limit: u32,
) -> Result<Page<Authorisation>> {
    let application = account::application(app, op, application).await?;
    let filter = AuthorisationFilter {
        application: Some(&application.id),
        before,
        limit: limit.saturating_add(1),
        ..AuthorisationFilter::default()
    };
    let found = app.store.authorisation_list(&filter).await?;
    Ok(Page::cut(found, limit, |a| a.id.clone()))
}

/// The record names the authorisation, never the identifier.
async fn record(app: &App, op: &Op, action: &str, authorisation: &Authorisation) -> Result<()> {
    let mut event = audit::event(op, action, &authorisation.id);
    event.scope = format!("{} {}", authorisation.application, authorisation.entry_code);
    event.columns = authorisation.items.join(",");
    event.purpose.clone_from(&authorisation.purpose);
    audit::record(app, event).await
}

/// Tells whoever asked, if somebody did.
async fn tell_asker(app: &App, op: &Op, kind: &'static str, authorisation: &Authorisation) {
    if authorisation.asked_by == op.actor.id() {
        return;
    }
    let href = format!("/console/applications/{}/authorisations", authorisation.application);
    tell(app, op, vec![authorisation.asked_by.clone()], kind, authorisation, href).await;
}

/// Tells people of an authorisation.
async fn tell(
    app: &App,
    op: &Op,
    people: Vec<String>,
    kind: &'static str,
    authorisation: &Authorisation,
    href: String,
) {
    let told = Told {
        mark: format!("{kind}:{}:{}", authorisation.id, authorisation.state),
        kind,
        title: format!("{} · {}", authorisation.application_name, authorisation.entry_title),
        words: authorisation.purpose.clone(),
        href,
    };
    notice::give(app, op, Ok(people), &told).await;
}
