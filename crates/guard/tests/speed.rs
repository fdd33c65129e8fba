//! Costs of the hot paths. Run by hand: `cargo nextest run -p guard --release --run-ignored all speed --no-capture`.

use std::hint::black_box;
use std::time::Instant;

use guard::chain::{self, GENESIS};
use guard::signature::{Algorithm, EMPTY_SHA256, SignedRequest};
use guard::{KeyRing, Masker};
use model::audit::AuditEvent;
use model::mask::Mask;
use model::value::Value;

fn measure(name: &str, mut work: impl FnMut()) {
    let rounds = 20_000_u32;
    let start = Instant::now();
    for _ in 0..rounds {
        work();
    }
    println!("{name:32} {:8.3} µs", start.elapsed().as_secs_f64() * 1e6 / f64::from(rounds));
}

#[test]
#[ignore = "a measurement, not a check"]
fn hot_paths() {
    let event = AuditEvent {
        event_id: "0198f0a8c0de7000a1b2c3d4e5f60718".into(),
        ts: "2026-11-23T08:00:00.000Z".into(),
        actor: "0198f0a8c0de7000a1b2c3d4e5f60718".into(),
        actor_name: "一网通办".into(),
        org: "0198f0a8c0de7000a1b2c3d4e5f60718".into(),
        app_key: "qtk_0123456789abcdef".into(),
        source: "127.0.0.1".into(),
        action: "row.query".into(),
        object: "population_base".into(),
        columns: "xm,sfzh,xb,csrq,dz".into(),
        level: "L3".into(),
        scope: "sfzh eq".into(),
        rows: 1,
        bytes: 300,
        result: "ok".into(),
        purpose: "身份核验".into(),
        request: "0198f0a8c0de7000a1b2c3d4e5f60718".into(),
        masks: "xm=keep(1,0),sfzh=keep(6,4),dz=keep(6,0)".into(),
        trace_id: "0198f0a8c0de7000a1b2c3d4e5f60718".into(),
        ..AuditEvent::default()
    };
    println!("canonical bytes {}", chain::canonical(1_000_000, &event).len());
    measure("audit link", || {
        black_box(chain::link(GENESIS, 1_000_000, black_box(event.clone())));
    });
    let call = SignedRequest {
        method: "GET",
        path: "/api/v1/population_base",
        query: "select=xm,sfzh&sfzh=eq.11010519491231002X",
        body_hash: EMPTY_SHA256,
        timestamp: 1_795_000_000_123,
        nonce: "abcdefghijklmnop",
    };
    for algorithm in [Algorithm::HmacSha256, Algorithm::HmacSm3] {
        let signature = call.sign(algorithm, b"0123456789abcdef0123456789abcdef");
        measure(algorithm.as_str(), || {
            call.verify(algorithm, b"0123456789abcdef0123456789abcdef", &signature).unwrap();
        });
    }
    let key = KeyRing::from_bytes(&[1; 32]).unwrap().mask();
    measure("Masker::new", || {
        black_box(Masker::new(&key, "app"));
    });
    let masker = Masker::new(&key, "app");
    for (name, mask, value) in [
        ("keep name", Mask::Keep { head: 1, tail: 0 }, "张三丰"),
        ("keep id", Mask::Keep { head: 6, tail: 4 }, "11010519491231002X"),
        ("hash id", Mask::Hash, "11010519491231002X"),
        ("ff1 id", Mask::FormatPreserving, "11010519491231002X"),
        ("ff1 mobile", Mask::FormatPreserving, "13800138000"),
        ("ff1 mixed", Mask::FormatPreserving, "浙A12345"),
    ] {
        let value = Value::Text(value.into());
        measure(name, || {
            black_box(masker.apply(&mask, "c", &value));
        });
    }
}
