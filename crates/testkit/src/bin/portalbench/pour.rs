//! Whole downloads: CSV of the large table against the same bytes from a bare server in the same run, and a workbook of a million
//! rows with an eye on the server's memory.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Instant;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use testkit::{MemoryWatch, chance, megabytes};
use tokio::io::AsyncReadExt as _;

use crate::ask::Bench;
use crate::made::{self, FLOW, HEADER, SHEET, SHEET_ROWS};
use crate::tally::{Tally, round};

/// Timed downloads of each side; the quickest counts.
const ROUNDS: usize = 3;
/// Either is enough: so many megabytes a second, or this part of the bare server's speed.
const MB_PER_SECOND: f64 = 300.0;
const RATIO: f64 = 0.5;
/// Most memory of the server's own while it makes a workbook, megabytes.
const SHEET_MB: u64 = 1024;
/// Bytes of one piece of the bare server.
const PIECE: usize = 256 << 10;

pub(crate) async fn csv(bench: &Bench, tally: &mut Tally) {
    let url = format!("{}/data/{FLOW}/download.csv", bench.portal);
    let file = bench.folder.join("..").join("dump.csv");
    let seen = look(bench, &url, &file).await;
    let wanted = Sums::wanted(bench.rows);
    assert_eq!(seen.sums, wanted.sums, "every row is there once, as it came in");
    let in_order = seen.sha256 == wanted.sha256;
    // Checksum and length that the server tells of the file are those of what it sent.
    let page = format!("{}/data/{FLOW}", bench.portal);
    let page = bench.client.get(&page).send().await.unwrap().text().await.unwrap();
    assert!(page.contains(&seen.sha256), "the page tells the checksum of what was sent");
    let head = bench.client.get(&url).send().await.unwrap();
    let told = |name: header::HeaderName| {
        head.headers().get(name).and_then(|v| v.to_str().ok()).map(str::to_owned)
    };
    assert_eq!(told(header::CONTENT_LENGTH), Some(seen.bytes.to_string()));
    drop(head);

    let bare = serve(file.clone()).await;
    let (mut ours, mut theirs) = (f64::MAX, f64::MAX);
    for _ in 0..ROUNDS {
        theirs = theirs.min(seconds(bench, &bare, seen.bytes).await);
        ours = ours.min(seconds(bench, &url, seen.bytes).await);
    }
    let mb = seen.bytes as f64 / 1e6;
    let (rate, peer) = (mb / ours, mb / theirs);
    let missed = rate < MB_PER_SECOND && rate / peer < RATIO;
    println!(
        "CSV of {} rows, {mb:.0} MB: {rate:.0} MB/s; the same bytes from a bare server {peer:.0} MB/s; ratio {:.3} (limit {MB_PER_SECOND} MB/s or {RATIO}); in the order they came: {in_order}{}",
        bench.rows,
        rate / peer,
        if missed { "  MISSED" } else { "" }
    );

    // The same by CKAN's door: each line begins with its number.
    let dump = format!("{}/datastore/dump/{FLOW}", bench.gateway);
    let begun = Instant::now();
    let mut lines = 0_u64;
    let ends = |piece: &[u8]| piece.iter().filter(|b| **b == b'\n').count() as u64;
    let bytes = bench.download(&dump, |piece| lines += ends(piece)).await;
    assert_eq!(lines, bench.rows + 1, "a line for each row and the header");
    let dumped = bytes as f64 / 1e6 / begun.elapsed().as_secs_f64();
    println!("datastore/dump, {:.0} MB: {dumped:.0} MB/s (told only)", bytes as f64 / 1e6);
    let told = json!({
        "rows": bench.rows, "bytes": seen.bytes, "sha256": seen.sha256, "in_order": in_order, "mb_per_second": round(rate),
        "bare_mb_per_second": round(peer), "ratio": round(rate / peer), "limit_mb_per_second": MB_PER_SECOND,
        "limit_ratio": RATIO, "dump_mb_per_second": round(dumped),
    });
    tally.tell("csv", told, missed);
    std::fs::remove_file(&file).unwrap();
}

/// Lines in any order: how many, and the sum of their hashes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Lines {
    count: u64,
    sum: u64,
}

impl Lines {
    fn add(&mut self, line: &[u8]) {
        self.count += 1;
        // FNV-1a, then mixed, so that a sum does not cancel out.
        let hash = line.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        });
        self.sum = self.sum.wrapping_add(chance(hash, 61));
    }
}

/// What is known of a file.
struct Sums {
    sums: Lines,
    bytes: u64,
    sha256: String,
}

