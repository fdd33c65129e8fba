//! The corpus: odd files with their true answers. The test prints `sniff corpus: N/M` and wants all of them; each table
//! is also collected by the items drafted from it, and its records must all be accounted for.
// tidy: long because it is one table of cases, read from top to bottom.

use encoding_rs::{BIG5, GB18030};
use model::Code;
use rust_xlsxwriter::{ExcelDateTime, Format, Workbook};

use crate::making::{
    self, gzip, locked_zip, ods, parquet, sheet, with_member, xls, xlsx, zip, zstd,
};
use crate::support::file;

/// The true answer.
enum Want {
    Table(Table),
    /// The code and a word of the Chinese message.
    Refused(Code, &'static str),
}

struct Table {
    format: &'static str,
    encoding: &'static str,
    delimiter: Option<&'static str>,
    preamble: u64,
    header_rows: u64,
    footer: u64,
    /// `name:type` separated by blanks.
    columns: &'static str,
    records: u64,
    /// Records that the drafted items refuse.
    rejected: u64,
    compression: &'static str,
    /// A word that one of the notes must hold.
    note: &'static str,
}

struct Case {
    title: &'static str,
    name: &'static str,
    bytes: Vec<u8>,
    want: Want,
}

fn csv(columns: &'static str, records: u64) -> Table {
    Table {
        format: "csv",
        encoding: "utf-8",
        delimiter: Some(","),
        preamble: 0,
        header_rows: 1,
        footer: 0,
        columns,
        records,
        rejected: 0,
        compression: "none",
        note: "",
    }
}

fn book(format: &'static str, columns: &'static str, records: u64) -> Table {
    Table { format, encoding: "", delimiter: None, ..csv(columns, records) }
}

fn json(format: &'static str, columns: &'static str, records: u64) -> Table {
    Table { format, delimiter: None, header_rows: 0, ..csv(columns, records) }
}

fn table(title: &'static str, name: &'static str, bytes: impl Into<Vec<u8>>, want: Table) -> Case {
    Case { title, name, bytes: bytes.into(), want: Want::Table(want) }
}

fn refused(
    title: &'static str,
    name: &'static str,
    bytes: impl Into<Vec<u8>>,
    code: Code,
    word: &'static str,
) -> Case {
    Case { title, name, bytes: bytes.into(), want: Want::Refused(code, word) }
}

const PEOPLE: &str =
    "编号,姓名,生日,金额\n1,张三,2024-01-02,12.50\n2,李四,2023-12-31,8.00\n3,王五,,100.25\n";
const PEOPLE_COLUMNS: &str = "编号:integer 姓名:text 生日:date 金额:decimal";

fn utf16(text: &str, be: bool, bom: bool) -> Vec<u8> {
    let text = if bom { format!("\u{feff}{text}") } else { text.to_owned() };
    text.encode_utf16().flat_map(|u| if be { u.to_be_bytes() } else { u.to_le_bytes() }).collect()
}

fn gbk(text: &str) -> Vec<u8> {
    GB18030.encode(text).0.into_owned()
}

fn swap(text: &str, sign: &str) -> String {
    text.replace(',', sign)
}

fn texts() -> Vec<Case> {
    let people = || csv(PEOPLE_COLUMNS, 3);
    let with = |sign: &'static str| Table { delimiter: Some(sign), ..csv(PEOPLE_COLUMNS, 3) };
    vec![
        table("plain", "a.csv", PEOPLE, people()),
        table("UTF-8 with a mark", "a.csv", format!("\u{feff}{PEOPLE}"), Table { encoding: "utf-8-bom", ..people() }),
        table("GB18030", "a.csv", gbk(PEOPLE), Table { encoding: "gb18030", ..people() }),
        table("rare letters of GB18030", "a.csv", gbk("编号,姓名\n1,㐀㐁镕\n2,王喆\n3,朱镕基\n"), Table { encoding: "gb18030", ..csv("编号:integer 姓名:text", 3) }),
        table("UTF-16LE with a mark", "a.csv", utf16(PEOPLE, false, true), Table { encoding: "utf-16le", ..people() }),
        table("UTF-16BE with a mark", "a.csv", utf16(PEOPLE, true, true), Table { encoding: "utf-16be", ..people() }),
        table("UTF-16LE without", "a.csv", utf16(PEOPLE, false, false), Table { encoding: "utf-16le", ..people() }),
        table("UTF-16BE without", "a.csv", utf16(PEOPLE, true, false), Table { encoding: "utf-16be", ..people() }),
        table(
            "Big5", "a.csv",
            BIG5.encode("編號,資料名稱,更新日期\n1,桃園市政府資料開放平臺,2024-01-02\n2,臺北市政府,2024-01-03\n").0.into_owned(),
            Table { encoding: "big5", note: "Big5", ..csv("編號:integer 資料名稱:text 更新日期:date", 2) },
        ),
        table(
            "two encodings", "a.csv",
            [PEOPLE.as_bytes(), &gbk("4,赵六先生,2024-02-03,1.00\n5,欧阳小明,2024-02-04,2.00\n")].concat(),
            Table { note: "两种编码", ..csv(PEOPLE_COLUMNS, 5) },
        ),
        table(
            "broken bytes", "a.csv",
            [PEOPLE.as_bytes(), "4,赵六先生在杭州".as_bytes(), b"\xe6\x9d", ",2024-02-03,1.00\n".as_bytes()].concat(),
            Table { note: "无法解码", rejected: 1, ..csv(PEOPLE_COLUMNS, 4) },
        ),
        table("tabs", "a.tsv", swap(PEOPLE, "\t"), Table { ..with("\t") }),
        table("semicolons", "a.csv", swap(PEOPLE, ";"), with(";")),
        table("bars", "a.txt", swap(PEOPLE, "|"), with("|")),
        table("carets", "a.txt", swap(PEOPLE, "^"), with("^")),
        table("tildes", "a.txt", swap(PEOPLE, "~"), with("~")),
        table("control A", "a.txt", swap(PEOPLE, "\u{1}"), with("\u{1}")),
        table("two bars", "a.txt", swap(PEOPLE, "||"), with("||")),
        table("full-width commas", "a.csv", swap(PEOPLE, "，"), with("，")),
        table("colons", "a.txt", "root:x:0:管理员\nbin:x:1:服务\nweb:y:33:网页\n", Table { header_rows: 0, delimiter: Some(":"), note: "没有表头", ..csv("column_1:text column_2:text column_3:integer column_4:text", 3) }),
        table(
            "aligned with blanks", "a.txt", "station   date         value\nA01       2024-01-02    12.5\nA02       2024-01-03     3.0\n",
            Table { delimiter: Some(" "), note: "空格对齐", ..csv("station:text date:date value:decimal", 2) },
        ),
        table("Excel's sep line", "a.csv", format!("sep=;\n{}", swap(PEOPLE, ";")), Table { preamble: 1, ..with(";") }),
        table("CR LF", "a.csv", PEOPLE.replace('\n', "\r\n"), people()),
        table("CR alone", "a.csv", PEOPLE.replace('\n', "\r"), people()),
        table("mixed line ends", "a.csv", "a,b\r\n1,x\n2,y\r3,z", csv("a:integer b:text", 3)),
        table("no line end at the end", "a.csv", PEOPLE.trim_end(), people()),
        table("blank lines between", "a.csv", "a,b\n\n1,x\n\n\n2,y\n", csv("a:integer b:text", 2)),
        table("doubled quotes", "a.csv", "id,text\n1,\"say \"\"hi\"\", ok\"\n2,\"b\"\n", csv("id:integer text:text", 2)),
        table("backslash quotes", "a.csv", "id,text\n1,\"say \\\"hi\\\", ok\"\n2,\"b \\\"c\\\", d\"\n", csv("id:integer text:text", 2)),
        table("single quotes", "a.csv", "id,text\n'1','a,b'\n'2','c,d'\n", csv("id:integer text:text", 2)),
        table("quotes as letters", "a.tsv", "id\ttext\n1\t\"阿里\" 公司\n2\t\"腾讯\" 公司\n", Table { delimiter: Some("\t"), note: "普通字符", ..csv("id:integer text:text", 2) }),
        table("line breaks in cells", "a.csv", "id,addr\n1,\"杭州市\n西湖区\"\n2,\"a\r\nb\r\nc\"\n", csv("id:integer addr:text", 2)),
        table("an open quote", "a.csv", "id,name,n\n1,\"a,5\n2,b,6\n3,c,7\n", Table { rejected: 1, note: "引号不配对", ..csv("id:integer name:text n:integer", 3) }),
        table("text after a quote", "a.csv", "id,name,n\n1,\"a\"x,5\n2,\"b\",6\n3,\"c\",7\n4,\"d\",8\n", Table { rejected: 1, note: "引号不配对", ..csv("id:integer name:text n:integer", 4) }),
        table("ragged rows", "a.csv", "a,b,c\n1,2,3\n4,5\n6,7,8,9\n1,2,3,,\n", Table { rejected: 2, note: "不符", ..csv("a:integer b:integer c:integer", 4) }),
        table("delimiters at line ends", "a.csv", "a,b,\n1,x,\n2,y,\n", csv("a:integer b:text", 2)),
        table("rows of nothing", "a.csv", "a,b\n1,x\n,\n2,y\n", Table { rejected: 1, ..csv("a:integer b:text", 3) }),
        table("titles first", "a.csv", "浙江省人口统计表\n单位：万人\n\n地区,人口,面积\n杭州,1252.2,16850\n宁波,969.7,9816\n", Table { preamble: 3, ..csv("地区:text 人口:decimal 面积:integer", 2) }),
        table("titles with delimiters", "a.csv", "统计表,,,\n制表单位：省局,,,日期：2024-01-02\n编号,名称,数量,金额\n1,a,2,3.5\n2,b,3,4.5\n", Table { preamble: 2, ..csv("编号:integer 名称:text 数量:integer 金额:decimal", 2) }),
        table("comment lines first", "a.csv", "# export 1\n# by x\nid,name,v\n1,a,2\n2,b,3\n", Table { preamble: 2, ..csv("id:integer name:text v:integer", 2) }),
        table("notes and totals last", "a.csv", "地区,人口,面积\n杭州,1,2\n宁波,3,4\n合计,4,6\n\n注：数据截至 2024 年。\n数据来源：统计局\n", Table { footer: 3, note: "说明或合计", ..csv("地区:text 人口:integer 面积:integer", 2) }),
        table("a short last row is data", "a.csv", "id,a,b\n1,x,y\n2,x,y\n3,x\n", Table { rejected: 1, ..csv("id:integer a:text b:text", 3) }),
        table("two header rows", "a.csv", "地区,人口,,面积\n,男,女,\n杭州,1,2,3\n宁波,4,5,6\n", Table { header_rows: 2, ..csv("地区:text 人口_男:integer 人口_女:integer 面积:integer", 2) }),
        table("three header rows", "a.csv", "地区,经济,,,\n,工业,,农业,\n,产值,利润,产值,利润\n杭州,1,2,3,4\n宁波,5,6,7,8\n", Table { header_rows: 3, ..csv("地区:text 经济_工业_产值:integer 经济_工业_利润:integer 经济_农业_产值:integer 经济_农业_利润:integer", 2) }),
        table("identifiers over names", "a.csv", "xm,nl,cs\n姓名,年龄,城市\n张三,20,杭州\n李四,30,宁波\n", Table { header_rows: 2, ..csv("xm_姓名:text nl_年龄:integer cs_城市:text", 2) }),
        table("doubled and missing names", "a.csv", "name,name,,v\na,b,c,1\nd,e,f,2\n", Table { note: "column_N", ..csv("name:text name_2:text column_3:text v:integer", 2) }),
        table("no header", "a.csv", "1,张三,2024-01-02\n2,李四,2024-01-03\n", Table { header_rows: 0, note: "没有表头", ..csv("column_1:integer column_2:text column_3:date", 2) }),
        table("no header, words only", "a.csv", "甲,男\n乙,男\n丙,女\n", Table { header_rows: 0, ..csv("column_1:text column_2:text", 3) }),
        table("years as names", "a.csv", "地区,2021,2022,2023\n杭州,10,11,12\n宁波,13,14,15\n", csv("地区:text 2021:integer 2022:integer 2023:integer", 2)),
        table("running numbers as names", "a.csv", ",0,1,2,3\n0,0,1,0,0\n1,1,0,1,0\n2,0,0,1,1\n", csv("column_1:integer 0:integer 1:integer 2:integer 3:integer", 3)),
        table("row labels without a name", "a.csv", "a,b\nr1,1,2\nr2,3,4\n", csv("column_1:text a:integer b:integer", 2)),
        table("one column", "a.txt", "城市\n杭州\n宁波\n温州\n", Table { delimiter: None, ..csv("城市:text", 3) }),
        table("one column of numbers", "a.csv", "金额\n1\n2\n", Table { delimiter: None, ..csv("金额:integer", 2) }),
        table("one column of grouped numbers", "a.csv", "金额\n1,234\n5,678\n", Table { delimiter: None, ..csv("金额:integer", 2) }),
        table("lines of prose", "a.txt", "意见\n道路不平，请修一下，谢谢, 2024 年\n路灯不亮, 小区门口\n没有意见\n很好, 谢谢, 再见, 好\n", Table { delimiter: None, ..csv("意见:text", 4) }),
        table("times of day", "a.txt", "12:30:45\n12:31:00\n12:32:10\n", Table { delimiter: None, header_rows: 0, ..csv("column_1:text", 3) }),
        table("header only", "a.csv", "编号,姓名,生日\n", csv("编号:text 姓名:text 生日:text", 0)),
        table("codes stay text", "a.csv", "code,id,zip,n\n001,110105194912310021,310000,1\n002,330106199001011234,310001,2\n", csv("code:text id:text zip:integer n:integer", 2)),
        table("mobile numbers stay text", "a.csv", "name,phone\na,13800138000\nb,13900139000\n", csv("name:text phone:text", 2)),
        table("thousands and percents", "a.csv", "k,a,b\nx,\"1,234,567\",12.5%\ny,\"2,345\",3%\n", Table { note: "百分号", ..csv("k:text a:integer b:decimal", 2) }),
        table("decimal commas", "a.csv", "k;a\nx;1.234,56\ny;12,5\n", Table { delimiter: Some(";"), ..csv("k:text a:decimal", 2) }),
        table("exponents", "a.csv", "k,a\nx,1.5e-10\ny,2.25E+3\n", csv("k:text a:float", 2)),
        table("dates of every kind", "a.csv", "a,b,c,d,e,f\n2024-01-02,2024/1/2,20240102,2024年1月2日,2024.1.2,2-Jan-2024\n2024-12-31,2024/12/31,20241231,2024年12月31日,2024.12.31,31-Dec-2024\n", csv("a:date b:date c:date d:date e:date f:date", 2)),
        table("times with zones", "a.csv", "t,u\n2024-01-02T03:04:05Z,2024-01-02 03:04:05\n2024-01-02T03:04:05+08:00,2024-01-02 03:04\n", csv("t:datetime u:datetime", 2)),
        table("day or month first", "a.csv", "k,d\nx,02/01/2024\ny,03/04/2024\n", Table { note: "次序不明", ..csv("k:text d:text", 2) }),
        table("day first for certain", "a.csv", "k,d\nx,02/01/2024\ny,31/01/2024\n", csv("k:text d:date", 2)),
        table("impossible dates", "a.csv", "k,d\nx,2024-02-30\ny,2024-13-01\n", csv("k:text d:text", 2)),
        table("truth values", "a.csv", "a,b,c,d\ntrue,是,Y,1\nfalse,否,N,0\n", csv("a:boolean b:boolean c:boolean d:integer", 2)),
        table("words for nothing", "a.csv", "k,a,b\nx,NA,2024-01-02\ny,-,空\nz,3,NULL\n", csv("k:text a:integer b:date", 3)),
        table("Namibia is no null", "a.csv", "alpha2,name\nNA,Namibia\nDE,Germany\n", csv("alpha2:text name:text", 2)),
        table("JSON in cells", "a.csv", "k,j\nx,\"{\"\"a\"\":1}\"\ny,\"[1,2]\"\n", csv("k:text j:json", 2)),
        table("NUL characters", "a.csv", "k,v\nx,1\ny\0,2\nz,3\n", Table { rejected: 1, note: "NUL", ..csv("k:text v:integer", 3) }),
        table("a CSV called .xlsx", "a.xlsx", PEOPLE, Table { note: "扩展名", ..people() }),
        table("a CSV called .json", "a.json", PEOPLE, Table { note: "扩展名", ..people() }),
        table("SQL Server brackets", "a.csv", "[id],[name]\n1,a\n2,b\n", csv("[id]:integer [name]:text", 2)),
        table("gzip", "a.csv.gz", gzip(PEOPLE.as_bytes()), Table { compression: "gzip", ..people() }),
        table("zstd", "a.csv.zst", zstd(PEOPLE.as_bytes()), Table { compression: "zstd", ..people() }),
        table("zip", "a.zip", zip(&[("说明/", b""), ("__MACOSX/._a.csv", b"x"), ("数据/a.csv", PEOPLE.as_bytes())]), Table { compression: "zip", ..people() }),
        table("gzip without its ending", "a.csv", gzip(&gbk(PEOPLE)), Table { compression: "gzip", encoding: "gb18030", ..people() }),
    ]
}

fn jsons() -> Vec<Case> {
    vec![
        table("array of objects", "a.json", "[{\"id\":1,\"name\":\"甲\",\"v\":1.5},{\"id\":2,\"name\":null,\"v\":2.25}]", json("json", "id:integer name:text v:decimal", 2)),
        table("data below a result", "a.json", "{\"code\":0,\"result\":{\"total\":2,\"records\":[{\"id\":1},{\"id\":2}]}}", Table { note: "result.records", ..json("json", "id:integer", 2) }),
        table("nested values", "a.json", "[\n  {\"id\": 1, \"tags\": [\"a\", \"b\"], \"at\": {\"x\": 1}},\n  {\"id\": 2, \"tags\": [], \"at\": {\"x\": 2}}\n]", json("json", "id:integer tags:json at:json", 2)),
        table("lines", "a.jsonl", "{\"id\":1,\"d\":\"2024-01-02\"}\n{\"id\":2,\"d\":\"2024-01-03\"}\n\n{\"id\":3}\n", json("jsonl", "id:integer d:date", 3)),
        table("lines called .json", "a.json", "{\"id\":1}\n{\"id\":2}\n", json("jsonl", "id:integer", 2)),
        table("a broken line", "a.jsonl", "{\"id\":1}\n{\"id\":2,}\n{\"id\":3}\n", Table { rejected: 1, note: "不是合法", ..json("jsonl", "id:integer", 3) }),
        table("objects end to end", "a.json", "{\n \"id\": 1\n}\n{\n \"id\": 2\n}\n", json("jsonl", "id:integer", 2)),
        table("keys that come late", "a.json", "[{\"a\":1},{\"b\":2},{\"a\":3,\"c\":\"x\"}]", json("json", "a:integer b:integer c:text", 3)),
        table("columns beside rows", "a.json", "{\"columns\":[\"id\",\"name\"],\"data\":[[1,\"甲\"],[2,\"乙\"]]}", json("json", "id:integer name:text", 2)),
        table("header in the first row", "a.json", "[[\"id\",\"name\"],[1,\"甲\"],[2,\"乙\"]]", Table { header_rows: 1, ..json("json", "id:integer name:text", 2) }),
        table("a map of objects", "a.json", "{\"330100\":{\"n\":\"杭州\",\"p\":1},\"330200\":{\"n\":\"宁波\",\"p\":2},\"330300\":{\"n\":\"温州\",\"p\":3}}", Table { note: "key", ..json("json", "key:integer n:text p:integer", 3) }),
        table("one object", "a.json", "{\"id\":1,\"name\":\"甲\"}", Table { note: "一条记录", ..json("json", "id:integer name:text", 1) }),
        table("with a mark, called .csv", "a.csv", "\u{feff}[{\"id\":1},{\"id\":2}]", Table { encoding: "utf-8-bom", note: "扩展名", ..json("json", "id:integer", 2) }),
        table("GBK", "a.json", gbk("[{\"名称\":\"杭州市数据局\"},{\"名称\":\"宁波市数据局\"}]"), Table { encoding: "gb18030", ..json("json", "名称:text", 2) }),
        table("many digits", "a.json", "[{\"id\":110105194912310021,\"v\":12345678901234567890.12}]", json("json", "id:text v:decimal", 1)),
        table(
            "features", "a.geojson",
            "{\"type\":\"FeatureCollection\",\"crs\":{\"type\":\"name\",\"properties\":{\"name\":\"urn:ogc:def:crs:EPSG::4490\"}},\"features\":[{\"type\":\"Feature\",\"properties\":{\"name\":\"甲\",\"n\":1},\"geometry\":{\"type\":\"Point\",\"coordinates\":[120.1,30.2]}},{\"type\":\"Feature\",\"properties\":{\"name\":\"乙\",\"n\":2},\"geometry\":null}]}",
            Table { note: "CGCS2000", ..json("geojson", "name:text n:integer geometry:geometry", 2) },
        ),
        table("features called .json, gzip", "a.json.gz", gzip(b"{\"type\":\"FeatureCollection\",\"features\":[{\"geometry\":{\"type\":\"Point\",\"coordinates\":[1,2]},\"type\":\"Feature\",\"properties\":{\"a\":1}}]}"), Table { compression: "gzip", note: "WGS84", ..json("geojson", "a:integer geometry:geometry", 1) }),
        table("an empty array", "a.json", "[]", json("json", "", 0)),
        refused("single quotes in JSON", "a.json", "[{'a': 1}, {'a': 2}]", Code::InvalidFile, "双引号"),
        refused("cut off", "a.json", "[{\"id\":1},{\"id\":", Code::InvalidFile, "中断"),
        refused("cut off after the table", "a.json", "{\"data\":[{\"id\":1},{\"id\":2}],\"x\":", Code::InvalidFile, "中断"),
    ]
}

fn dated() -> Vec<u8> {
    xlsx(|book: &mut Workbook| {
        let sheet = book.add_worksheet();
        let day = Format::new().set_num_format("yyyy-mm-dd");
        let time = Format::new().set_num_format("yyyy-mm-dd hh:mm:ss");
        making::fill(sheet, &[&["名称", "日期", "时间", "金额", "有效"]]);
        for row in 1..=3_u32 {
            sheet.write_string(row, 0, format!("名称{row}")).unwrap();
            let date = ExcelDateTime::from_ymd(2024, 1, u8::try_from(row).unwrap()).unwrap();
            sheet.write_datetime_with_format(row, 1, &date, &day).unwrap();
            let at =
                ExcelDateTime::from_ymd(2024, 1, 2).unwrap().and_hms(3, 4, f64::from(row)).unwrap();
            sheet.write_datetime_with_format(row, 2, &at, &time).unwrap();
            sheet.write_number(row, 3, f64::from(row) * 1.1).unwrap();
            sheet.write_boolean(row, 4, row % 2 == 0).unwrap();
        }
    })
}

fn merged() -> Vec<u8> {
    xlsx(|book| {
        let sheet = book.add_worksheet();
        let plain = Format::new();
        sheet.merge_range(0, 0, 0, 4, "2024年各地区人口统计表", &plain).unwrap();
        sheet.merge_range(1, 0, 2, 0, "地区", &plain).unwrap();
        sheet.merge_range(1, 1, 1, 2, "人口", &plain).unwrap();
        sheet.merge_range(1, 3, 2, 3, "面积", &plain).unwrap();
        sheet.merge_range(1, 4, 2, 4, "备注", &plain).unwrap();
        sheet.write_string(2, 1, "男").unwrap();
        sheet.write_string(2, 2, "女").unwrap();
        sheet.merge_range(3, 0, 4, 0, "杭州", &plain).unwrap();
        for row in 3..6_u32 {
            for column in 1..4_u16 {
                sheet.write_number(row, column, f64::from(row) * 10.0 + f64::from(column)).unwrap();
            }
        }
        sheet.write_string(5, 0, "宁波").unwrap();
        sheet.write_string(6, 0, "合计").unwrap();
        sheet.write_number(6, 1, 99.0).unwrap();
        sheet.write_string(8, 0, "注：数据来自统计局。").unwrap();
    })
}

fn books() -> Vec<Case> {
    let rows: &[&[&str]] = &[&["编号", "名称", "数量"], &["1", "甲", "10"], &["2", "乙", "20"]];
    let columns = "编号:integer 名称:text 数量:integer";
    vec![
        table("xlsx", "a.xlsx", sheet(rows), book("xlsx", columns, 2)),
        table(
            "xlsx called .csv",
            "a.csv",
            sheet(rows),
            Table { note: "扩展名", ..book("xlsx", columns, 2) },
        ),
        table(
            "xlsx in gzip",
            "a.xlsx.gz",
            gzip(&sheet(rows)),
            Table { compression: "gzip", ..book("xlsx", columns, 2) },
        ),
        table(
            "dates and truth values",
            "a.xlsx",
            dated(),
            book("xlsx", "名称:text 日期:date 时间:datetime 金额:decimal 有效:boolean", 3),
        ),
        table(
            "merged cells, title, total, note",
            "a.xlsx",
            merged(),
            Table {
                preamble: 1,
                header_rows: 2,
                footer: 2,
                note: "合并单元格",
                ..book(
                    "xlsx",
                    "地区:text 人口_男:integer 人口_女:integer 面积:integer 备注:text",
                    3,
                )
            },
        ),
        table(
            "a cover sheet first",
            "a.xlsx",
            xlsx(|book| {
                making::fill(
                    book.add_worksheet().set_name("说明").unwrap(),
                    &[&["填表说明", ""], &["请如实填写", "谢谢"]],
                );
                making::fill(book.add_worksheet().set_name("数据").unwrap(), rows);
            }),
            Table { note: "多个", ..book("xlsx", columns, 2) },
        ),
        table(
            "a hidden sheet first",
            "a.xlsx",
            xlsx(|book| {
                making::fill(
                    book.add_worksheet().set_name("隐藏").unwrap().set_hidden(true),
                    &[&["x", "y"], &["1", "2"]],
                );
                making::fill(book.add_worksheet().set_name("数据").unwrap().set_active(true), rows);
            }),
            Table { note: "隐藏", ..book("xlsx", columns, 2) },
        ),
        table(
            "a macro workbook",
            "a.xlsm",
            with_member(&sheet(rows), "xl/vbaProject.bin", b"macro"),
            Table { note: "宏", ..book("xlsx", columns, 2) },
        ),
        table(
            "numbers as text codes",
            "a.xlsx",
            xlsx(|book| {
                let sheet = book.add_worksheet();
                for (r, row) in [["代码", "值"], ["001", "5"], ["002", "6"]].iter().enumerate() {
                    for (c, cell) in row.iter().enumerate() {
                        sheet
                            .write_string(
                                u32::try_from(r).unwrap(),
                                u16::try_from(c).unwrap(),
                                *cell,
                            )
                            .unwrap();
                    }
                }
            }),
            book("xlsx", "代码:text 值:integer", 2),
        ),
        table(
            "blank rows between",
            "a.xlsx",
            sheet(&[&["a", "b"], &["", ""], &["1", "x"], &["", ""], &["2", "y"]]),
            book("xlsx", "a:integer b:text", 2),
        ),
        table(
            "a table off the corner",
            "a.xlsx",
            sheet(&[
                &["", "", ""],
                &["", "", ""],
                &["", "编号", "名称"],
                &["", "1", "甲"],
                &["", "2", "乙"],
            ]),
            Table { preamble: 2, ..book("xlsx", "column_1:text 编号:integer 名称:text", 2) },
        ),
        table("ods", "a.ods", ods(rows), book("ods", columns, 2)),
        table("xls", "a.xls", xls(rows, false), book("xls", columns, 2)),
        table(
            "parquet",
            "a.parquet",
            parquet(9),
            Table {
                header_rows: 0,
                ..book(
                    "parquet",
                    "id:integer name:text amount:decimal day:date at:datetime ok:boolean rate:float",
                    9,
                )
            },
        ),
        table(
            "parquet called .csv",
            "a.csv",
            parquet(3),
            Table {
                header_rows: 0,
                note: "扩展名",
                ..book(
                    "parquet",
                    "id:integer name:text amount:decimal day:date at:datetime ok:boolean rate:float",
                    3,
                )
            },
        ),
        refused(
            "an empty workbook",
            "a.xlsx",
            xlsx(|book| {
                book.add_worksheet();
            }),
            Code::InvalidFile,
            "没有数据",
        ),
        refused(
            "an encrypted workbook",
            "a.xlsx",
            making::compound("EncryptedPackage", &[7; 5000]),
            Code::InvalidFile,
            "密码",
        ),
        refused("an encrypted xls", "a.xls", xls(rows, true), Code::InvalidFile, "密码"),
        refused(
            "half a workbook",
            "a.xlsx",
            {
                let b = sheet(rows);
                b[..b.len() / 2].to_vec()
            },
            Code::InvalidFile,
            "损坏",
        ),
        refused(
            "a workbook with a broken sheet",
            "a.xlsx",
            {
                let mut b = sheet(rows);
                let n = b.len();
                b[n / 3..n / 2].fill(0x55);
                b
            },
            Code::InvalidFile,
            "损坏",
        ),
        refused(
            "half a Parquet file",
            "a.parquet",
            {
                let b = parquet(9);
                b[..b.len() - 20].to_vec()
            },
            Code::InvalidFile,
            "损坏",
        ),
    ]
}

fn refusals() -> Vec<Case> {
    vec![
        refused("nothing", "a.csv", "", Code::InvalidFile, "空的"),
        refused("white space only", "a.csv", " \n\r\n\t\n", Code::InvalidFile, "空白"),
        refused("a mark only", "a.csv", "\u{feff}", Code::InvalidFile, "空白"),
        refused(
            "HTML called .xls",
            "a.xls",
            "<html><body><table><tr><td>1</td></tr></table></body></html>",
            Code::UnsupportedFormat,
            "HTML",
        ),
        refused(
            "XML",
            "a.xml",
            "<?xml version=\"1.0\"?><rows><row a=\"1\"/></rows>",
            Code::UnsupportedFormat,
            "XML",
        ),
        refused("PDF", "a.csv", "%PDF-1.7\n%\u{e2}\n1 0 obj\n", Code::UnsupportedFormat, "PDF"),
        refused(
            "an image",
            "a.csv",
            b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec(),
            Code::UnsupportedFormat,
            "PNG",
        ),
        refused(
            "a Word document",
            "a.docx",
            zip(&[("[Content_Types].xml", b"x"), ("word/document.xml", b"x")]),
            Code::UnsupportedFormat,
            "Word",
        ),
        refused(
            "noise",
            "a.csv",
            (0..4000_u32)
                .map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8 & 0x9f)
                .collect::<Vec<u8>>(),
            Code::UnsupportedFormat,
            "不是文本",
        ),
        refused(
            "several files in a zip",
            "a.zip",
            zip(&[("a.csv", b"a,b\n1,2\n"), ("b.csv", b"a,b\n1,2\n")]),
            Code::InvalidFile,
            "2 个文件",
        ),
        refused("an empty zip", "a.zip", zip(&[]), Code::InvalidFile, ""),
        refused(
            "a locked zip",
            "a.zip",
            locked_zip("a.csv", PEOPLE.as_bytes()),
            Code::InvalidFile,
            "密码",
        ),
        refused(
            "half a gzip",
            "a.csv.gz",
            {
                let b = gzip(PEOPLE.repeat(50).as_bytes());
                b[..b.len() / 2].to_vec()
            },
            Code::InvalidFile,
            "不完整",
        ),
        refused(
            "a changed gzip",
            "a.csv.gz",
            {
                let mut b = gzip(PEOPLE.repeat(50).as_bytes());
                let n = b.len();
                b[n - 6] ^= 0xff;
                b
            },
            Code::InvalidFile,
            "损坏",
        ),
        refused(
            "a huge cell",
            "a.csv",
            format!("a,b\n1,\"{}\"\n2,x\n", "长".repeat(6 << 20)),
            Code::TooLarge,
            "16 MiB",
        ),
        refused(
            "an old bare Excel file",
            "a.xls",
            [&[0x09, 0x08, 0x10, 0x00, 0x00, 0x06, 0x05, 0x00][..], &[0; 80]].concat(),
            Code::UnsupportedFormat,
            "Excel",
        ),
        refused(
            "a tar",
            "a.tar",
            {
                let mut b = vec![b'a'; 10];
                b.resize(257, 0);
                b.extend(b"ustar\0");
                b.resize(1024, 0);
                b
            },
            Code::UnsupportedFormat,
            "tar",
        ),
    ]
}

