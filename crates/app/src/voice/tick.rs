//! What time brings to tickets: desks are reminded once a day, the authority of what is late, and what was answered long ago is
//! closed. Done twice, nothing changes.

use model::voice::ticket::Ticket;
use model::{Op, Result};
use policy::{Action, Target};

use super::{act, file, people_of, tell};
use crate::App;
use crate::notice::Told;

/// Day of the last reminding, a name in the store.
const REMINDED: &str = "tickets_reminded";
/// Tickets looked at together.
const TOGETHER: u32 = 200;

/// One round; answers how many tickets were closed or reminded of.
pub async fn tick(app: &App, system: &Op) -> Result<u64> {
    let platform = Target::plain("System", "platform");
    let permit = app.policy.permit(system, Action::SystemWork, &platform)?;
    let today = system.today().to_string();
    let mut done = 0;
    let mut after = String::new();
    // It closes on the day after its last.
    let over = system.today().pred_opt().unwrap_or(system.today()).to_string();
    loop {
        let tickets = app.store.ticket_due(true, &over, &after, TOGETHER).await?;
        let Some(last) = tickets.last() else { break };
        after.clone_from(&last.id);
        for ticket in tickets {
            done += u64::from(act::close(app, system, &permit, ticket).await?);
        }
    }
    if app.store.meta_get(REMINDED).await?.as_deref() == Some(today.as_str()) {
        return Ok(done);
    }
    let ahead = app.calendar.add_working_days(system.today(), app.rules.voice.days.remind);
    let (ahead, mut after) = (ahead.to_string(), String::new());
    loop {
        let tickets = app.store.ticket_due(false, &ahead, &after, TOGETHER).await?;
        let Some(last) = tickets.last() else { break };
        after.clone_from(&last.id);
        for ticket in tickets {
            remind(app, system, &ticket, &today).await;
            done += 1;
        }
    }
    app.store.meta_set(&permit, REMINDED, &today).await?;
    Ok(done)
}

/// Tells the desk, and, of what is late, the authority of the region.
async fn remind(app: &App, system: &Op, ticket: &Ticket, today: &str) {
    let late = ticket.overdue(system.today());
    let told = Told {
        mark: format!("ticket.remind:{}:{today}", ticket.id),
        kind: "ticket.remind",
        title: tell::title(ticket),
        words: format!("{}{}", ticket.due, if late { " 已逾期 / overdue" } else { "" }),
        href: format!("/console/tickets/{}", ticket.id),
    };
    let people = async {
        let mut people = people_of(app, &ticket.org).await?;
        if late {
            let bureau = file::bureau(app, &ticket.region).await?;
            people.extend(people_of(app, &bureau.id).await?);
        }
        people.retain(|p| *p != ticket.writer);
        Ok(people)
    };
    tell::give(app, system, people.await, told).await;
}
