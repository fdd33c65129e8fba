//! Bombs and giants: files that are small and unpack to more than any memory, workbooks that lie about their size, bodies of ten
//! gigabytes, bodies without an end, and people who hang up. The answer comes early, in both languages, and leaves nothing on the disk.

use std::io::{Cursor, Read as _, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, header};
use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream;
use rust_xlsxwriter::Workbook;
use testkit::House;
use zip::write::SimpleFileOptions;
use zip::{ZipArchive, ZipWriter};

use super::doors::{Answer, Doors, PARTED, Visitor};
use crate::railway::until;

const TEN_GIGABYTES: u64 = 10 << 30;
const TEXTS: &str = "xl/sharedStrings.xml";

/// A workbook in order.
fn workbook() -> Vec<u8> {
    let mut book = Workbook::new();
    let sheet = book.add_worksheet();
    for (n, text) in ["id", "name", "amount", "day"].iter().enumerate() {
        sheet.write_string(0, u16::try_from(n).unwrap(), *text).unwrap();
    }
    sheet.write_number(1, 0, 1.0).unwrap();
    sheet.write_string(1, 1, "西湖").unwrap();
    book.save_to_buffer().unwrap()
}

/// The same with another part in place of one.
fn with_part(book: &[u8], name: &str, text: &str) -> Vec<u8> {
    let mut archive = ZipArchive::new(Cursor::new(book)).unwrap();
    let mut out = ZipWriter::new(Cursor::new(Vec::new()));
    for n in 0..archive.len() {
        let mut part = archive.by_index(n).unwrap();
        let own = String::from_utf8_lossy(part.name_raw()).into_owned();
        let mut bytes = Vec::new();
        part.read_to_end(&mut bytes).unwrap();
        out.start_file(own.as_str(), SimpleFileOptions::default()).unwrap();
        out.write_all(if own == name { text.as_bytes() } else { &bytes }).unwrap();
    }
    out.finish().unwrap().into_inner()
}

/// The same with another unpacked size of a part, in the directory and before the part where it is told there.
fn telling(book: &[u8], name: &str, size: u32) -> Vec<u8> {
    let mut out = book.to_vec();
    for (mark, told, named) in [(b"PK\x01\x02", 24, 46), (b"PK\x03\x04", 22, 30)] {
        let at = (0..out.len() - named)
            .find(|at| {
                out[*at..].starts_with(mark) && out[at + named..].starts_with(name.as_bytes())
            })
            .unwrap();
        let place = at + told..at + told + 4;
        if out[place.clone()] != [0; 4] {
            out[place].copy_from_slice(&size.to_le_bytes());
        }
    }
    out
}

/// An ODS whose one cell is repeated to the ends of the sheet.
fn endless_sheet() -> Vec<u8> {
    let content = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><office:document-content \
        xmlns:office=\"urn:oasis:names:tc:opendocument:xmlns:office:1.0\" \
        xmlns:table=\"urn:oasis:names:tc:opendocument:xmlns:table:1.0\" \
        xmlns:text=\"urn:oasis:names:tc:opendocument:xmlns:text:1.0\"><office:body><office:spreadsheet>\
        <table:table table:name=\"a\"><table:table-row table:number-rows-repeated=\"1048576\">\
        <table:table-cell table:number-columns-repeated=\"16384\" office:value-type=\"string\"><text:p>x</text:p>\
        </table:table-cell></table:table-row></table:table></office:spreadsheet></office:body></office:document-content>";
    let manifest = "<?xml version=\"1.0\"?><manifest:manifest \
        xmlns:manifest=\"urn:oasis:names:tc:opendocument:xmlns:manifest:1.0\"/>";
    let mut out = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, text) in [
        ("mimetype", "application/vnd.oasis.opendocument.spreadsheet"),
        ("content.xml", content),
        ("META-INF/manifest.xml", manifest),
    ] {
        out.start_file(name, SimpleFileOptions::default()).unwrap();
        out.write_all(text.as_bytes()).unwrap();
    }
    out.finish().unwrap().into_inner()
}

