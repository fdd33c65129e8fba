//! Round trip of catalogue files, and faults by row.

use std::collections::{BTreeMap, HashMap};

use model::code::{
    AppScene, DataKind, DataLevel, DataType, Grade, OpenType, ProcessingLevel, ShareType,
    SharedMode, SystemLevel,
};
use model::entry::{EntryDraft, Link, Profile};
use model::item::Item;
use model::mask::Mask;
use proptest::prelude::*;

use super::super::tests::sample;
use super::super::{SheetFormat, tidy};
use super::parse::{Parsed, parse};
use super::{cells, header, table};

fn alias() -> BTreeMap<String, BTreeMap<String, String>> {
    crate::rules::Rules::shipped().unwrap().catalogue.alias
}

fn most() -> table::Most {
    table::Most { bytes: 1 << 20, unpacked: 1 << 24, rows: 100_000, cells: 1_000_000 }
}

fn write(format: SheetFormat, drafts: &[EntryDraft]) -> Vec<u8> {
    let mut rows = vec![header()];
    for d in drafts {
        rows.extend(cells(d, "某单位"));
    }
    table::write(format, &rows).unwrap()
}

fn read(bytes: &[u8], now: &HashMap<String, EntryDraft>) -> Parsed {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    parse(&table::read(file.path(), "目录", &most()).unwrap(), now, &alias())
}

fn drafts(parsed: Parsed) -> Vec<EntryDraft> {
    assert_eq!(parsed.faults, []);
    parsed.drafts.into_iter().map(|p| p.draft).collect()
}

fn text() -> impl Strategy<Value = String> {
    proptest::string::string_regex("[ -~\u{4e00}-\u{4e20}，。\"\n]{0,24}").unwrap()
}

