//! Restricted opening in the control store: `application` (with its time line, grants and signing keys) and `credit`.

mod application;
mod credit;

pub use application::{UseCount, UseFilter};
pub use credit::CreditFilter;

use policy::Action;

/// Who writes applications.
const USES: &[Action] = &[
    Action::RestrictedApply,
    Action::RestrictedReview,
    Action::RestrictedOversee,
    Action::SystemWork,
];