/// An old workbook of one stream that says it has four thousand million rows.
fn vast_sheet() -> Vec<u8> {
    fn record(out: &mut Vec<u8>, kind: u16, data: &[u8]) {
        out.extend(kind.to_le_bytes());
        out.extend(u16::try_from(data.len()).unwrap().to_le_bytes());
        out.extend(data);
    }
    let start = [0_u16, 0x0600, 5, 0, 0, 0, 0, 0].map(u16::to_le_bytes).concat();
    let mut stream = Vec::new();
    record(&mut stream, 0x0809, &start[2..]);
    let place = u32::try_from(stream.len() + 4 + 10 + 4).unwrap();
    record(&mut stream, 0x0085, &[&place.to_le_bytes()[..], &[0, 0, 2, 0, b'a', b'b']].concat());
    record(&mut stream, 0x000a, &[]);
    record(&mut stream, 0x0809, &start[2..]);
    let size = [0_u32.to_le_bytes(), 4_000_000_000_u32.to_le_bytes()].concat();
    record(&mut stream, 0x0200, &[&size[..], &[0, 0, 0xff, 0xff, 0, 0]].concat());
    record(&mut stream, 0x000a, &[]);
    stream.resize(4096, 0);
    compound(&stream)
}

/// A compound file: a table of sectors, a directory, and one stream of eight sectors.
fn compound(stream: &[u8]) -> Vec<u8> {
    const END: u32 = 0xffff_fffe;
    const FREE: u32 = 0xffff_ffff;
    let mut out = vec![0_u8; 512];
    let mut put = |at: usize, bytes: &[u8]| out[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &[0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1]);
    put(24, &[0x3e, 0, 3, 0, 0xfe, 0xff, 9, 0, 6, 0]);
    for (at, n) in [(44, 1), (48, 1), (56, 4096), (60, END), (68, END), (76, 0)] {
        put(at, &n.to_le_bytes());
    }
    for n in 1..109 {
        put(76 + n * 4, &FREE.to_le_bytes());
    }
    let sectors = u32::try_from(stream.len() / 512).unwrap();
    let mut table = vec![0xffff_fffd, END];
    table.extend((0..sectors).map(|n| if n + 1 == sectors { END } else { n + 3 }));
    table.resize(128, FREE);
    out.extend(table.iter().flat_map(|n: &u32| n.to_le_bytes()));
    for (name, kind, child, start, size) in
        [("Root Entry", 5_u8, 1_u32, END, 0_usize), ("Workbook", 2, FREE, 2, stream.len())]
    {
        let mut entry = vec![0_u8; 128];
        let letters: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
        entry[..letters.len()].copy_from_slice(&letters);
        entry[64] = u8::try_from(letters.len() + 2).unwrap();
        entry[66] = kind;
        entry[67] = 1;
        for (at, n) in [(68, FREE), (72, FREE), (76, child), (116, start)] {
            entry[at..at + 4].copy_from_slice(&n.to_le_bytes());
        }
        entry[120..124].copy_from_slice(&u32::try_from(size).unwrap().to_le_bytes());
        out.extend(entry);
    }
    out.extend([0; 256]);
    out.extend(stream);
    out
}

/// Files in a folder, whatever they are; none where there is no folder.
fn files(folder: &Path) -> Vec<String> {
    let Ok(there) = std::fs::read_dir(folder) else { return Vec::new() };
    there
        .map(|f| f.unwrap())
        .filter(|f| f.file_type().unwrap().is_file())
        .map(|f| f.file_name().to_string_lossy().into_owned())
        .collect()
}

/// Nothing is left of what was on its way.
async fn nothing_left(doors: &Doors) {
    let inbox = doors.house.folder().join("inbox");
    until("an empty inbox", async || {
        let left = [files(&inbox), files(&inbox.join("attachments"))].concat();
        if left.is_empty() { Ok(()) } else { Err(left.join(" ")) }
    })
    .await;
}

async fn furnished(house: House) -> (Doors, String) {
    let entry = house.publish(testkit::draft("hupo")).await;
    (Doors::of(house), format!("/console/entries/{}/collect", entry.id))
}

