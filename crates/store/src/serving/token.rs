//! Page tokens: the sort values of a page's last row, sealed, so that a key or another item that was not granted
//! never shows in a URL, and a token works only with the filter and order it was made for.

use std::borrow::Cow;

use guard::Vault;
use guard::cipher::Cipher;
use model::{Code, Error, Result};
use serde::{Deserialize, Serialize};

use super::shape::Cell;

const CONTEXT: &str = "page token";

/// Where the next page begins.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Position {
    pub(crate) cells: Vec<Cell<'static>>,
    /// Load of the table the row numbers belong to.
    pub(crate) generation: i64,
}

#[derive(Serialize, Deserialize)]
struct Sealed {
    b: String,
    g: i64,
    v: Vec<Stored>,
}

/// Floats travel as their bits, so that the page goes on at exactly the same place.
#[derive(Serialize, Deserialize)]
enum Stored {
    N,
    I(i64),
    F(u64),
    T(String),
}

pub(crate) fn seal(
    vault: &Vault,
    bond: &str,
    generation: i64,
    cells: Vec<Cell<'static>>,
) -> Result<String> {
    let v = cells
        .into_iter()
        .map(|c| match c {
            Cell::Null => Stored::N,
            Cell::Integer(i) => Stored::I(i),
            Cell::Float(f) => Stored::F(f.to_bits()),
            Cell::Text(t) => Stored::T(t.into_owned()),
        })
        .collect();
    let plain = serde_json::to_vec(&Sealed { b: bond.to_owned(), g: generation, v })
        .map_err(|e| Error::internal("cannot write a page token").caused_by(e))?;
    vault.seal_with(Cipher::Aes256Gcm, CONTEXT, &plain)
}

/// Opens a token made for the same `bond`.
pub(crate) fn open(vault: &Vault, bond: &str, token: &str) -> Result<Position> {
    let bad = || {
        Error::new(
            Code::InvalidQuery,
            "翻页标记 after 无效，或与当前的筛选、排序条件不一致，请从第一页重新开始",
            "the page token `after` is not valid for this filter and order; start again from the first page",
        )
    };
    let plain = vault.open(CONTEXT, token).map_err(|_| bad())?;
    let sealed: Sealed = serde_json::from_slice(&plain).map_err(|_| bad())?;
    if sealed.b != bond {
        return Err(bad());
    }
    let cells = sealed
        .v
        .into_iter()
        .map(|s| match s {
            Stored::N => Cell::Null,
            Stored::I(i) => Cell::Integer(i),
            Stored::F(f) => Cell::Float(f64::from_bits(f)),
            Stored::T(t) => Cell::Text(Cow::Owned(t)),
        })
        .collect();
    Ok(Position { cells, generation: sealed.g })
}

/// The rows the token points into were replaced and have no key to go on by.
pub(crate) fn stale() -> Error {
    Error::new(
        Code::Stale,
        "数据已更新，翻页标记失效，请从第一页重新开始",
        "the data were replaced meanwhile, the page token no longer holds; start again from the first page",
    )
}
