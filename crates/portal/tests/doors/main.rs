//! The portal's pages over the rehearsal house: every route by nobody and by a stranger, signing in, form tokens,
//! the open site with its files, and the console's main job.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test ends where something is wrong"
)]

mod accounts;
mod audit;
mod basket;
mod browser;
mod console;
mod controls;
mod deliveries;
mod dispatch;
mod drafts;
mod exchanges;
mod harvests;
mod identity;
mod interfaces;
mod ledger;
mod ledgers;
mod look;
mod openings;
mod outflows;
mod oversight;
mod paging;
mod pipelines;
mod rails;
mod reports;
mod restricted;
mod routes;
mod sandbox;
mod services;
mod signout;
mod signups;
mod site;
mod sources;
mod standards;
mod supervise;
mod tables;
mod tokens;
mod voice;
