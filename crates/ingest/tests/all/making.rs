//! Files made by code: compressed texts, workbooks of several formats, Parquet.

use std::io::{Cursor, Write};

use rust_xlsxwriter::Workbook;

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

pub(crate) fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(Cursor::new(bytes), 1).unwrap()
}

pub(crate) fn zip(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in members {
        out.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        out.write_all(bytes).unwrap();
    }
    out.finish().unwrap().into_inner()
}

/// A zip whose flags say that its member is encrypted.
pub(crate) fn locked_zip(name: &str, bytes: &[u8]) -> Vec<u8> {
    let mut out = zip(&[(name, bytes)]);
    let mark = |out: &mut Vec<u8>, magic: &[u8], at: usize| {
        let found = memchr::memmem::find(out, magic).unwrap();
        out[found + at] |= 1;
    };
    mark(&mut out, b"PK\x03\x04", 6);
    mark(&mut out, b"PK\x01\x02", 8);
    out
}

/// A workbook by hand.
pub(crate) fn xlsx(make: impl FnOnce(&mut Workbook)) -> Vec<u8> {
    let mut book = Workbook::new();
    make(&mut book);
    book.save_to_buffer().unwrap()
}

/// A workbook of one sheet of texts and numbers; numbers are cells that parse as such.
pub(crate) fn sheet(rows: &[&[&str]]) -> Vec<u8> {
    xlsx(|book| {
        let sheet = book.add_worksheet();
        fill(sheet, rows);
    })
}

pub(crate) fn fill(sheet: &mut rust_xlsxwriter::Worksheet, rows: &[&[&str]]) {
    for (r, row) in rows.iter().enumerate() {
        for (c, cell) in row.iter().enumerate() {
            let (r, c) = (u32::try_from(r).unwrap(), u16::try_from(c).unwrap());
            match cell.parse::<f64>() {
                Ok(n) => sheet.write_number(r, c, n).unwrap(),
                Err(_) if cell.is_empty() => continue,
                Err(_) => sheet.write_string(r, c, *cell).unwrap(),
            };
        }
    }
}

/// The same workbook with one more file inside.
pub(crate) fn with_member(book: &[u8], name: &str, bytes: &[u8]) -> Vec<u8> {
    let mut archive = zip::ZipArchive::new(Cursor::new(book)).unwrap();
    let mut out = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for index in 0..archive.len() {
        let file = archive.by_index(index).unwrap();
        out.raw_copy_file(file).unwrap();
    }
    out.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
    out.write_all(bytes).unwrap();
    out.finish().unwrap().into_inner()
}

/// A minimal ODS with one sheet.
pub(crate) fn ods(rows: &[&[&str]]) -> Vec<u8> {
    let mut body = String::new();
    for row in rows {
        body.push_str("<table:table-row>");
        for cell in *row {
            match cell.parse::<f64>() {
                Ok(n) => body.push_str(&format!(
                    "<table:table-cell office:value-type=\"float\" office:value=\"{n}\"><text:p>{n}</text:p></table:table-cell>"
                )),
                Err(_) if cell.is_empty() => body.push_str("<table:table-cell/>"),
                Err(_) => body.push_str(&format!(
                    "<table:table-cell office:value-type=\"string\"><text:p>{cell}</text:p></table:table-cell>"
                )),
            }
        }
        body.push_str("</table:table-row>");
    }
    let content = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><office:document-content \
         xmlns:office=\"urn:oasis:names:tc:opendocument:xmlns:office:1.0\" \
         xmlns:table=\"urn:oasis:names:tc:opendocument:xmlns:table:1.0\" \
         xmlns:text=\"urn:oasis:names:tc:opendocument:xmlns:text:1.0\" office:version=\"1.2\"><office:body>\
         <office:spreadsheet><table:table table:name=\"表一\">{body}</table:table></office:spreadsheet></office:body></office:document-content>"
    );
    let manifest = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><manifest:manifest xmlns:manifest=\"urn:oasis:names:tc:opendocument:xmlns:manifest:1.0\"><manifest:file-entry manifest:full-path=\"/\" manifest:media-type=\"application/vnd.oasis.opendocument.spreadsheet\"/></manifest:manifest>";
    let mut out = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let stored =
        zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, bytes) in [
        ("mimetype", "application/vnd.oasis.opendocument.spreadsheet"),
        ("content.xml", &content),
        ("META-INF/manifest.xml", manifest),
    ] {
        out.start_file(name, stored).unwrap();
        out.write_all(bytes.as_bytes()).unwrap();
    }
    out.finish().unwrap().into_inner()
}

