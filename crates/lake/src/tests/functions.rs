//! The functions of the field, by tables of what they answer, and what they refuse.

use futures::{StreamExt, TryStreamExt, stream};
use model::batch::{Batch, Column, TextColumn};
use model::code::DataType;
use model::item::Item;
use policy::port::{Chunk, Transform, TransformAsk, TransformInput};

use crate::{DeltaLake, LakeConfig};

fn table(name: &str, columns: &[&str], rows: &[&[&str]]) -> (TransformInput, Batch) {
    let items = columns.iter().map(|c| Item::new(c, c, DataType::Text)).collect();
    let columns = (0..columns.len())
        .map(|at| {
            let mut text = TextColumn::with_capacity(rows.len());
            rows.iter().for_each(|r| text.push(r.get(at).copied()));
            Column::Text(text)
        })
        .collect();
    let records = (1..=rows.len() as u64).collect();
    (
        TransformInput { name: name.into(), items },
        Batch { columns, records, operations: Vec::new() },
    )
}

/// Answers of an expression over the column `x`: the text, `∅`, or what is refused.
async fn answers(expression: &str, values: &[&str]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let keys = guard::KeyRing::from_bytes(&[7; 32]).unwrap();
    let config = LakeConfig::new(folder.path().to_string_lossy());
    let lake = DeltaLake::open(&config, keys.mask()).unwrap();
    let rows: Vec<Vec<&str>> = values.iter().map(|v| vec![*v]).collect();
    let rows: Vec<&[&str]> = rows.iter().map(Vec::as_slice).collect();
    let history: &[&[&str]] = &[
        &["1985", "330100", "330100", "330125", "330110"],
        &["1994", "330100", "330100", "339021", "330110"],
        &["1996", "330100", "330100", "330184", "330110"],
        &["2020", "330100", "330100", "330110", "330110"],
        &["2020", "330100", "330100", "330104", "330104"],
        &["2022", "330100", "330100", "330110", "330110"],
        &["2022", "330100", "330100", "330114", "330114"],
    ];
    let tables = [
        table("source", &["x"], &rows),
        table(
            "admin_division_history",
            &["year", "city_adcode", "city_id", "county_adcode", "county_id"],
            history,
        ),
        table("nation", &["code", "name"], &[&["01", "汉族"], &["22", "畲族"]]),
    ];
    let ask = TransformAsk {
        sql: format!("SELECT x, {expression} AS y FROM source"),
        inputs: tables.iter().map(|(i, _)| i.clone()).collect(),
        items: ["x", "y"].map(|n| Item::new(n, n, DataType::Text)).into(),
        ..TransformAsk::default()
    };
    let inputs = tables.into_iter().map(|(_, b)| stream::iter([Ok(b)]).boxed()).collect();
    let chunks: Vec<Chunk> = lake.run(&ask, inputs).await.unwrap().try_collect().await.unwrap();
    let mut told = std::collections::HashMap::new();
    for chunk in chunks {
        for row in 0..chunk.batch.rows() {
            let text = |at: usize| chunk.batch.columns[at].value(row).to_text();
            told.insert(text(0).unwrap(), text(1).unwrap_or_else(|| "∅".into()));
        }
        for reject in chunk.rejects {
            told.insert(reject.cells[0].clone().unwrap(), format!("!{}", reject.zh));
        }
    }
    values.iter().map(|v| told.get(*v).cloned().unwrap_or_default()).collect()
}

async fn check(expression: &str, cases: &[(&str, &str)]) {
    let values: Vec<&str> = cases.iter().map(|c| c.0).collect();
    let got = answers(expression, &values).await;
    for ((value, want), got) in cases.iter().zip(got) {
        match want.strip_prefix('!') {
            Some(says) => assert!(
                got.starts_with('!') && got.contains(says),
                "{expression} of {value}: {got}, not {want}"
            ),
            None => assert_eq!(got, *want, "{expression} of {value}"),
        }
    }
}

#[tokio::test]
async fn identifiers() {
    check(
        "id15_to_18(x)",
        &[
            ("110105491231002", "11010519491231002X"),
            ("11010519491231002x", "11010519491231002X"),
            ("440524188001010014", "440524188001010014"),
            ("110105194912310021", "!校验位"),
            ("110105491331002", "!出生日期"),
            ("12345", "!18 位"),
            ("11010549123100X", "!全为数字"),
        ],
    )
    .await;
    check("id_valid(x)", &[("11010519491231002X", "true"), ("110105194912310021", "false")]).await;
    check(
        "id_birthday(x)",
        &[
            ("11010519491231002X", "1949-12-31"),
            ("440524188001010014", "1880-01-01"),
            ("1", "!18 位"),
        ],
    )
    .await;
    check("id_sex(x)", &[("11010519491231002X", "2"), ("440524188001010014", "1")]).await;
    check("uscc_valid(x)", &[("91330100799655058B", "true"), ("91330100799655058C", "false")])
        .await;
    check(
        "uscc_org_code(x)",
        &[
            ("91330100799655058B", "799655058"),
            ("9144030071526726XG", "71526726X"),
            ("9133010079965505", "!18 位"),
        ],
    )
    .await;
}

