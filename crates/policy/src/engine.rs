//! Decisions by Cedar.

use std::path::Path;

use model::{Op, Result};

use crate::{Action, Grant, GrantAsk, Permit, Target};

/// The policy engine with its rule files.
#[derive(Debug)]
pub struct Policy {}

/// A decision with its reasons.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    pub allowed: bool,
    /// Ids of the policies that decided.
    pub reasons: Vec<String>,
}

impl Policy {
    /// The shipped rules.
    pub fn shipped() -> Result<Self> {
        Ok(Self {})
    }
    /// Rules from a folder (`policies.cedar`, `schema.cedarschema`, `masks.toml`).
    pub fn load(_dir: &Path) -> Result<Self> {
        Self::shipped()
    }
    /// Decides without making a proof (for showing or hiding a button, and for the matrix).
    #[must_use]
    pub fn decide(&self, _op: &Op, _action: Action, _target: &Target) -> Decision {
        Decision { allowed: false, reasons: Vec::new() }
    }
    /// Decides, and proves it.
    pub fn permit(&self, op: &Op, action: Action, target: &Target) -> Result<Permit> {
        let decision = self.decide(op, action, target);
        if decision.allowed {
            return Ok(Permit::new(op, action, &target.id));
        }
        Err(model::Error::of(model::Code::Denied).with_reasons(decision.reasons))
    }
    /// Decides a release and says exactly what of it.
    pub fn grant(&self, _op: &Op, _ask: &GrantAsk<'_>) -> Result<Grant> {
        Err(model::Error::of(model::Code::NoGrant))
    }
}
