//! Organisations and regions.

use model::org::Org;
use model::region::Region;
use model::{Error, Op, Result};

use crate::App;

/// All organisations, by region then name.
pub async fn list(_app: &App, _op: &Op) -> Result<Vec<Org>> {
    Err(Error::internal("not built"))
}

pub async fn get(_app: &App, _op: &Op, _id: &str) -> Result<Org> {
    Err(Error::internal("not built"))
}

/// Enters an organisation; the 统一社会信用代码 must be valid and new.
pub async fn create(_app: &App, _op: &Op, _org: Org) -> Result<Org> {
    Err(Error::internal("not built"))
}

/// All regions by code.
pub async fn regions(_app: &App) -> Result<Vec<Region>> {
    Err(Error::internal("not built"))
}
