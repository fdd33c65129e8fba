//! `Permit`: the proof that a write was allowed. Every writing function of `store` and `lake` takes one.

use model::{Error, Op, Result};

use crate::Action;

/// Made by [`crate::Policy::permit`] only. It names who may do what to which thing, and is good for one operation.
#[derive(Debug)]
pub struct Permit {
    action: Action,
    actor: String,
    target: String,
    request_id: String,
}

impl Permit {
    pub(crate) fn new(op: &Op, action: Action, target: &str) -> Self {
        Self {
            action,
            actor: op.actor.id().to_owned(),
            target: target.to_owned(),
            request_id: op.request_id.clone(),
        }
    }
    #[must_use]
    pub fn action(&self) -> Action {
        self.action
    }
    /// Id of who was allowed.
    #[must_use]
    pub fn actor(&self) -> &str {
        &self.actor
    }
    /// Id of the thing it is for.
    #[must_use]
    pub fn target(&self) -> &str {
        &self.target
    }
    /// The request it was made in.
    #[must_use]
    pub fn request_id(&self) -> &str {
        &self.request_id
    }
    /// Fails (a defect, not a refusal) unless the permit is for one of these actions: engines call it first.
    pub fn require(&self, actions: &[Action]) -> Result<()> {
        if actions.contains(&self.action) {
            return Ok(());
        }
        Err(Error::internal(format!("permit for `{}` used for {actions:?}", self.action.as_str())))
    }
}