/// Differences between what was found and the true answer.
async fn differences(case: &Case) -> Vec<String> {
    let mut wrong = Vec::new();
    let file = file(case.name, &case.bytes);
    let found = file.sniff().await;
    let want = match (&case.want, &found) {
        (Want::Refused(code, word), Err(e)) => {
            if e.code() != *code || !e.zh().contains(word) || e.en().is_empty() {
                wrong.push(format!(
                    "refused as {:?} `{}`, expected {code:?} `{word}`",
                    e.code(),
                    e.zh()
                ));
            }
            return wrong;
        }
        (Want::Refused(code, _), Ok(s)) => {
            return vec![format!("taken as {} with {:?}, expected {code:?}", s.format, s.columns)];
        }
        (Want::Table(_), Err(e)) => return vec![format!("refused: {e:?}")],
        (Want::Table(want), Ok(_)) => want,
    };
    let s = found.unwrap();
    let mut check = |what: &str, got: String, want: String| {
        if got != want {
            wrong.push(format!("{what}: found {got}, expected {want}"));
        }
    };
    check("format", s.format.clone(), want.format.to_owned());
    check("compression", s.compression.clone(), want.compression.to_owned());
    check("encoding", s.encoding.clone(), want.encoding.to_owned());
    check("delimiter", format!("{:?}", s.delimiter.as_deref()), format!("{:?}", want.delimiter));
    check("preamble", s.preamble.to_string(), want.preamble.to_string());
    check("header rows", s.header_rows.to_string(), want.header_rows.to_string());
    check("footer", s.footer.to_string(), want.footer.to_string());
    let columns: Vec<String> =
        s.columns.iter().map(|c| format!("{}:{}", c.name, c.data_type)).collect();
    check("columns", columns.join(" "), want.columns.to_owned());
    check("records", format!("{:?}", s.records), format!("{:?}", Some(want.records)));
    let noted = want.note.is_empty() || s.notes.iter().any(|n| n.0.contains(want.note));
    check(
        "note",
        format!("{noted} {:?}", if noted { &[][..] } else { &s.notes }),
        "true []".to_owned(),
    );
    if !s.columns.is_empty() {
        match file.read(&ingest::draft(&s)).await {
            Ok(got) => {
                check("read", got.read.to_string(), want.records.to_string());
                check(
                    "rejected",
                    format!(
                        "{} {:?}",
                        got.rejects.len(),
                        if got.rejects.len() as u64 == want.rejected {
                            &[][..]
                        } else {
                            &got.rejects
                        }
                    ),
                    format!("{} []", want.rejected),
                );
            }
            Err(e) => check("reading", format!("{e:?}"), "read".to_owned()),
        }
    }
    wrong
}

#[tokio::test]
async fn the_corpus_is_understood() {
    let cases: Vec<Case> = [texts(), jsons(), books(), refusals()].into_iter().flatten().collect();
    assert!(cases.len() >= 130);
    let mut good = 0;
    let mut report = Vec::new();
    for case in &cases {
        let wrong = differences(case).await;
        if wrong.is_empty() {
            good += 1;
        } else {
            report.push(format!("{} ({})\n    {}", case.title, case.name, wrong.join("\n    ")));
        }
    }
    println!("sniff corpus: {good}/{}", cases.len());
    assert!(report.is_empty(), "sniff corpus: {good}/{}\n{}", cases.len(), report.join("\n"));
}
