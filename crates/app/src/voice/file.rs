//! A ticket is written and finds its desk: the provider of the data set it is about, else the organisation it names, else the
//! authority of the region, which may hand it over.

use model::org::{Org, OrgKind};
use model::voice::ticket::{Deed, Side, Ticket, TicketEvent, TicketNew, TicketState};
use model::voice::{impersonal, plain};
use model::{Code, Error, Op, Result, region};

use super::{Since, people_of, tell, too_many, writer};
use crate::opening::{self, Dataset};
use crate::{App, audit};

/// Under which a contact is sealed.
pub(super) fn context(id: &str) -> String {
    format!("ticket.contact {id}")
}

/// Writes a ticket in the caller's name.
pub async fn file(app: &App, op: &Op, new: TicketNew) -> Result<Ticket> {
    let permit = writer(app, op, "Ticket", "new").await?;
    let rules = &app.rules.voice;
    let kind = new.kind.ok_or_else(|| {
        Error::invalid("请选择诉求类型", "choose what kind it is").field("kind", "必选", "required")
    })?;
    let title = plain("title", ("标题", "title"), &new.title, 2, rules.longest.title)?;
    let text = plain("text", ("内容", "text"), &new.text, 5, rules.longest.text)?;
    let row = plain("row", ("所在行", "row"), &new.row, 0, rules.longest.contact)?;
    let contact =
        plain("contact", ("联系方式", "contact"), &new.contact, 0, rules.longest.contact)?;
    let public = new.public && !kind.private();
    if public {
        for (field, text) in [("title", &title), ("text", &text), ("row", &row)] {
            impersonal(field, text)?;
        }
    }
    let dataset = match new.entry.trim() {
        "" => None,
        code => Some(opening::dataset(app, op, code).await?),
    };
    let item = item(dataset.as_ref(), new.item.trim())?;
    let (org, region) = route(app, dataset.as_ref(), new.org.trim()).await?;
    let id = op.new_id();
    let ticket = Ticket {
        number: String::new(),
        kind,
        state: TicketState::Received,
        entry: dataset.as_ref().map(|d| d.entry.id.clone()).unwrap_or_default(),
        entry_code: dataset.map(|d| d.entry.draft.code).unwrap_or_default(),
        item,
        row,
        org: org.clone(),
        region,
        title,
        text,
        public,
        shown: false,
        withheld: String::new(),
        writer: op.actor.id().to_owned(),
        due: app.calendar.add_working_days(op.today(), rules.days.of(kind)),
        created_at: op.stamp(),
        updated_at: op.stamp(),
        answered_at: String::new(),
        days: -1,
        reply: String::new(),
        public_reply: String::new(),
        score: 0,
        satisfied: None,
        opinion: String::new(),
        reopened: false,
        edit: 1,
        supports: 0,
        id,
    };
    let event = TicketEvent {
        seq: 1,
        at: op.stamp(),
        deed: Deed::File,
        side: Side::Writer,
        actor: op.actor.id().to_owned(),
        actor_name: op.actor.name().to_owned(),
        org,
        text: String::new(),
        to_writer: true,
        to_all: true,
    };
    let sealed = match contact.is_empty() {
        true => String::new(),
        false => app.keys.vault().seal(&context(&ticket.id), contact.as_bytes())?,
    };
    let (since, most) = (Since::a_day(op), rules.most.tickets);
    let kept = app
        .store
        .ticket_insert(&permit, ticket, &sealed, &event, op.today(), since.most(most))
        .await?
        .ok_or_else(|| too_many(most))?;
    let mut record = audit::event(op, "ticket.file", &kept.number);
    record.scope = format!("{} {}", kept.kind, kept.org);
    audit::record(app, record).await?;
    tell::desk(app, op, &kept, "ticket.filed", kept.kind.zh()).await;
    Ok(kept)
}

/// The item that is meant, one that the public sees.
fn item(dataset: Option<&Dataset>, identifier: &str) -> Result<String> {
    let known = dataset.is_some_and(|d| d.entry.draft.item(identifier).is_some());
    if identifier.is_empty() || known {
        return Ok(identifier.to_owned());
    }
    let shown: String = identifier.chars().take(60).collect();
    Err(Error::invalid(
        format!("数据集中没有数据项 `{shown}`"),
        format!("the data set has no item `{shown}`"),
    )
    .field("item", "请从列表中选择", "choose one of the list"))
}

/// At whose desk a ticket begins, and whose authority oversees it.
async fn route(app: &App, dataset: Option<&Dataset>, org: &str) -> Result<(String, String)> {
    let (named, region) = match (dataset, org) {
        (Some(d), _) => (Some(d.entry.draft.org.clone()), d.entry.draft.region.clone()),
        (None, "") => (None, String::new()),
        (None, id) => {
            let org = public_body(app, id).await?;
            (Some(org.id), org.region)
        }
    };
    if let Some(org) = named
        && !people_of(app, &org).await?.is_empty()
    {
        return Ok((org, region));
    }
    let bureau = bureau(app, &region).await?;
    let region = if region.is_empty() { bureau.region } else { region };
    Ok((bureau.id, region))
}

/// A public body by its id.
async fn public_body(app: &App, id: &str) -> Result<Org> {
    let found = app.store.org_get(id).await?.filter(|o| o.kind != OrgKind::Enterprise);
    found.ok_or_else(|| {
        let shown: String = id.chars().take(64).collect();
        Error::not_found("单位", "organisation", &shown).field(
            "org",
            "请从列表中选择",
            "choose one of the list",
        )
    })
}

/// An organisation with somebody at its desk, to hand a ticket to.
pub(super) async fn desk_of(app: &App, id: &str) -> Result<Org> {
    let org = public_body(app, id).await?;
    if people_of(app, id).await?.is_empty() {
        return Err(Error::new(
            Code::RuleBroken,
            format!("{}没有可办理诉求的账号，请改选其他单位", org.name_cn),
            format!("nobody at {} can handle tickets: choose another organisation", org.name_en),
        )
        .field("org", "请改选", "choose another"));
    }
    Ok(org)
}

/// The authority of a region, or of the nearest above it that has somebody at its desk; without a region the highest.
pub(super) async fn bureau(app: &App, of: &str) -> Result<Org> {
    let all: Vec<Org> = app.store.orgs_list().await?.into_iter().filter(|o| o.authority).collect();
    let mut above: Vec<String> = Vec::new();
    if !of.is_empty() {
        above.extend(std::iter::successors(Some(of.to_owned()), |r| region::parent_of(r)));
    }
    let mut fitting: Vec<&Org> =
        above.iter().flat_map(|r| all.iter().filter(move |o| &o.region == r)).collect();
    // The highest of all is asked last.
    fitting.extend(all.iter().filter(|o| region::parent_of(&o.region).is_none()));
    fitting.extend(all.iter());
    for org in &fitting {
        if !people_of(app, &org.id).await?.is_empty() {
            return Ok((*org).clone());
        }
    }
    fitting.first().map(|o| (*o).clone()).ok_or_else(|| {
        Error::new(
            Code::RuleBroken,
            "平台还没有登记公共数据主管部门，无法受理",
            "no public-data authority is entered on this platform: nothing can be taken in",
        )
    })
}
