//! Deliveries (推送): what was agreed for batch use goes into a table or folder of the receiver at agreed times, all of it or what
//! has changed, and each time ends in a signed receipt.
//!
//! ```text
//! desk      what people do: offers, check, make, publish, stop, run, begin anew, remove; turns and receipts
//! work      whose turn has come, which process takes it: leases, retries, how turns end
//! turn      one turn: where the target stands → what differs → one transaction there
//! stand     a database's position, which says what the turn that wrote it brought
//! folder    the same into files, named by the versions they lie between
//! compare   what a target holds, held against the grant     tally   sums and prints of rows, whatever the database
//! ```
//!
//! It stands on the return flow's engine (`crate::outflow`): the same port, the same difference of two versions of a grant, the same
//! position in the transaction of the rows. *no-plain-way-out*: what goes is what [`policy::Policy::grant_batch`] allows now.
//! *every-release-audited*: each piece has its record before it goes. *exactly-once*: the position at the target names the turn that
//! wrote it and what it brought, so that a process that dies after the commit leaves a receipt to be made, and nothing to be sent.

mod compare;
mod desk;
mod folder;
mod stand;
mod tally;
mod turn;
mod work;

use model::delivery::Delivery;
use model::{Op, Result};
use policy::{Action, Permit, Target};
use serde::Deserialize;

pub use self::compare::compare;
pub use self::desk::{
    DeliveryPage, DeliveryView, Outline, anew, check, create, get, list, may_keep, of_request,
    offers, pause, receipt, remove, resume, run, turns,
};
pub use self::work::{stop, tick};

use crate::follow::Following;
use crate::outflow::granted::{self, Agreement, Granted, Wanted};
use crate::{App, audit};

/// Pace and limits (`rules/delivery.toml`).
#[derive(Clone, Debug, Deserialize)]
pub struct DeliveryRules {
    pub effective: String,
    pub at_once: usize,
    pub attempts: u32,
    pub retry_first_ms: u64,
    pub retry_longest_ms: u64,
    pub compare_rows: usize,
}

/// Reads the rules; the shipped ones when the file says nothing.
pub(crate) fn rules(
    own: Option<DeliveryRules>,
) -> std::result::Result<DeliveryRules, toml::de::Error> {
    own.map_or_else(|| toml::from_str(include_str!("../../rules/delivery.toml")), Ok)
}

/// Deliveries of this process.
#[derive(Debug, Default)]
pub struct Memory {
    following: Following,
}

/// The grant of a delivery as the agreement stands now, `kept` being the last one.
async fn granted(app: &App, delivery: &Delivery, kept: Option<Granted>) -> Result<Granted> {
    let agreement = Agreement {
        application: &delivery.application,
        entry: &delivery.entry,
        request: &delivery.request,
    };
    let wanted = Wanted::Batch { items: &delivery.items, area: &delivery.area };
    granted::by_agreement(app, agreement, wanted, kept).await
}

async fn permit(app: &App) -> Result<Permit> {
    let op = Op::system(app.now());
    audit::permit(app, &op, Action::SystemWork, &Target::plain("System", "delivery")).await
}
