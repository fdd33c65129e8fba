//! The list of attacks (`docs/attacks.md`), walked: each test is one attack by one of the people through the doors of the house, with
//! what the platform answers. What is tried elsewhere already is named in the list and not tried again here.

mod agreements;
mod bombs;
mod doors;
mod formula;
mod hidden;
mod outward;
mod programs;
mod script;
mod sessions;
mod signups;
