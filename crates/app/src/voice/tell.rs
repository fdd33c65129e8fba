//! Who is told of what happens: the desk, the writer. What happened is kept already: a notice that cannot be given does not undo it.

use model::voice::ticket::Ticket;
use model::{Op, Result};

use super::people_of;
use crate::App;
use crate::notice::{self, Told};

/// Tells the people at a ticket's desk; never the writer.
pub(super) async fn desk(app: &App, op: &Op, ticket: &Ticket, kind: &'static str, words: &str) {
    let org = ticket.org.clone();
    let told = Told {
        mark: format!("{kind}:{}:{}", ticket.id, ticket.edit),
        kind,
        title: title(ticket),
        words: words.to_owned(),
        href: format!("/console/tickets/{}", ticket.id),
    };
    let people = async {
        let mut people = people_of(app, &org).await?;
        people.retain(|p| *p != ticket.writer);
        Ok(people)
    };
    give(app, op, people.await, told).await;
}

/// Tells the writer of a ticket.
pub(super) async fn writer(app: &App, op: &Op, ticket: &Ticket, kind: &'static str, words: &str) {
    let told = Told {
        mark: format!("{kind}:{}:{}", ticket.id, ticket.edit),
        kind,
        title: title(ticket),
        words: words.to_owned(),
        href: format!("/interact/{}", ticket.number),
    };
    give(app, op, Ok(vec![ticket.writer.clone()]), told).await;
}

pub(super) fn title(ticket: &Ticket) -> String {
    format!("{} {}", ticket.number, ticket.title)
}

/// Tells people something, as the platform.
pub(super) async fn give(app: &App, op: &Op, people: Result<Vec<String>>, told: Told) {
    notice::give(app, op, people, &told).await;
}
