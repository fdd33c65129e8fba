//! The machines' door over the rehearsal house: every route by nobody and by a stranger, floods of wrong signatures,
//! and what answers carry.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test ends where something is wrong"
)]

mod abuse;
mod answers;
mod challenge;
mod ckan;
mod ckansql;
mod ckanupload;
mod ckanwrite;
mod client;
mod convention;
mod cut;
mod delta;
mod evidence;
mod flood;
mod flow;
mod harvested;
mod ledgers;
mod linked;
mod mcp;
mod paging;
mod released;
mod routes;
mod standards;
mod sunset;
mod tiles;
mod token;
