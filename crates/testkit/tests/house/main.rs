//! The rooms tried in the rehearsal house, on both control stores: one suite, two databases.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test ends where something is wrong"
)]

mod accounts;
mod applying;
mod attacks;
mod authorised;
mod backchannel;
mod basket;
mod bounding;
mod boundsout;
mod catalogue;
mod collection;
mod contest;
mod crowd;
mod delivery;
mod deliveryhours;
mod deliverykill;
mod deltashare;
mod desk;
mod dispatch;
mod dumps;
mod dying;
mod dying_ledger;
mod evidence;
mod exchange;
mod exchangekill;
mod filing;
mod following;
mod halting;
mod harvest;
mod harvestkill;
mod identity;
mod intake;
mod interface;
mod interfacequota;
mod kafka;
mod ledger;
mod misfits;
mod named;
mod net;
mod notices;
mod opening;
mod openness;
mod outchain;
mod outflow;
mod outflowkill;
mod outway;
mod pipeline;
mod pipelinedata;
mod pipelinekill;
mod plans;
mod policies;
mod privilege;
mod production;
mod project;
mod projectexport;
mod projectjob;
mod projectkill;
mod proxied;
mod rail;
mod raildata;
mod railfailover;
mod railfull;
mod railkill;
mod railmysql;
mod railway;
mod realname;
mod reclaiming;
mod reconciling;
mod reconcilingall;
mod report;
mod reporting;
mod reportkill;
mod reportsheet;
mod restricted;
mod returning;
mod roll;
mod rowrange;
mod sandbox;
mod sandboxout;
mod schema;
mod sharing;
mod signup;
mod sqlbounds;
mod sqlcatalogue;
mod sqlfuzz;
mod sqlkeys;
mod sqlwire;
mod stamping;
mod standards;
mod streams;
mod usage;
mod usagekill;
mod usereport;
mod voice;

/// Runs scenarios `async fn(House)` each in a house of its own: on SQLite as a test each, on PostgreSQL one after
/// the other (a cluster takes a second to make).
#[macro_export]
macro_rules! on_both {
    ($($scenario:ident),+ $(,)?) => {
        mod on_sqlite {
            $(
                #[tokio::test]
                async fn $scenario() {
                    super::$scenario(testkit::House::new().await).await;
                }
            )+
        }

        #[tokio::test]
        async fn on_postgres() {
            let cluster = testkit::Postgres::start();
            $(
                let url = cluster.database(stringify!($scenario));
                $scenario(testkit::House::on(&url).await).await;
            )+
        }
    };
}