impl Sums {
    /// Of the file as it should be, rows in the order they came in.
    fn wanted(rows: u64) -> Self {
        let (mut sums, mut hash, mut bytes) = (Lines::default(), Sha256::new(), 0);
        let mut line = format!("\u{feff}{HEADER}").into_bytes();
        let mut next = 0;
        loop {
            sums.add(&line);
            hash.update(&line);
            bytes += line.len() as u64;
            if next == rows {
                break;
            }
            line.clear();
            made::line(&mut line, next);
            next += 1;
        }
        Self { sums, bytes, sha256: hex(hash.finalize()) }
    }
}

fn hex(bytes: impl AsRef<[u8]>) -> String {
    bytes.as_ref().iter().map(|b| format!("{b:02x}")).collect()
}

/// Downloads into a file, looking at every line.
async fn look(bench: &Bench, url: &str, file: &Path) -> Sums {
    let mut to = std::fs::File::create(file).unwrap();
    let (mut sums, mut hash) = (Lines::default(), Sha256::new());
    let mut rest: Vec<u8> = Vec::new();
    let each = |piece: &[u8]| {
        hash.update(piece);
        to.write_all(piece).unwrap();
        for part in piece.split_inclusive(|b| *b == b'\n') {
            rest.extend_from_slice(part);
            if part.ends_with(b"\n") {
                sums.add(&rest);
                rest.clear();
            }
        }
    };
    let bytes = bench.download(url, each).await;
    assert!(rest.is_empty(), "the last line ends");
    Sums { sums, bytes, sha256: hex(hash.finalize()) }
}

/// Seconds until the last byte.
async fn seconds(bench: &Bench, url: &str, wanted: u64) -> f64 {
    let begun = Instant::now();
    let bytes = bench.download(url, |_| ()).await;
    assert_eq!(bytes, wanted, "{url}");
    begun.elapsed().as_secs_f64()
}

/// A bare server of one file, in this process; its address.
async fn serve(file: PathBuf) -> String {
    let router = axum::Router::new().route("/file", axum::routing::get(bare)).with_state(file);
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}/file")
}

async fn bare(State(path): State<PathBuf>) -> impl IntoResponse {
    let file = tokio::fs::File::open(path).await.unwrap();
    let pieces = futures::stream::unfold(file, |mut file| async move {
        let mut piece = Vec::with_capacity(PIECE);
        match file.read_buf(&mut piece).await {
            Ok(0) => None,
            Ok(_) => Some((Ok::<Bytes, std::io::Error>(piece.into()), file)),
            Err(e) => Some((Err(e), file)),
        }
    });
    ([(header::CONTENT_TYPE, "text/csv")], Body::from_stream(pieces))
}

pub(crate) async fn xlsx(bench: &Bench, tally: &mut Tally) {
    let rows = bench.rows.min(SHEET_ROWS);
    let url = format!("{}/data/{SHEET}/download.xlsx", bench.portal);
    // The most memory is counted from here on, where the system lets us say so.
    let _ = std::fs::write(format!("/proc/{}/clear_refs", bench.pid), "5");
    let before = megabytes(bench.pid, "RssAnon:");
    let watch = MemoryWatch::begin(bench.pid);
    let begun = Instant::now();
    let mut file = tempfile::tempfile().unwrap();
    let bytes = bench.download(&url, |piece| file.write_all(piece).unwrap()).await;
    let seconds = begun.elapsed().as_secs_f64();
    let own = watch.most();
    drop(watch);
    let peak = megabytes(bench.pid, "VmHWM:");
    assert_eq!(rows_of(file), rows + 1, "a row of the sheet for each row and the header");
    let missed = own > SHEET_MB;
    println!(
        "XLSX of {rows} rows, {:.0} MB, in {seconds:.1} s: most memory of the server's own {own} MB (before {before}, limit {SHEET_MB}), with what it maps of files {peak} MB{}",
        bytes as f64 / 1e6,
        if missed { "  MISSED" } else { "" }
    );
    let told = json!({
        "rows": rows, "bytes": bytes, "seconds": round(seconds), "own_mb": own, "before_mb": before, "peak_rss_mb": peak,
        "limit_mb": SHEET_MB,
    });
    tally.tell("xlsx", told, missed);
}

/// Rows of a workbook's first sheet.
fn rows_of(file: std::fs::File) -> u64 {
    const MARK: &[u8] = b"<row ";
    let mut book = zip::ZipArchive::new(file).unwrap();
    let mut sheet = book.by_name("xl/worksheets/sheet1.xml").unwrap();
    let mut piece = vec![0_u8; 1 << 20];
    let mut held: Vec<u8> = Vec::new();
    let mut rows = 0_u64;
    loop {
        let read = sheet.read(&mut piece).unwrap();
        if read == 0 {
            return rows;
        }
        held.extend_from_slice(&piece[..read]);
        rows += held.windows(MARK.len()).filter(|w| *w == MARK).count() as u64;
        // A mark may lie over the edge of two pieces, no whole one is kept.
        let keep = held.len().saturating_sub(MARK.len() - 1);
        held.drain(..keep);
    }
}