#[tokio::test]
async fn code_lists() {
    check("code_map('gender', x)", &[("1", "男性"), ("2", "女性"), ("7", "!不在代码表 gender 内")])
        .await;
    check("code_map('gender', x, 'code')", &[("男", "1"), ("女性", "2")]).await;
    check("code_map('domain', x, 'name', '其它')", &[("17", "医疗卫生"), ("99", "其它")]).await;
    check("code_map('region', x)", &[("330106", "西湖区"), ("330383", "龙港市")]).await;
    check("code_map('nation', x)", &[("22", "畲族"), ("99", "!不在代码表 nation 内")]).await;
    check("code_map('nation', x, 'side')", &[("22", "!方向")]).await;
}

#[tokio::test]
async fn regions_through_the_years() {
    check(
        "region_as_of(x, 1985)",
        &[
            ("330110", "330125"),
            ("339021", "330125"),
            ("330114", "∅"),
            ("330100", "330100"),
            ("999999", "!历年区划"),
        ],
    )
    .await;
    check("region_as_of(x, 2022)", &[("330125", "330110"), ("330184", "330110"), ("330104", "∅")])
        .await;
    check("region_as_of(x, 1994, 'admin_division_history')", &[("330110", "339021")]).await;
}

#[tokio::test]
async fn dates() {
    check(
        "date_of(x)",
        &[
            ("2024-01-02", "2024-01-02"),
            ("2024/1/2", "2024-01-02"),
            ("20240102", "2024-01-02"),
            ("2024年1月2日", "2024-01-02"),
            ("二〇二四年一月二日", "2024-01-02"),
            ("民国113年1月2日", "2024-01-02"),
            ("2024-01-02 23:59:59", "2024-01-02"),
            ("2024-01-02T20:00:00Z", "2024-01-03"),
            ("2 Jan 2024", "2024-01-02"),
            ("01/02/2024", "!次序不明"),
            ("2024-02-30", "!不存在"),
            ("昨天", "!不是可识别的日期"),
        ],
    )
    .await;
    check("date_of(x, 'DD/MM/YYYY')", &[("01/02/2024", "2024-02-01")]).await;
    check("half_width(x)", &[("Ａ１（甲）", "A1(甲)")]).await;
}

#[tokio::test]
async fn addresses() {
    let cases: &[(&str, [&str; 5])] = &[
        (
            "浙江省杭州市西湖区文新街道文二西路1号",
            ["浙江省", "杭州市", "西湖区", "文新街道", "文二西路1号"],
        ),
        ("杭州市西湖区文三路100号", ["浙江省", "杭州市", "西湖区", "∅", "文三路100号"]),
        ("浙江杭州余杭区仓前街道", ["浙江省", "杭州市", "余杭区", "仓前街道", "∅"]),
        ("义乌市佛堂镇双林路5号", ["浙江省", "金华市", "义乌市", "佛堂镇", "双林路5号"]),
        (
            "浙江省丽水市景宁畲族自治县鹤溪街道人民路",
            ["浙江省", "丽水市", "景宁畲族自治县", "鹤溪街道", "人民路"],
        ),
        ("北京市市辖区朝阳区建外街道", ["北京市", "北京市", "朝阳区", "建外街道", "∅"]),
        ("江苏省苏州市昆山市玉山镇前进路", ["江苏省", "苏州市", "昆山市", "玉山镇", "前进路"]),
        (
            "新疆维吾尔自治区伊犁哈萨克自治州伊宁市",
            ["新疆维吾尔自治区", "伊犁哈萨克自治州", "伊宁市", "∅", "∅"],
        ),
        ("文二西路1号", ["∅", "∅", "∅", "∅", "文二西路1号"]),
    ];
    for (at, part) in ["province", "city", "county", "town", "rest"].iter().enumerate() {
        let cases: Vec<(&str, &str)> = cases.iter().map(|(a, parts)| (*a, parts[at])).collect();
        check(&format!("address_part(x, '{part}')"), &cases).await;
    }
    check("address_part(x, 'street')", &[("杭州市", "!第二个参数")]).await;
}
