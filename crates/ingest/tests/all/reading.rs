//! Readings: values as they should be, rejects with place and reason, matching, replay, streaming.

use model::Code;
use policy::port::{CellRow, Intake, ReadOptions, Source};

use crate::making;
use crate::support::{collect, file, items};

#[tokio::test]
async fn values_arrive_as_meant() {
    let text = "编号,姓名,生日,时间,金额,比例,有效,备注\n\
                1,张三,2024年1月2日,2024-01-02T03:04:05Z,\"1,234.5\",12.5%,是,\"第一行\n第二行\"\n\
                2,李四,20240103,2024/1/3 4:05,-8,3%,否,\n\
                3,NA,NA,,NULL,,Y,NA\n";
    let mut items = items(
        "id:integer! name:text birthday:date at:datetime amount:decimal(10,2) rate:decimal(5,4) ok:boolean note:text",
    );
    for (item, name) in
        items.iter_mut().zip(["编号", "姓名", "生日", "时间", "金额", "比例", "有效", "备注"])
    {
        item.name_cn = name.to_owned();
    }
    let got = file("a.csv", text.as_bytes()).read(&items).await.unwrap();
    assert_eq!(
        got.texts(),
        [
            vec![
                "1",
                "张三",
                "2024-01-02",
                "2024-01-02T11:04:05",
                "1234.50",
                "0.1250",
                "true",
                "第一行\n第二行"
            ],
            vec!["2", "李四", "2024-01-03", "2024-01-03T04:05:00", "-8.00", "0.0300", "false", "∅"],
            vec!["3", "NA", "∅", "∅", "∅", "∅", "true", "NA"],
        ]
    );
    assert_eq!((got.read, got.records.clone(), got.rejects.len()), (3, vec![1, 2, 3], 0));
    assert_eq!(got.columns.first(), Some(&("编号".to_owned(), Some("id".to_owned()))));
}

#[tokio::test]
async fn misfits_are_kept_with_place_and_reason_and_can_be_replayed() {
    let text = "extra,amount,id,sex\nx,1.5,1,男\ny,abc,2,未知\nz,1.234,x,女\nw,2,4\nv,3.25,5,女\n";
    let mut items = items("id:integer! amount:decimal(6,2) sex:text");
    items[2].value_domain = "男|女".to_owned();
    let got = file("a.csv", text.as_bytes()).read(&items).await.unwrap();
    assert_eq!((got.read, got.rows.len(), got.rejects.len()), (5, 2, 3));
    assert_eq!(got.records, [1, 5]);
    assert_eq!(got.columns[0], ("extra".to_owned(), None));
    let first = &got.rejects[0];
    assert_eq!(
        (first.record, first.line, first.column.as_str(), first.value.as_str()),
        (2, 3, "amount", "abc")
    );
    assert!(
        first.zh.contains("不是数字")
            && first.zh.contains("sex")
            && first.en.contains("also wrong"),
        "{first:?}"
    );
    assert_eq!(
        first.cells,
        [Some("2".to_owned()), Some("abc".to_owned()), Some("未知".to_owned())]
    );
    let ragged = &got.rejects[2];
    assert_eq!((ragged.line, ragged.column.as_str()), (5, ""));
    assert!(ragged.zh.contains("3 个单元格") && ragged.zh.contains("4 列"));
    // Mended by hand and sent again.
    let row = |record, cells| CellRow { record, cells, operation: None };
    let mut rows: Vec<CellRow> =
        got.rejects.iter().map(|r| row(r.record, r.cells.clone())).collect();
    rows[0].cells = vec![Some("2".into()), Some("7.10".into()), Some("男".into())];
    rows[1].cells = vec![Some("3".into()), Some("1.23".into()), Some("女".into())];
    let source = Source::Cells { name: "mended".into(), rows };
    let again = collect(&source, &items, &ReadOptions::default()).await.unwrap();
    assert_eq!(again.texts(), [["2", "7.10", "男"], ["3", "1.23", "女"], ["4", "2.00", "∅"]]);
    assert_eq!(again.records, [2, 3, 4]);
    let source = Source::Cells {
        name: "mended".into(),
        rows: vec![
            row(1, vec![Some("1".into())]),
            row(2, vec![Some("1".into()), None, None, Some("more".into())]),
        ],
    };
    let again = collect(&source, &items, &ReadOptions::default()).await.unwrap();
    assert_eq!((again.read, again.rejects.len()), (2, 2));
}

