//! The public's voice in the control store: `ticket`, `comment` (with ratings), `showcase`.

mod comment;
mod showcase;
mod ticket;

pub use comment::CommentFilter;
pub use showcase::ShowcaseFilter;
pub use ticket::{TicketCount, TicketFilter};

use policy::Action;

/// Who writes tickets, comments and showcases.
const VOICES: &[Action] = &[
    Action::VoiceWrite,
    Action::TicketHandle,
    Action::TicketOversee,
    Action::CommentModerate,
    Action::ShowcaseReview,
    Action::SystemWork,
];

/// How much one account may write since a time.
#[derive(Clone, Copy, Debug)]
pub struct Most<'a> {
    pub since: &'a str,
    pub most: u32,
}
