//! Heads and feet of small tables.

use super::*;
use crate::token::{Dialect, rows_of};

fn check(text: &str) -> (usize, usize, Vec<String>, usize) {
    let rows = rows_of(text, 0, 1, &Dialect::new(","), true, usize::MAX);
    let layout = analyse(&rows, Manner::TEXT, None);
    let names = layout.headers.iter().map(|h| h.name.clone()).collect();
    let data = rows.get(layout.at + layout.header_rows..).unwrap();
    (layout.at, layout.header_rows, names, layout.footer(data, false))
}

fn names(list: &[&str]) -> Vec<String> {
    list.iter().map(|s| (*s).to_owned()).collect()
}

#[test]
fn heads_and_feet() {
    assert_eq!(check("id,name\n1,a\n2,b\n"), (0, 1, names(&["id", "name"]), 0));
    assert_eq!(check("1,a\n2,b\n"), (0, 0, names(&["column_1", "column_2"]), 0));
    assert_eq!(
        check("2024年统计\n\n地区,人口,面积\n杭州,1,2\n宁波,3,4\n合计,4,6\n"),
        (1, 1, names(&["地区", "人口", "面积"]), 1)
    );
    assert_eq!(
        check("统计表,,,\n地区,人口,,面积\n,男,女,\n杭州,1,2,3\n宁波,4,5,6\n"),
        (1, 2, names(&["地区", "人口_男", "人口_女", "面积"]), 0)
    );
    assert_eq!(
        check("地区,2023年,,2024年,\n,一季度,二季度,一季度,二季度\n杭州,1,2,3,4\n宁波,1,2,3,4\n"),
        (
            0,
            2,
            names(&["地区", "2023年_一季度", "2023年_二季度", "2024年_一季度", "2024年_二季度"]),
            0
        )
    );
    assert_eq!(
        check("xm,nl\n姓名,年龄\n张三,20\n李四,30\n"),
        (0, 2, names(&["xm_姓名", "nl_年龄"]), 0)
    );
    assert_eq!(
        check("name,name,,x\na,b,c,1\n"),
        (0, 1, names(&["name", "name_2", "column_3", "x"]), 0)
    );
    assert_eq!(check(",0,1,2\n0,0,1,0\n1,1,0,1\n"), (0, 1, names(&["column_1", "0", "1", "2"]), 0));
    assert_eq!(
        check("地区,2021,2022\n杭州,10,20\n宁波,11,22\n"),
        (0, 1, names(&["地区", "2021", "2022"]), 0)
    );
    assert_eq!(check("姓名,城市\n张三,杭州\n李四,宁波\n"), (0, 1, names(&["姓名", "城市"]), 0));
    assert_eq!(check("甲,男\n乙,男\n丙,女\n"), (0, 0, names(&["column_1", "column_2"]), 0));
    assert_eq!(check("id,a,b\n1,x,y\n2,x,y\n\n注：数据截至 2024 年。\n数据来源：统计局\n").3, 2);
    assert_eq!(check("id,a,b\n1,x,y\n2,x\n").3, 0);
    assert_eq!(check("a,b\nr1,1,2\nr2,3,4\n"), (0, 1, names(&["column_1", "a", "b"]), 0));
    assert_eq!(
        check("制表单位：省局,,,日期：2024-01-02\n编号,名称,数量,金额\n1,a,2,3\n"),
        (1, 1, names(&["编号", "名称", "数量", "金额"]), 0)
    );
    assert_eq!(check("id,name,age\n1,张三,\n2,,30\n"), (0, 1, names(&["id", "name", "age"]), 0));
    assert_eq!(
        check("name,a,b\n张三,,\n李四,1,2\n王五,2,3\n"),
        (0, 1, names(&["name", "a", "b"]), 0)
    );
}
