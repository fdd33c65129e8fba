//! Properties: a table written in any dialect reads back as it was; no bytes at all make the reader panic.

use model::code::DataType;
use model::item::Item;
use policy::port::ReadOptions;
use proptest::prelude::*;

use crate::making;
use crate::support::{collect, file};

#[derive(Clone, Debug)]
struct Written {
    rows: Vec<Vec<String>>,
    text: String,
    encoding: u8,
    wrapper: u8,
}

impl Written {
    fn bytes(&self) -> Vec<u8> {
        let text = &self.text;
        let bytes = match self.encoding {
            1 => format!("\u{feff}{text}").into_bytes(),
            2 => format!("\u{feff}{text}").encode_utf16().flat_map(u16::to_le_bytes).collect(),
            3 => format!("\u{feff}{text}").encode_utf16().flat_map(u16::to_be_bytes).collect(),
            _ => text.clone().into_bytes(),
        };
        match self.wrapper {
            1 => making::gzip(&bytes),
            2 => making::zstd(&bytes),
            3 => making::zip(&[("t.csv", &bytes)]),
            _ => bytes,
        }
    }
}

/// The cells of one column, alike in kind and meaning themselves: not blank, no word for null.
fn column(height: usize) -> impl Strategy<Value = Vec<String>> {
    let kinds = [
        "[a-zA-Z]{1,8}",
        "[1-9][0-9]{0,5}",
        "[杭州宁波温州数据公共平台]{1,6}",
        "[a-z,;|\t\"' \n杭州]{0,6}x",
        "\"[a-z]{1,3}\"",
    ];
    prop::sample::select(kinds.to_vec()).prop_flat_map(move |kind| {
        let cell =
            kind.prop_filter("a word for null", |t: &String| t != "NULL" && !t.trim().is_empty());
        prop::collection::vec(cell, height)
    })
}

fn written() -> impl Strategy<Value = Written> {
    (2_usize..6, 3_usize..20).prop_flat_map(|(width, height)| {
        (
            prop::collection::vec(column(height), width),
            prop::sample::select(vec![",", ";", "\t", "|"]),
            prop::sample::select(vec!["\n", "\r\n"]),
            any::<bool>(),
            0_u8..4,
            0_u8..4,
        )
            .prop_map(move |(columns, sign, line, all, encoding, wrapper)| {
                let rows: Vec<Vec<String>> =
                    (0..height).map(|r| columns.iter().map(|c| c[r].clone()).collect()).collect();
                let header: Vec<String> = (0..width).map(|n| format!("col_{n}_name")).collect();
                let quote = |cell: &String| {
                    if all || cell.contains([',', ';', '|', '\t', '"', '\'', '\n', '\r', ' ']) {
                        format!("\"{}\"", cell.replace('"', "\"\""))
                    } else {
                        cell.clone()
                    }
                };
                let mut text = String::new();
                for row in std::iter::once(&header).chain(&rows) {
                    text.push_str(&row.iter().map(quote).collect::<Vec<_>>().join(sign));
                    text.push_str(line);
                }
                Written { rows, text, encoding, wrapper }
            })
    })
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap()
        .block_on(work)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn tables_come_back_as_they_were(written in written()) {
        let width = written.rows[0].len();
        let items: Vec<Item> = (0..width).map(|n| Item::new(&format!("col_{n}_name"), "列", DataType::Text)).collect();
        let got = run(file("t.csv", &written.bytes()).read(&items)).unwrap();
        prop_assert_eq!(got.rejects.len(), 0, "{:?} {:?}", got.rejects, written.text);
        prop_assert_eq!(&got.texts(), &written.rows);
        // And the header is found without help.
        let sniffed = run(file("t.csv", &written.bytes()).sniff()).unwrap();
        prop_assert_eq!(sniffed.records, Some(written.rows.len() as u64));
        prop_assert_eq!(sniffed.columns.iter().map(|c| c.name.clone()).collect::<Vec<_>>(),
            items.iter().map(|i| i.identifier.clone()).collect::<Vec<_>>());
    }

    #[test]
    fn noise_never_panics(
        bytes in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..2000),
            "[\\PC\n\",;|]{0,400}".prop_map(String::into_bytes),
            "[\\[\\]{}\",:0-9a-z\n ]{0,300}".prop_map(String::into_bytes),
        ],
        magic in prop::sample::select(vec![&b""[..], b"PK\x03\x04", b"PAR1", &[0x1f, 0x8b, 8], &[0x28, 0xb5, 0x2f, 0xfd], &[0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1], b"\xff\xfe", b"[{", b"{\"type\":\"FeatureCollection\",\"features\":["]),
    ) {
        let bytes = [magic, &bytes].concat();
        let file = file("x.csv", &bytes);
        if let Ok(sniffed) = run(file.sniff()) {
            let items = ingest::draft(&sniffed);
            prop_assert!(items.iter().all(|i| Item::identifier_ok(&i.identifier)));
            if !items.is_empty() && let Ok(got) = run(file.read(&items)) {
                prop_assert_eq!(Some(got.read), sniffed.records);
            }
        }
    }

    #[test]
    fn broken_workbooks_never_panic(at in 0.0_f64..1.0, with in any::<[u8; 4]>(), kind in 0_u8..4) {
        let rows: &[&[&str]] = &[&["a", "b"], &["1", "x"], &["2", "y"]];
        let mut bytes = match kind {
            0 => making::sheet(rows),
            1 => making::xls(rows, false),
            2 => making::ods(rows),
            _ => making::parquet(5),
        };
        let place = (at * (bytes.len() - 4) as f64) as usize;
        bytes[place..place + 4].copy_from_slice(&with);
        let file = file("x.xlsx", &bytes);
        if let Err(e) = run(file.sniff()) {
            // A cell that says it lies far off makes a sheet too large to be laid out.
            prop_assert!(matches!(e.kind(), model::Kind::Invalid | model::Kind::TooLarge), "{:?}", e);
        }
        let _ = run(collect(&file.source(), &[Item::new("a", "a", DataType::Text)], &ReadOptions::default()));
    }
}
