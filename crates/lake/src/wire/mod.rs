//! SQL over the PostgreSQL wire: a server in front of granted tables.
//!
//! ```text
//! serve      accept, TLS, limits of connections (waiting: before anybody has signed in)
//! startup    SCRAM-SHA-256 or a client's certificate, and nothing else (`guard::scram`, `guard::callers`; the names behind it are
//!            `policy::port::SqlDesk`'s)
//! handler    simple and extended protocol, portals, COPY TO STDOUT, cancel
//! firewall   which statements are taken at all, before anything is planned
//! session    one connection: its tables, settings, cursors
//! run        statement → plan → recorded → rows, watched while they flow (asked, flow, cursor, copy, memory, settings, words)
//! table      a grant as a table: row filter and masks inside, nothing of them to be seen from outside
//! bench      the same way for workspaces of projects, without the protocol (values)
//! catalogue  pg_catalog and information_schema of what is granted: tables (relations), what clients ask them (questions, functions,
//!            spelling)
//! ```
//!
//! # What a session can see
//!
//! *no-plain-way-out*: a session knows its granted tables, in the schema `public`, with the granted columns. Each is a
//! barrier ([`table`]): the rows that come out of it have passed the row filter and the masks, and only comparisons that cannot
//! fail and touch no masked column go in. So a filter, a join or a group on a masked column sees the masked value and no other
//! (unlike the interface, where a masked look-up key may be compared: whoever asks by SQL may compare without end), and an
//! expression that fails on some row tells nothing of rows outside the grant.
//!
//! *every-release-audited*: [`run`] asks the desk to count and record a statement before its first row, and tells it the end.

mod asked;
mod bench;
mod catalogue;
mod copy;
mod cursor;
mod firewall;
mod flow;
mod functions;
mod handler;
mod memory;
mod moments;
mod questions;
mod relations;
mod run;
mod serve;
mod session;
mod settings;
mod spelling;
mod startup;
mod table;
mod values;
mod waiting;
mod words;

pub use bench::Bench;
pub use serve::SqlDoor;
pub(crate) use table::barrier;
pub(crate) use table::schema as granted_schema;