/// An OLE compound file with one stream of at least 4,096 bytes.
pub(crate) fn compound(stream: &str, bytes: &[u8]) -> Vec<u8> {
    const FREE: u32 = 0xffff_ffff;
    const END: u32 = 0xffff_fffe;
    let mut data = bytes.to_vec();
    data.resize(data.len().max(4096).next_multiple_of(512), 0);
    let sectors = u32::try_from(data.len() / 512).unwrap();
    let mut out = vec![0_u8; 512];
    let put = |out: &mut Vec<u8>, at: usize, value: &[u8]| {
        out[at..at + value.len()].copy_from_slice(value)
    };
    put(&mut out, 0, &[0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1]);
    put(&mut out, 24, &[0x3e, 0, 3, 0, 0xfe, 0xff, 9, 0, 6, 0]);
    put(&mut out, 44, &1_u32.to_le_bytes()); // one FAT sector
    put(&mut out, 48, &1_u32.to_le_bytes()); // the directory is sector 1
    put(&mut out, 56, &4096_u32.to_le_bytes());
    put(&mut out, 60, &END.to_le_bytes());
    put(&mut out, 68, &END.to_le_bytes());
    for at in 0..109 {
        put(&mut out, 76 + at * 4, &(if at == 0 { 0 } else { FREE }).to_le_bytes());
    }
    // FAT: sector 0 is itself, 1 the directory, the stream from 2 on.
    let mut fat = vec![0xffff_fffd_u32, END];
    for n in 0..sectors {
        fat.push(if n + 1 == sectors { END } else { n + 3 });
    }
    assert!(fat.len() <= 128);
    fat.resize(128, FREE);
    out.extend(fat.iter().flat_map(|n| n.to_le_bytes()));
    let entry = |name: &str, kind: u8, child: u32, start: u32, size: u32| {
        let mut e = vec![0_u8; 128];
        let wide: Vec<u8> = name.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect();
        e[..wide.len()].copy_from_slice(&wide);
        e[64..66].copy_from_slice(&u16::try_from(wide.len()).unwrap().to_le_bytes());
        e[66] = kind;
        e[67] = 1;
        e[68..72].copy_from_slice(&FREE.to_le_bytes());
        e[72..76].copy_from_slice(&FREE.to_le_bytes());
        e[76..80].copy_from_slice(&child.to_le_bytes());
        e[116..120].copy_from_slice(&start.to_le_bytes());
        e[120..124].copy_from_slice(&size.to_le_bytes());
        e
    };
    out.extend(entry("Root Entry", 5, 1, END, 0));
    out.extend(entry(stream, 2, FREE, 2, u32::try_from(data.len()).unwrap()));
    out.extend(vec![0_u8; 256]);
    out.extend(data);
    out
}

