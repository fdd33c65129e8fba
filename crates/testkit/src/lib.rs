//! The rehearsal house: the real rooms and engines in a temporary folder, a clock that is set, and people in it.
//!
//! ```no_run
//! # async fn example() -> model::Result<()> {
//! let house = testkit::House::new().await;
//! let provider = house.person("provider");
//! let entry = app::catalogue::create(&house.app, &provider, testkit::draft("lake_water")).await?;
//! # Ok(()) }
//! ```

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a house for tests: what cannot be built ends the test"
)]

mod drafts;
mod house;
#[cfg(feature = "kafka")]
mod kafka;
mod mariadb;
mod measure;
mod people;
mod postgres;
mod restricted;
mod sandboxed;
mod template;
mod text;
mod tsa;

pub use drafts::{draft, person_draft, restricted_draft};
pub use house::{House, SetClock};
#[cfg(feature = "kafka")]
pub use kafka::Kafka;
pub use mariadb::MariaDb;
pub use measure::{MemoryWatch, chance, megabytes, percentile};
pub use people::{
    AUTHORITY_ORG, CITY_ORG, CONSUMER_ORG, COUNTY_ORG, ENTERPRISE_ORG, PASSWORD, PROVIDER_ORG,
    STRANGER_ORG,
};
pub use postgres::Postgres;
pub use restricted::{signer, sm3, use_of, use_report};
pub use sandboxed::{BY_AREA, ServedRelease, sandbox_people};
pub use text::{grams, initials};
pub use tsa::{Tsa, TsaMood, TsaSigner};