#[tokio::test]
async fn columns_are_matched_or_the_reading_fails_first() {
    let wanted = items("id:integer! name:text");
    let by_name = file("a.csv", b"NAME,ID\na,1\n").read(&wanted).await.unwrap();
    assert_eq!(by_name.texts(), [["1", "a"]]);
    let by_place = file("a.csv", b"1,a\n2,b\n").read(&wanted).await.unwrap();
    assert_eq!(by_place.texts(), [["1", "a"], ["2", "b"]]);
    let error = file("a.csv", b"name,city\na,x\n").read(&wanted).await.unwrap_err();
    assert_eq!(error.code(), Code::InvalidFile);
    assert!(error.zh().contains("id") && error.fields().len() == 1, "{error}");
    let error = file("a.csv", b"1,a,x\n2,b,y\n").read(&wanted).await.unwrap_err();
    assert!(error.zh().contains("没有表头"), "{error}");
    let error = file("a.csv", b"a,b\n1,a\n").read(&[]).await.unwrap_err();
    assert!(error.zh().contains("数据项"), "{error}");
    // The row that names the items is the header, whatever stands above it.
    let text = "报表,第一页\n部门,数据局\n名称,编号\n甲,1\n";
    let mut named = wanted.clone();
    named[0].name_cn = "编号".to_owned();
    named[1].name_cn = "名称".to_owned();
    assert_eq!(file("a.csv", text.as_bytes()).read(&named).await.unwrap().texts(), [["1", "甲"]]);
    // Words only and no header: by position.
    let words = items("a:text b:text");
    assert_eq!(
        file("a.csv", "张三,杭州\n李四,宁波\n".as_bytes()).read(&words).await.unwrap().rows.len(),
        2
    );
}

#[tokio::test]
async fn changes_carry_their_operation() {
    let text = "id,name,op\n1,a,I\n2,b,修改\n3,,D\n4,d,X\n5,,U\n";
    let mut wanted = items("id:integer! name:text!");
    wanted[0].primary = true;
    let options = ReadOptions { operation_column: Some("op".into()), ..ReadOptions::default() };
    let got = collect(&file("a.csv", text.as_bytes()).source(), &wanted, &options).await.unwrap();
    assert_eq!(got.operations, ["I", "U", "D"]);
    assert_eq!(got.rejects.iter().map(|r| r.record).collect::<Vec<_>>(), [4, 5]);
    // What was refused remembers its operation, as it was written.
    let said: Vec<_> = got.rejects.iter().map(|r| r.operation.as_deref()).collect();
    assert_eq!(said, [Some("X"), Some("U")]);
    // A row in hand has its operation beside its cells, refused or not.
    let row = |record, cells: &[&str], operation: Option<&str>| CellRow {
        record,
        cells: cells.iter().map(|c| Some((*c).to_owned())).collect(),
        operation: operation.map(str::to_owned),
    };
    let rows = vec![
        row(1, &["1", ""], Some("删除")),
        row(2, &["x", "b"], Some("D")),
        row(3, &["3", "c"], None),
        row(4, &["4"], Some("D")),
        row(5, &["5", "e"], Some("?")),
    ];
    let source = Source::Cells { name: "mended".into(), rows };
    let got = collect(&source, &wanted, &ReadOptions::default()).await.unwrap();
    assert_eq!((got.operations.as_slice(), got.records.as_slice()), (&["D", "I"][..], &[1, 3][..]));
    let said: Vec<_> = got.rejects.iter().map(|r| r.operation.as_deref()).collect();
    assert_eq!(said, [Some("D"), Some("D"), Some("?")]);
}

