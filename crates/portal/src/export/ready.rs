//! Files that come ready from where the rows are read: nothing is put before or behind them.

use model::value::Rows;
use model::{Error, Result};

use crate::export::Encoder;

pub(super) struct Ready;

impl Encoder for Ready {
    fn head(&mut self) -> Result<Vec<u8>> {
        Ok(Vec::new())
    }
    fn rows(&mut self, _: &Rows) -> Result<Vec<u8>> {
        Err(Error::internal("a file by column is not made of single rows"))
    }
    fn tail(&mut self) -> Result<Vec<u8>> {
        Ok(Vec::new())
    }
}