/// A provider uploads workbooks of a few kilobytes: by what they say, or in truth, they unpack to gigabytes.
#[tokio::test]
async fn workbooks_that_would_fill_memory_are_not_parsed() {
    let (doors, collect) = furnished(House::new().await).await;
    let mut provider = doors.person("provider").await;
    let book = workbook();
    let promised = format!(
        "<sst xmlns=\"http://schemas.openxmlformats.org/spreadsheetml/2006/main\" count=\"1\" uniqueCount=\"{}\"><si><t>a</t></si></sst>",
        99_999_999_999_999_u64
    );
    let promised = with_part(&book, TEXTS, &promised);
    for (name, bytes, status, zh) in [
        ("told.xlsx", telling(&book, TEXTS, 1 << 30), 413, "256 MiB"),
        ("lied.xlsx", telling(&book, TEXTS, 3), 400, "工作簿已损坏或不完整"),
        ("promised.xlsx", promised.clone(), 400, "声称的条数与内容不符"),
        ("spread.ods", endless_sheet(), 413, "展开重复的单元格后超过 1 GiB"),
        ("vast.xls", vast_sheet(), 413, "各表展开后超过 1 GiB"),
    ] {
        assert!(bytes.len() < 20_000, "{name} is small: {}", bytes.len());
        let page = provider.upload(&collect, &[("dry_run", "on")], name, &bytes).await;
        page.refused(status, zh, zh);
        nothing_left(&doors).await;
    }
    let page = provider.upload("/console/import", &[("dry_run", "on")], "c.xlsx", &promised).await;
    assert!(page.text().contains("不是完整的 XLSX 工作簿"), "{} {}", page.status, page.text());
    // One in order is read afterwards as it was before.
    let page = provider.upload(&collect, &[("dry_run", "on")], "good.xlsx", &book).await;
    assert_eq!(page.status, 200, "{}", page.text());
}

/// A body that counts how much of it was taken; without an end, unless it breaks off.
fn body(head: Vec<u8>, breaks_after: Option<u64>) -> (Body, Arc<AtomicU64>) {
    let taken = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&taken);
    let piece = Bytes::from(vec![b'x'; 1 << 16]);
    let first = stream::iter([Ok(Bytes::from(head))]);
    let rest = stream::unfold(0_u64, move |given| {
        let (piece, counted) = (piece.clone(), Arc::clone(&counted));
        async move {
            if breaks_after.is_some_and(|most| given > most) {
                return Some((Err(std::io::Error::other("hung up")), given));
            }
            counted.fetch_add(piece.len() as u64, Ordering::SeqCst);
            // Another task has its turn, as on a line.
            tokio::task::yield_now().await;
            Some((Ok(piece), given + (1 << 16)))
        }
    });
    (Body::from_stream(first.chain(rest)), taken)
}

async fn sent(visitor: &mut Visitor, path: &str, length: Option<u64>, body: Body) -> Answer {
    let mut request = Request::post(path).header(header::CONTENT_TYPE, PARTED);
    if let Some(length) = length {
        request = request.header(header::CONTENT_LENGTH, length);
    }
    visitor.send(request, body).await
}