#[tokio::test]
async fn options_overrule_guessing() {
    let wanted = items("a:text b:text");
    let source = file("x.txt", b"1;x,y\n2;z,w\n");
    let options =
        ReadOptions { delimiter: Some(';'), header_rows: Some(0), ..ReadOptions::default() };
    let got = collect(&source.source(), &wanted, &options).await.unwrap();
    assert_eq!(got.texts(), [["1", "x,y"], ["2", "z,w"]]);
    let options = ReadOptions { encoding: Some("no-such".into()), ..ReadOptions::default() };
    assert!(collect(&source.source(), &wanted, &options).await.is_err());
    let options = ReadOptions { format: Some("parquet".into()), ..ReadOptions::default() };
    assert!(
        collect(&source.source(), &wanted, &options).await.unwrap_err().zh().contains("parquet")
    );
    let book = making::xlsx(|book| {
        making::fill(book.add_worksheet().set_name("一月").unwrap(), &[&["a", "b"], &["1", "x"]]);
        making::fill(
            book.add_worksheet().set_name("二月").unwrap(),
            &[&["a", "b"], &["2", "y"], &["3", "z"]],
        );
    });
    let book = file("a.xlsx", &book);
    let options = ReadOptions { sheet: Some("二月".into()), ..ReadOptions::default() };
    assert_eq!(
        collect(&book.source(), &wanted, &options).await.unwrap().texts(),
        [["2", "y"], ["3", "z"]]
    );
    let options = ReadOptions { sheet: Some("三月".into()), ..ReadOptions::default() };
    assert!(
        collect(&book.source(), &wanted, &options).await.unwrap_err().zh().contains("一月、二月")
    );
    let options = ReadOptions { batch_rows: 1, ..ReadOptions::default() };
    assert_eq!(
        collect(
            &source.source(),
            &items("x:text"),
            &ReadOptions { delimiter: Some('~'), header_rows: Some(0), ..options }
        )
        .await
        .unwrap()
        .chunks,
        2
    );
}

#[tokio::test]
async fn parquet_and_json_values() {
    let wanted = items(
        "id:integer! name:text amount:decimal(10,2) day:date at:datetime ok:boolean rate:float",
    );
    let got = file("a.parquet", &making::parquet(3)).read(&wanted).await.unwrap();
    assert_eq!(
        got.texts(),
        [
            vec!["0", "名称0", "0.25", "2024-01-02", "2024-01-02T11:04:05", "true", "0"],
            vec!["1", "名称1", "1.25", "2024-01-03", "2024-01-02T11:04:05.001", "false", "0.25"],
            vec!["2", "∅", "∅", "∅", "∅", "∅", "∅"],
        ]
    );
    let text = r#"{"data":[{"id":1,"name":"a","tags":{"x": [1, 2]}},{"name":"NULL","id":2,"late":5},{"id":"三"},7,{"id":4,"tags":"x"}]}"#;
    let got = file("a.json", text.as_bytes())
        .read(&items("id:integer! name:text tags:json late:integer"))
        .await
        .unwrap();
    assert_eq!(got.texts(), [vec!["1", "a", "{\"x\":[1,2]}", "∅"], vec!["2", "NULL", "∅", "5"]]);
    assert_eq!(
        got.rejects.iter().map(|r| (r.record, r.column.as_str())).collect::<Vec<_>>(),
        [(3, "id"), (4, ""), (5, "tags")]
    );
}