/// A BIFF8 workbook of one sheet, with texts (UTF-16) and numbers; `locked` adds the record of a password.
pub(crate) fn xls(rows: &[&[&str]], locked: bool) -> Vec<u8> {
    fn record(out: &mut Vec<u8>, kind: u16, body: &[u8]) {
        out.extend(kind.to_le_bytes());
        out.extend(u16::try_from(body.len()).unwrap().to_le_bytes());
        out.extend(body);
    }
    let bof = |kind: u16| {
        [0x0600_u16, kind, 0x0dbb, 0x07cc]
            .iter()
            .flat_map(|n| n.to_le_bytes())
            .chain([0; 8])
            .collect::<Vec<u8>>()
    };
    let name: Vec<u8> = "表一".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let mut globals = Vec::new();
    record(&mut globals, 0x0809, &bof(5));
    if locked {
        record(&mut globals, 0x002f, &[1, 0, 1, 0, 1, 0]);
    }
    record(&mut globals, 0x0042, &1200_u16.to_le_bytes());
    let place = globals.len() + 4;
    let mut bound = vec![0, 0, 0, 0, 0, 0, 2, 1];
    bound.extend(&name);
    record(&mut globals, 0x0085, &bound);
    record(&mut globals, 0x000a, &[]);
    let start = u32::try_from(globals.len()).unwrap();
    globals[place..place + 4].copy_from_slice(&start.to_le_bytes());
    let mut out = globals;
    record(&mut out, 0x0809, &bof(0x10));
    let (height, width) =
        (u32::try_from(rows.len()).unwrap(), u16::try_from(rows[0].len()).unwrap());
    let mut dimensions = Vec::new();
    dimensions.extend(0_u32.to_le_bytes());
    dimensions.extend(height.to_le_bytes());
    dimensions.extend(0_u16.to_le_bytes());
    dimensions.extend(width.to_le_bytes());
    dimensions.extend([0, 0]);
    record(&mut out, 0x0200, &dimensions);
    for (r, row) in rows.iter().enumerate() {
        for (c, cell) in row.iter().enumerate() {
            let mut body: Vec<u8> = [u16::try_from(r).unwrap(), u16::try_from(c).unwrap(), 0]
                .iter()
                .flat_map(|n| n.to_le_bytes())
                .collect();
            match cell.parse::<f64>() {
                Ok(n) => {
                    body.extend(n.to_le_bytes());
                    record(&mut out, 0x0203, &body);
                }
                Err(_) if cell.is_empty() => {}
                Err(_) => {
                    let units: Vec<u16> = cell.encode_utf16().collect();
                    body.extend(u16::try_from(units.len()).unwrap().to_le_bytes());
                    body.push(1);
                    body.extend(units.iter().flat_map(|u| u.to_le_bytes()));
                    record(&mut out, 0x0204, &body);
                }
            }
        }
    }
    record(&mut out, 0x000a, &[]);
    compound("Workbook", &out)
}

/// A Parquet file: id INT64, name UTF8, amount DECIMAL(10,2), day DATE, at TIMESTAMP(ms, UTC), ok BOOLEAN, rate DOUBLE.
pub(crate) fn parquet(rows: usize) -> Vec<u8> {
    use parquet::data_type::{
        BoolType, ByteArray, ByteArrayType, DoubleType, Int32Type, Int64Type,
    };
    use parquet::file::writer::SerializedFileWriter;
    let schema = "message t { required int64 id; optional binary name (UTF8); optional int64 amount (DECIMAL(10,2)); \
                  optional int32 day (DATE); optional int64 at (TIMESTAMP(MILLIS,true)); optional boolean ok; optional double rate; }";
    let schema = std::sync::Arc::new(parquet::schema::parser::parse_message_type(schema).unwrap());
    let mut out = Vec::new();
    let mut writer =
        SerializedFileWriter::new(&mut out, schema, std::sync::Arc::default()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let count = i64::try_from(rows).unwrap();
    let there: Vec<i16> = (0..rows).map(|n| i16::from(n % 3 != 2)).collect();
    let kept: Vec<i64> = (0..count).filter(|n| n % 3 != 2).collect();
    macro_rules! column {
        ($kind:ty, $values:expr, $levels:expr) => {{
            let mut column = group.next_column().unwrap().unwrap();
            column.typed::<$kind>().write_batch(&$values, $levels, None).unwrap();
            column.close().unwrap();
        }};
    }
    column!(Int64Type, (0..count).collect::<Vec<_>>(), None);
    column!(
        ByteArrayType,
        kept.iter().map(|n| ByteArray::from(format!("名称{n}").as_str())).collect::<Vec<_>>(),
        Some(&there)
    );
    column!(Int64Type, kept.iter().map(|n| n * 100 + 25).collect::<Vec<_>>(), Some(&there));
    column!(
        Int32Type,
        kept.iter().map(|n| 19_724 + i32::try_from(*n).unwrap()).collect::<Vec<_>>(),
        Some(&there)
    );
    column!(
        Int64Type,
        kept.iter().map(|n| 1_704_164_645_000 + n).collect::<Vec<_>>(),
        Some(&there)
    );
    column!(BoolType, kept.iter().map(|n| n % 2 == 0).collect::<Vec<_>>(), Some(&there));
    let rates: Vec<f64> = kept.iter().map(|n| *n as f64 / 4.0).collect();
    column!(DoubleType, rates, Some(&there));
    group.close().unwrap();
    writer.close().unwrap();
    out
}
