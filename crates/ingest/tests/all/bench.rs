//! Speed of the text path, measured by hand in release:
//! `cargo test -p ingest --release -- --ignored --nocapture speed`.

use std::fmt::Write;
use std::time::Instant;

use futures::StreamExt;
use policy::port::{Intake, ReadOptions};

use crate::support::{file, items};

fn peak_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|l| l.starts_with("VmHWM")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|n| n.parse::<u64>().ok()).unwrap_or(0) / 1024
}

#[tokio::test]
#[ignore = "a measurement, to be run in release"]
async fn speed_of_delimited_text() {
    let mut text = "id,code,name,day,at,amount,rate,ok,addr\n".to_owned();
    let mut n = 0_u64;
    while text.len() < 400 << 20 {
        writeln!(
            text,
            "{n},{:012},\"名称 {n}\",20{:02}-{:02}-{:02},2024-01-02 03:{:02}:05,{}.{:02},{}.5,{},杭州市西湖区文三路 {} 号",
            n * 7919 % 1_000_000_000_000, n % 24, n % 12 + 1, n % 28 + 1, n % 60, n * 31 % 100_000, n % 100, n % 1000,
            if n.is_multiple_of(2) { "true" } else { "false" }, n % 500
        )
        .unwrap();
        n += 1;
    }
    let megabytes = text.len() >> 20;
    let file = file("a.csv", text.as_bytes());
    drop(text);
    let before = peak_mb();
    let wanted = items(
        "id:integer! code:text name:text day:date at:datetime amount:decimal(12,2) rate:float ok:boolean addr:text",
    );
    let start = Instant::now();
    let mut reading =
        ingest::Reader::new().read(&file.source(), &wanted, &ReadOptions::default()).await.unwrap();
    let (mut read, mut rejected) = (0, 0);
    while let Some(chunk) = reading.chunks.next().await {
        let chunk = chunk.unwrap();
        read += chunk.read;
        rejected += chunk.rejects.len();
    }
    let seconds = start.elapsed().as_secs_f64();
    assert_eq!((read, rejected), (n, 0));
    let speed = megabytes as f64 / seconds;
    println!(
        "delimited text: {megabytes} MiB, {n} records in {seconds:.2} s = {speed:.0} MiB/s, peak {} MiB (before {before})",
        peak_mb()
    );
}
