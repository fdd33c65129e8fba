//! Sign-up and real-name verification in the demo: two citizens who opened their accounts themselves, one of them verified, one whose
//! filing waits at the authority's desk. Every step goes through the rooms, by the person who may do it.

use app::App;
use app::realname::{self, RealNameOrder};
use model::realname::{RealNameDetails, RealNameFiling, RealNameState, SignUpKind, SignUpNew};
use model::{Actor, Result};

use crate::demo::PASSWORD;
use crate::demo::subject::person;
use crate::seed::op_of;

/// Login name and name shown of who is verified, and of who waits; the number of the made-up person each is.
const VERIFIED: (&str, &str, u64) = ("linyue", "林月", 40_000_001);
const WAITING: (&str, &str, u64) = ("zhouhang", "周航", 40_000_014);
/// A documentation address (RFC 5737): what the demo's sign-ups come from.
const FROM: &str = "192.0.2.20";

/// Makes them; each step is taken where it was not yet.
pub(crate) async fn real_names(app: &App) -> Result<()> {
    let filing = filed(app, VERIFIED).await?;
    if filing.state == RealNameState::Review {
        let authority = op_of(app, "authority").await?;
        let order = RealNameOrder::Approve { region: String::new() };
        realname::decide(app, &authority, &filing.id, filing.edit, order).await?;
    }
    filed(app, WAITING).await.map(|_| ())
}

/// The filing of somebody who signed up.
async fn filed(app: &App, (name, shown, number): (&str, &str, u64)) -> Result<RealNameFiling> {
    let known = match app.store.user_by_name(name).await? {
        Some(known) => known.user,
        None => {
            let new = SignUpNew {
                kind: Some(SignUpKind::Citizen),
                name: name.to_owned(),
                display_name: shown.to_owned(),
                password: PASSWORD.to_owned(),
                agreed: true,
                ..SignUpNew::default()
            };
            app::account::sign_up(app, &app.op(Actor::Nobody, FROM), new).await?.user
        }
    };
    if let Some(filing) = app.store.real_name_newest(&known.id).await? {
        return Ok(filing);
    }
    let who = person(number);
    let details = RealNameDetails { name: who.name, number: who.id, representative: String::new() };
    realname::file(app, &op_of(app, name).await?, details).await
}