/// Where people of the house upload, who does, and the most bytes that may be taken of a body that does not say its length.
fn uploads(collect: &str) -> [(&'static str, String, u64); 5] {
    [
        ("provider", collect.to_owned(), 4 << 20),
        ("provider", "/console/import".to_owned(), 8 << 20),
        ("provider", "/console/entries/draft".to_owned(), 8 << 20),
        ("provider", "/console/ledger/application/import".to_owned(), 136 << 20),
        ("consumer", "/console/basket/files".to_owned(), 24 << 20),
    ]
}

async fn narrow() -> (Doors, String) {
    let mut house = House::new().await;
    let app = Arc::get_mut(&mut house.app).unwrap();
    app.rules.upload.max_bytes = 1 << 20;
    app.rules.catalogue.size.import_bytes = 4 << 20;
    furnished(house).await
}

/// A body of ten gigabytes that says so is refused before a byte of it is read.
#[tokio::test]
async fn ten_gigabytes_that_say_so_are_not_read() {
    let (doors, collect) = narrow().await;
    for (who, path, _) in uploads(&collect) {
        let mut visitor = doors.person(who).await;
        let head = visitor.begun(&[], "a.pdf").await;
        let (endless, taken) = body(head, None);
        let page = sent(&mut visitor, &path, Some(TEN_GIGABYTES), endless).await;
        page.refused(413, "超过上限", "larger than the limit");
        assert_eq!(taken.load(Ordering::SeqCst), 0, "{path}");
    }
    nothing_left(&doors).await;
}

/// A body that does not say how long it is, and has no end, is cut off at the limit; so is a form whose fields have no end.
#[tokio::test]
async fn a_body_without_an_end_is_cut_off() {
    let (doors, collect) = narrow().await;
    for (who, path, most) in uploads(&collect) {
        let mut visitor = doors.person(who).await;
        let mut head = visitor.begun(&[], "a.pdf").await;
        head.extend_from_slice(b"%PDF-1.7 ");
        let (endless, taken) = body(head, None);
        let page = sent(&mut visitor, &path, None, endless).await;
        assert_eq!(page.status, 413, "{path}: {}", page.text());
        let taken = taken.load(Ordering::SeqCst);
        assert!(taken > 0 && taken < most, "{path}: {taken} of {most}");
    }
    let mut provider = doors.person("provider").await;
    let token = provider.token().await;
    let field = format!(
        "--XX\r\nContent-Disposition: form-data; name=\"csrf\"\r\n\r\n{token}\r\n\
         --XX\r\nContent-Disposition: form-data; name=\"mode\"\r\n\r\n"
    );
    let (endless, taken) = body(field.into_bytes(), None);
    let page = sent(&mut provider, &collect, None, endless).await;
    assert_eq!(page.status, 413, "{}", page.text());
    assert!(taken.load(Ordering::SeqCst) < 32 << 20);
    // An ordinary form.
    let (endless, taken) = body(format!("csrf={token}&name=").into_bytes(), None);
    let request = Request::post("/console/applications")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    let page = provider.send(request, endless).await;
    assert_eq!(page.status, 413, "{}", page.text());
    assert!(taken.load(Ordering::SeqCst) < 32 << 20);
    nothing_left(&doors).await;
}

/// Bodies without an end at the machines' door: cut off, and no word of a defect.
#[tokio::test]
async fn programs_bodies_are_cut_off() {
    let (doors, _) = narrow().await;
    for (path, kind, head) in [
        ("/api/3/action/package_search", "application/json", "{\"q\": \""),
        ("/api/3/action/package_search", "application/x-www-form-urlencoded", "q="),
        ("/oai", "application/x-www-form-urlencoded", "verb="),
        ("/mcp", "application/json", "{\"jsonrpc\": \""),
        ("/oauth2/token", "application/x-www-form-urlencoded", "grant_type="),
        ("/api/interface/x", "application/json", "{\"a\": \""),
    ] {
        let (endless, taken) = body(head.as_bytes().to_vec(), None);
        let request = Request::post(path)
            .header("content-type", kind)
            .header("host", "gate.test")
            .header("accept", "application/json, text/event-stream")
            .body(endless)
            .unwrap();
        let answer = doors.program(request).await;
        let told = format!("{path}: {} {}", answer.status, answer.text());
        // OAI-PMH tells its errors in a document.
        let refused = (400..500).contains(&answer.status) || told.contains("badVerb");
        assert!(refused, "{told}");
        assert!(taken.load(Ordering::SeqCst) < 16 << 20, "{told}");
    }
}

/// Somebody hangs up in the middle: by an error of the line, and by going away.
#[tokio::test]
async fn who_hangs_up_leaves_nothing_behind() {
    let (doors, collect) = narrow().await;
    for (who, path, _) in uploads(&collect) {
        let mut visitor = doors.person(who).await;
        let mut head = visitor.begun(&[], "a.pdf").await;
        head.extend_from_slice(b"%PDF-1.7 ");
        let (broken, _) = body(head.clone(), Some(300_000));
        let page = sent(&mut visitor, &path, None, broken).await;
        page.refused(400, "上传中断", "broke off");
        // The connection is gone: nobody waits for the answer any more.
        let silent =
            stream::iter([Ok::<_, std::io::Error>(Bytes::from(head))]).chain(stream::pending());
        let waiting = sent(&mut visitor, &path, None, Body::from_stream(silent));
        let gone = tokio::time::timeout(Duration::from_millis(300), waiting).await;
        assert!(gone.is_err(), "{path} answered before the file had come");
    }
    nothing_left(&doors).await;
}