#[tokio::test]
async fn check_digits_and_lossy_numbers_are_caught() {
    let book = making::xlsx(|book| {
        let sheet = book.add_worksheet();
        making::fill(sheet, &[&["姓名", "身份证号"]]);
        sheet.write_string(1, 0, "甲").unwrap();
        sheet.write_string(1, 1, "11010519491231002X").unwrap();
        sheet.write_string(2, 0, "乙").unwrap();
        sheet.write_number(2, 1, 110_105_194_912_310_021.0).unwrap();
        sheet.write_string(3, 0, "丙").unwrap();
        sheet.write_string(3, 1, "110105194912310021").unwrap();
    });
    let mut wanted = items("xm:text sfzh:text");
    wanted[0].name_cn = "姓名".into();
    wanted[1].name_cn = "身份证号".into();
    wanted[1].format = "citizen_id".into();
    let got = file("a.xlsx", &book).read(&wanted).await.unwrap();
    assert_eq!(got.rows.len(), 1, "{:?}", got.rejects);
    assert!(
        got.rejects[0].zh.contains("15 位") && got.rejects[1].zh.contains("校验位"),
        "{:?}",
        got.rejects
    );
    assert_eq!(got.rejects.iter().map(|r| r.line).collect::<Vec<_>>(), [3, 4]);
}

#[tokio::test]
async fn large_files_stream_in_chunks() {
    use std::fmt::Write;
    let rows = 120_000;
    let mut csv = "id,name,v\n".to_owned();
    let mut lines = String::new();
    let mut array = "{\"rows\":[".to_owned();
    for n in 0..rows {
        writeln!(csv, "{n},\"名称 {n}, x\",{}.5", n % 1000).unwrap();
        writeln!(lines, "{{\"id\":{n},\"name\":\"名称 {n}\",\"v\":{}.5}}", n % 1000).unwrap();
        write!(
            array,
            "{}{{\"id\":{n},\"name\":\"名称 {n}\",\"v\":{}.5}}",
            if n > 0 { "," } else { "" },
            n % 1000
        )
        .unwrap();
    }
    array.push_str("],\"total\":120000}");
    let wanted = items("id:integer! name:text v:decimal(6,1)");
    for (name, bytes) in [
        ("a.csv", csv.clone().into_bytes()),
        ("a.csv.zst", making::zstd(csv.as_bytes())),
        ("a.jsonl", lines.into_bytes()),
        ("a.json.gz", making::gzip(array.as_bytes())),
        ("a.csv", encoding_rs::GB18030.encode(&csv).0.into_owned()),
        ("a.csv", csv.encode_utf16().flat_map(u16::to_le_bytes).collect()),
    ] {
        let got = file(name, &bytes).read(&wanted).await.unwrap();
        assert_eq!(
            (got.read, got.rows.len(), got.rejects.first()),
            (rows, 120_000, None),
            "{name}"
        );
        assert!(got.chunks >= 4);
        assert_eq!(got.rows[119_999][0], model::value::Value::Integer(119_999));
        assert!(got.texts()[98_765][1].starts_with("名称 98765"));
        let sniffed = file(name, &bytes).sniff().await.unwrap();
        assert_eq!(sniffed.records, Some(rows));
    }
}

#[tokio::test]
async fn a_listener_that_goes_away_stops_the_reading() {
    let text = "id\n".to_owned() + &"1\n".repeat(3_000_000);
    let file = file("a.csv", text.as_bytes());
    let reading = ingest::Reader::new()
        .read(&file.source(), &items("id:integer"), &ReadOptions::default())
        .await
        .unwrap();
    drop(reading);
}

#[tokio::test]
async fn missing_files_are_told() {
    let reader = ingest::Reader::new();
    let error =
        reader.sniff(std::path::Path::new("/no/such/file.csv"), "file.csv").await.unwrap_err();
    assert!(error.zh().contains("不存在") && !error.zh().contains("/no/such"), "{error}");
    let error = reader.sniff(std::path::Path::new("/"), "x").await.unwrap_err();
    assert!(error.zh().contains("文件夹"), "{error}");
}
