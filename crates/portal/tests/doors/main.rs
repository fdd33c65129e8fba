//! The portal's pages over the rehearsal house: every route by nobody and by a stranger, signing in, form tokens,
//! the open site with its files, and the console's main job.

mod browser;
mod console;
mod routes;
mod site;
