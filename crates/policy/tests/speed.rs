//! Costs of decisions. Run by hand in release: `--run-ignored all speed --no-capture`.

use std::hint::black_box;
use std::time::Instant;

use model::account::Role;
use policy::{Action, GrantAsk, Target, Via};

use crate::house::{application, entry, people_items, person, policy, request};

fn measure(name: &str, mut work: impl FnMut()) {
    let rounds = 5_000_u32;
    let start = Instant::now();
    for _ in 0..rounds {
        work();
    }
    println!("{name:16} {:8.2} µs", start.elapsed().as_secs_f64() * 1e6 / f64::from(rounds));
}

#[test]
#[ignore = "a measurement, not a check"]
fn decisions() {
    let start = Instant::now();
    let policy = policy();
    println!("load {:?}", start.elapsed());
    let e = entry(people_items());
    let provider = person("u", "provider-org", &[Role::Provider]);
    let target = Target::entry(&e);
    measure("decide", || {
        black_box(policy.decide(&provider, Action::EntryCompile, black_box(&target)));
    });
    let (app, r) = (application("app-1"), request());
    let ask = GrantAsk { action: Action::RowsQuery, entry: &e, via: Via::Request(&r), row_cap: 0 };
    measure("grant", || {
        black_box(policy.grant(&app, black_box(&ask))).unwrap();
    });
}
