//! The words of the field: what a public-data platform speaks about, with no input or output.
//!
//! Read in this order: who acts (`op`, `account`, `org`, `region`, `realname`), what the ledger holds (`entry`, `item`,
//! `asset`, `code`), what moves (`value`, `batch`, `parcel`, `query`), what is called (`interface`), what is agreed (`request`, `basket`, `flow`, `mask`)
//! and what bounds or stops it (`bounds`, `halt`),
//! what is dispatched (`dispatch`), what is told (`notice`) and heard (`voice`, `news`, `contest`), how things come to be open (`openplan`), what is kept (`audit`) and counted (`usage`), and what goes wrong (`error`). Check digits are in `ident`, working days in `calendar`.
//! This crate imports nothing of ours and knows no clock, file, socket, SQL or Arrow.

pub mod account;
pub mod asset;
pub mod audit;
pub mod basket;
pub mod batch;
pub mod bounds;
pub mod calendar;
pub mod change;
pub mod channel;
pub mod code;
pub mod contest;
pub mod delivery;
pub mod delta;
mod digits;
pub mod dispatch;
pub mod entry;
pub mod error;
pub mod evidence;
pub mod exchange;
pub mod finding;
pub mod flow;
pub mod halt;
pub mod harvest;
pub mod ident;
pub mod identity;
pub mod interface;
pub mod item;
pub mod mask;
pub mod news;
pub mod notice;
pub mod op;
pub mod openplan;
pub mod org;
pub mod outflow;
pub mod oversight;
pub mod parcel;
pub mod pipeline;
pub mod project;
pub mod query;
pub mod rail;
pub mod reading;
pub mod realname;
pub mod reconcile;
pub mod region;
pub mod report;
pub mod request;
pub mod restricted;
pub mod sandbox;
pub mod schema;
pub mod search;
pub mod source;
pub mod spreadsheet;
pub mod sql;
pub mod tag;
pub mod usage;
pub mod value;
pub mod voice;

pub use error::{Code, Error, FieldError, Kind, Result};
pub use op::{Actor, Op};
