//! Who is told of what happens in opening. What happened is kept already: a notice that cannot be given does not undo it.

use model::account::Role;
use model::{Op, Result};

use crate::App;
use crate::notice::{self, Told};

/// People of one role who are told at most.
const TOLD: u32 = 100;

/// Tells people something, as the platform.
pub(crate) async fn people(app: &App, op: &Op, people: Result<Vec<String>>, told: Told) {
    notice::give(app, op, people, &told).await;
}

/// Tells those who work for a department.
pub(crate) async fn department(app: &App, op: &Op, org: &str, told: Told) {
    let who = app.store.holders(org, Role::Provider, TOLD).await;
    people(app, op, who, told).await;
}

/// Tells the authorities.
pub(crate) async fn authorities(app: &App, op: &Op, told: Told) {
    let who = app.store.holders_anywhere(Role::Authority, TOLD).await;
    people(app, op, who, told).await;
}
