//! Asking: each statement of the plan by the PostgreSQL protocol, with the time and the processor time it took.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};
use testkit::{House, megabytes};
use tokio_postgres::{NoTls, SimpleQueryMessage};

use crate::data::APPLICATION;

pub(crate) async fn run(
    folder: &Path,
    plan: &Path,
    rounds: usize,
    mb: usize,
    cluster: Option<(&str, &Path)>,
) {
    let plan: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(plan).unwrap()).unwrap();
    let house = House::at_pace(folder).await;
    let consumer = house.person("consumer").await;
    let own = app::account::applications(&house.app, &consumer).await.unwrap();
    let application = own.into_iter().find(|a| a.name == APPLICATION).unwrap();
    let made = app::wire::make_password(&house.app, &consumer, &application.id).await.unwrap();

    let config = lake::LakeConfig {
        memory_limit_bytes: mb << 20,
        threads: 2,
        spill_dir: Some(folder.join("spill")),
        cluster: cluster.map(|(scheduler, trust)| lake::ClusterConfig {
            scheduler: scheduler.to_owned(),
            trust: lake::TrustFiles {
                authority: trust.join("ca.crt"),
                certificate: trust.join("node.crt"),
                key: trust.join("node.key"),
                name: "qiantang-cluster".into(),
            },
            partitions: 4,
        }),
        ..lake::LakeConfig::new(folder.join("lake").to_string_lossy())
    };
    let lake = Arc::new(lake::DeltaLake::open(&config, house.app.keys.mask()).unwrap());
    let desk = Arc::new(app::wire::Desk::new(Arc::clone(&house.app)));
    let door = lake::SqlDoor::new(Arc::clone(&lake), desk, None).unwrap();
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(door.serve(listener, std::future::pending()));
    let mut config = tokio_postgres::Config::new();
    config.host("127.0.0.1").port(port).dbname("qiantang").user(&made.user).password(made.password);
    let (client, connection) = config.connect(NoTls).await.unwrap();
    tokio::spawn(connection);

    for round in 0..rounds {
        for question in &plan {
            let (name, sql) = (&question["name"], question["ours"].as_str().unwrap());
            let (begun, cpu) = (Instant::now(), processor());
            let found = client.simple_query(sql).await;
            let (seconds, cpu) = (begun.elapsed().as_secs_f64(), processor() - cpu);
            let rows: Vec<Vec<Option<String>>> = match found {
                Ok(found) => found
                    .into_iter()
                    .filter_map(|message| match message {
                        SimpleQueryMessage::Row(row) => {
                            Some((0..row.len()).map(|at| row.get(at).map(str::to_owned)).collect())
                        }
                        _ => None,
                    })
                    .collect(),
                Err(e) => {
                    println!("{}", json!({ "name": name, "round": round, "error": e.to_string() }));
                    continue;
                }
            };
            println!(
                "{}",
                json!({ "name": name, "round": round, "seconds": seconds, "cpu": cpu, "rows": rows })
            );
        }
    }
    let figures = lake.cluster_figures().map(|f| {
        json!({ "answered": f.answered, "taken_back": f.taken_back, "asked_again": f.asked_again })
    });
    let peak = megabytes(std::process::id(), "VmHWM:");
    println!("{}", json!({ "peak_mb": peak, "cluster": figures }));
    house.app.store.close().await;
}

/// Seconds of processor time of this process.
fn processor() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let rest: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: u64 = [11, 12].iter().map(|at| rest[*at].parse::<u64>().unwrap()).sum();
    // USER_HZ is 100 on every Linux.
    ticks as f64 / 100.0
}
