//! Filings that are to be answered soon, or were to be: the desks of the authorities are told of each once when its day is near, and
//! once more when it is over. Done twice, nothing changes.

use model::realname::{RealNameFiling, RealNameState};
use model::{Op, Result};
use store::realname::RealNameFilter;

use super::file::tell_desk;
use crate::App;
use crate::notice::Told;

/// Day of the last look, a name in the store.
const REMINDED: &str = "realname_reminded";
/// Filings looked at together.
const TOGETHER: u32 = 200;

/// One round, once a day; answers how many filings it found near their day or over it.
pub(crate) async fn remind(app: &App, system: &Op) -> Result<u64> {
    let (_, permit) = app.platform(system)?;
    let today = system.today();
    let day = today.to_string();
    if app.store.meta_get(REMINDED).await?.as_deref() == Some(day.as_str()) {
        return Ok(0);
    }
    let ahead = app.calendar.add_working_days(today, app.rules.signup.real_name.remind);
    let mut found = 0;
    let mut before: Option<String> = None;
    loop {
        let filter = RealNameFilter {
            state: Some(RealNameState::Review),
            before: before.as_deref(),
            limit: TOGETHER,
        };
        let page = app.store.real_name_list(&filter).await?;
        let Some(last) = page.last() else { break };
        before = Some(last.id.clone());
        for filing in page.iter().filter(|f| f.due_by(ahead)) {
            tell_desk(app, system, filing, &due(filing, filing.overdue(today))).await;
            found += 1;
        }
    }
    app.store.meta_set(&permit, REMINDED, &day).await?;
    Ok(found)
}

/// What the desk is told: near and over have marks of their own, so that each is told once.
fn due(filing: &RealNameFiling, late: bool) -> Told {
    Told {
        mark: format!("realname.{}:{}", if late { "late" } else { "due" }, filing.id),
        kind: "realname.due",
        title: filing.account_name.clone(),
        words: format!("{}{}", filing.due, if late { " 已逾期 / overdue" } else { "" }),
        href: format!("/console/realnames/{}", filing.id),
    }
}
