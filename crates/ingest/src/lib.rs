//! Channels: files and queries of departments into typed batches, with every record accounted for.
//!
//! Read in this order: `content` (wrappers and kinds), `bounds` with `spread` and `biff` (what a packed file may grow to), `letters` (encodings), `token` and `dialect` (delimited text),
//! `layout` with `header` and `footer` (titles, headers, notes), `shape` (types found), `matching` (columns to items), `model::reading` (cells to values),
//! `sink` (batches and rejects), then one module per kind of source: `delimited`, `json`, `book`, `columnar`, `query`, `feed`. `schema` says what tables a database holds,
//! `privilege` what an account may do there,
//! `shelf` keeps files in folders and buckets, `upstream` asks services behind proxied interfaces, `stamper` a time-stamp authority, `links` looks whether what people linked to is there, `harvest` reads other catalogues. Whatever connects anywhere goes through `outgoing`.
//!
//! Promise kept here: accepted + rejected = read. A record that does not fit is never dropped and never bent to fit; it
//! becomes a reject with its line, column, value, reason and all its cells in the order of the items, so that it can be
//! mended and replayed through `Source::Cells`. What a format cannot promise (a broken workbook, an encrypted file, a
//! cell of more than 16 MiB) fails the reading with a message that names the place and the remedy.
//!
//! Known limits: fractions of a second beyond the microsecond are cut; a cell of white space only is null; tabs at the
//! end of a text and the wrapping of `="007"`, with which exports protect codes from Excel, are taken off.

mod biff;
mod book;
mod bounds;
mod columnar;
mod content;
mod delimited;
mod dialect;
mod draft;
mod feed;
mod footer;
mod grid;
mod hand;
mod harvest;
mod header;
mod identity;
mod json;
mod json_fields;
mod json_place;
mod json_scan;
mod layout;
mod letters;
mod links;
mod matching;
pub mod outgoing;
mod outlet;
mod privilege;
mod query;
mod rail;
mod reader;
mod schema;
mod shape;
mod shelf;
mod sink;
mod spread;
mod stamper;
mod statement;
mod tls;
mod token;
mod upstream;

use model::reading::{cell, moment, number, typing, why};

pub use draft::draft;
pub use harvest::Catalogues;
pub use identity::IdentityServices;
pub use links::LinkLooker;
pub use outlet::Outlets;
pub use rail::Rails;
pub use reader::Reader;
pub use shelf::Shelves;
pub use stamper::HttpStamper;
pub use upstream::Upstreams;