fn draft() -> impl Strategy<Value = EntryDraft> {
    let item = (text(), text(), 0..4_usize, any::<bool>(), 0..9_usize, 0_u32..2000).prop_map(
        |(name, definition, grade, primary, kind, length)| {
            let mut item = Item::new("x", &format!("名{name}"), DataType::ALL[kind]);
            item.definition = definition;
            item.grade = Grade::ALL[grade];
            item.primary = primary;
            item.length = length;
            item.open_type = OpenType::ALL[grade % 3];
            item.share_type = ShareType::ALL[kind % 3];
            item.mask = (kind > 4).then_some(Mask::Keep { head: length, tail: 1 });
            item.standard_code = format!("SJY{length}");
            item.source_system_level = (kind > 3).then_some(SystemLevel::ALL[kind % 5]);
            (item.timestamp, item.classified, item.sensitive) = (kind == 1, primary, kind == 2);
            item
        },
    );
    (text(), text(), proptest::collection::vec(item, 1..6), 0..27_usize).prop_map(
        |(title, basis, items, domain)| {
            let mut d = sample();
            d.title = format!("名{title}");
            d.share_basis = basis;
            d.domain = model::code::Domain::ALL[domain];
            d.raised_grade = (domain % 2 == 0).then_some(Grade::L3);
            d.tags = vec!["民生".into(), "地理".into()];
            let some = domain % 3 == 0;
            d.profile = Profile {
                theme: format!("题{domain}"),
                data_level: some.then_some(DataLevel::ALL[domain % 4]),
                data_kinds: DataKind::ALL.iter().copied().skip(domain % 7).collect(),
                processing_level: some.then_some(ProcessingLevel::ALL[domain % 6]),
                shared_mode: some.then_some(SharedMode::ALL[domain % 3]),
                electronic_proof: some,
                operation_authorized: !some,
                sync_frequency: "每日 02:00".into(),
                links: (0..domain % 3)
                    .map(|n| Link {
                        url: format!("https://a.example/{n}.csv"),
                        format: "CSV".into(),
                        title: format!("第{n}份"),
                    })
                    .collect(),
                app_scene: some.then_some(AppScene::ALL[domain % 4]),
                ..Profile::default()
            };
            d.items = items;
            for (n, item) in d.items.iter_mut().enumerate() {
                item.identifier = format!("c{n}");
            }
            tidy(d)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn what_is_exported_is_read_back_the_same(mut a in draft(), mut b in draft()) {
        a.code = "entry_a".into();
        b.code = "entry_b".into();
        for format in [SheetFormat::Csv, SheetFormat::Xlsx] {
            let bytes = write(format, &[a.clone(), b.clone()]);
            // Into an empty ledger, and over what is there already.
            let now: HashMap<_, _> = [("entry_a".to_owned(), a.clone())].into();
            for now in [HashMap::new(), now] {
                let got: Vec<EntryDraft> = drafts(read(&bytes, &now)).into_iter().map(tidy).collect();
                prop_assert_eq!(&got, &[a.clone(), b.clone()]);
            }
        }
    }
}

#[test]
fn gb18030_english_headers_and_merged_cells_are_read() {
    let csv = "目录编码,title,摘要,org,行政区划,共享属性,开放属性,identifier,中文名称,data_type,grade\n\
               renkou,人口,常住人口,o1,330000,有条件共享,不予开放,xm,姓名,字符型,L3\n\
               ,,,,,,,csrq,出生日期,date,L2 低敏感\n";
    let (bytes, _, _) = encoding_rs::GB18030.encode(csv);
    let got = drafts(read(&bytes, &HashMap::new()));
    assert_eq!(got.len(), 1);
    let d = &got[0];
    assert_eq!((d.code.as_str(), d.title.as_str()), ("renkou", "人口"));
    assert_eq!((d.share_type, d.open_type), (ShareType::Restricted, OpenType::None));
    assert_eq!(d.items.len(), 2);
    assert_eq!(d.items[1].data_type, DataType::Date);
    // What a row does not say is as the entry says.
    assert_eq!(
        (d.items[1].share_type, d.items[1].open_type),
        (ShareType::Restricted, OpenType::None)
    );
}

#[test]
fn columns_that_are_missing_keep_what_is_there() {
    let mut now = sample();
    now.code = "abc".into();
    now.licence = "CC BY 4.0".into();
    let ledger: HashMap<_, _> = [("abc".to_owned(), now.clone())].into();
    let csv = "目录编码,目录名称,标识符\nabc,新名,id\nabc,新名,xm\nabc,新名,area\n";
    let got = drafts(read(csv.as_bytes(), &ledger));
    assert_eq!(got, [EntryDraft { title: "新名".into(), ..now }]);
}

#[test]
fn every_fault_names_its_row_and_column() {
    let csv = "目录编码,目录名称,摘要,数源单位,行政区划,共享属性,开放属性,标识符,中文名称,数据类型,敏感级别\n\
               a1,甲,说明,o1,330000,随便,无条件开放,x,某项,字符型,L1\n\
               a1,乙,说明,o1,330000,,无条件开放,y,,表格,L9\n";
    let parsed = read(csv.as_bytes(), &HashMap::new());
    let fields: Vec<&str> = parsed.faults.iter().map(|f| f.field.as_str()).collect();
    assert_eq!(
        fields,
        [
            "rows[2].共享属性",
            "rows[3].目录名称",
            "rows[3].中文名称",
            "rows[3].数据类型",
            "rows[3].敏感级别"
        ]
    );
    let parsed = read("目录编码,怪列\na,b\n".as_bytes(), &HashMap::new());
    let told: Vec<&str> = parsed.faults.iter().map(|f| f.field.as_str()).collect();
    assert_eq!(told, ["headings.怪列", "headings.标识符"]);
    assert_eq!(read(b"", &HashMap::new()).faults.len(), 1);
}

/// A workbook of one stored sheet, made by hand: what no spreadsheet program would save.
fn workbook(sheet: &str) -> Vec<u8> {
    use std::io::Write as _;
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let head = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>";
    let main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main";
    let rel = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
    let package = "http://schemas.openxmlformats.org/package/2006/relationships";
    for (name, text) in [
        (
            "_rels/.rels",
            format!(
                "{head}<Relationships xmlns=\"{package}\"><Relationship Id=\"r1\" Type=\"{rel}/officeDocument\" Target=\"xl/workbook.xml\"/></Relationships>"
            ),
        ),
        (
            "xl/workbook.xml",
            format!(
                "{head}<workbook xmlns=\"{main}\" xmlns:r=\"{rel}\"><sheets><sheet name=\"a\" sheetId=\"1\" r:id=\"r1\"/></sheets></workbook>"
            ),
        ),
        (
            "xl/_rels/workbook.xml.rels",
            format!(
                "{head}<Relationships xmlns=\"{package}\"><Relationship Id=\"r1\" Type=\"{rel}/worksheet\" Target=\"worksheets/sheet1.xml\"/></Relationships>"
            ),
        ),
        (
            "xl/worksheets/sheet1.xml",
            format!("{head}<worksheet xmlns=\"{main}\"><sheetData>{sheet}</sheetData></worksheet>"),
        ),
    ] {
        zip.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn cell(place: &str, text: &str) -> String {
    format!("<c r=\"{place}\" t=\"inlineStr\"><is><t>{text}</t></is></c>")
}

#[test]
fn two_cells_at_the_ends_of_a_sheet_cost_two_cells() {
    // Read as a dense range this sheet would be 17 thousand million cells.
    let sheet = format!(
        "<row r=\"1\">{}</row><row r=\"1048576\">{}</row>",
        cell("A1", "目录编码"),
        cell("XFD1048576", "x")
    );
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), workbook(&sheet)).unwrap();
    let table = table::read(file.path(), "远角.xlsx", &most()).unwrap();
    assert_eq!(table.len(), 2);
    assert_eq!((table[0].0, table[0].1.as_slice()), (1, &["目录编码".to_owned()][..]));
    assert_eq!((table[1].0, table[1].1.len()), (1_048_576, 16_384));
}

#[test]
fn what_is_too_large_is_refused_with_the_limit() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let told = |bytes: &[u8], most: &table::Most| {
        std::fs::write(file.path(), bytes).unwrap();
        let error = table::read(file.path(), "大.xlsx", most).unwrap_err();
        assert_eq!(error.code(), model::Code::TooLarge, "{error:?}");
        error.zh().to_owned()
    };
    assert!(told(&vec![b'a'; 4096], &table::Most { bytes: 4095, ..most() }).contains("4095"));
    let long = workbook(&format!("<row r=\"1\">{}</row>", cell("A1", &"长".repeat(400_000))));
    assert!(long.len() < 1 << 20, "packed it is small");
    assert!(told(&long, &table::Most { unpacked: 1 << 20, ..most() }).contains("解压"));
    let rows: String =
        (1..200).map(|n| format!("<row r=\"{n}\">{}</row>", cell(&format!("A{n}"), "x"))).collect();
    assert!(told(&workbook(&rows), &table::Most { rows: 100, ..most() }).contains("100"));
    assert!(told(&workbook(&rows), &table::Most { cells: 100, ..most() }).contains("单元格"));
    let csv = "a\n".repeat(200);
    assert!(told(csv.as_bytes(), &table::Most { rows: 100, ..most() }).contains("100"));
}
