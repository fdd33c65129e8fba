//! Entries about air, water, outlets and weather.

use model::code::{Domain, UpdateCycle};

use super::Target;
use super::orgs::{ECOLOGY, WATERWORKS, WEATHER};
use super::rows::Dialect;
use super::seeded::decimal;
use super::shape::{Plan, date, entry, integer, moment, number, place, region, text, uscc, word};
use super::subject::{CITIES, HANGZHOU, MARK, day, point};

pub(super) fn plans() -> Vec<Plan> {
    vec![air(), water(), tap_water(), outlets(), warnings()]
}

fn air() -> Plan {
    entry(
        "kqzl_rb",
        "空气质量日报",
        "Air quality daily report",
        ECOLOGY,
        Domain::Ecology,
        "空气质量",
    )
    .about(
        "十一个设区市空气质量指数（AQI）与PM2.5、PM10、臭氧等六项污染物的日均浓度。",
        &["空气质量", "PM2.5", "生态环境"],
    )
    .cycle(UpdateCycle::Daily)
    .system("环境空气质量监测系统")
    .incremental()
    .items([
        text("csdm", "城市代码", "City code", 6).key(),
        date("rq", "日期", "Day").key(),
        text("csmc", "城市名称", "City", 20).required(),
        integer("aqi", "空气质量指数", "AQI", ""),
        word("zldj", "质量等级", "Grade", "优|良|轻度污染|中度污染|重度污染"),
        number("pm25", "PM2.5浓度", "PM2.5", 6, 1, "μg/m³"),
        number("pm10", "PM10浓度", "PM10", 6, 1, "μg/m³"),
        number("so2", "二氧化硫浓度", "SO2", 6, 1, "μg/m³"),
        number("no2", "二氧化氮浓度", "NO2", 6, 1, "μg/m³"),
        number("o3", "臭氧浓度", "O3", 6, 1, "μg/m³"),
    ])
    .rows(4_015, Dialect::Comma, |c| {
        // 11 cities × 365 days fill 4,015 rows; more rows go further back.
        let city = CITIES.get(usize::try_from(c.i % 11).unwrap_or(0)).copied().unwrap_or(HANGZHOU);
        let on = day(-1 - i64::try_from(c.i / 11).unwrap_or(0));
        let aqi = c.rng.between(18, 120) + if c.rng.chance(4) { 90 } else { 0 };
        let level = match aqi {
            ..=50 => "优",
            51..=100 => "良",
            101..=150 => "轻度污染",
            151..=200 => "中度污染",
            _ => "重度污染",
        };
        let mut part = |of: i64| decimal(aqi * of / 10 + c.rng.between(0, 40), 1);
        vec![
            city.0.into(),
            on.format("%Y-%m-%d").to_string(),
            city.1.into(),
            aqi.to_string(),
            level.into(),
            part(45),
            part(70),
            part(9),
            part(35),
            part(100),
            MARK.into(),
        ]
    })
}

fn water() -> Plan {
    let [jd, wd, wz] = place();
    entry(
        "szjc_zd",
        "地表水水质自动监测",
        "Surface water quality",
        ECOLOGY,
        Domain::Ecology,
        "水质",
    )
    .about(
        "地表水断面自动监测的水温、pH、溶解氧、氨氮等指标与水质类别。",
        &["水质", "地表水", "五水共治"],
    )
    .cycle(UpdateCycle::Daily)
    .system("水环境监测系统")
    .items([
        text("dmbm", "断面编码", "Section code", 20).key(),
        moment("jcsj", "监测时间", "Measured at").key(),
        text("dmmc", "断面名称", "Section", 50).required(),
        number("sw", "水温", "Temperature", 4, 1, "℃"),
        number("ph", "pH值", "pH", 4, 2, "无量纲"),
        number("rjy", "溶解氧", "Dissolved oxygen", 5, 2, "mg/L"),
        number("ad", "氨氮", "Ammonia nitrogen", 6, 3, "mg/L"),
        word("szlb", "水质类别", "Class", "Ⅰ类|Ⅱ类|Ⅲ类|Ⅳ类|Ⅴ类|劣Ⅴ类"),
        region(),
        jd,
        wd,
        wz,
    ])
    .rows(3_000, Dialect::Comma, |c| {
        let section = c.i % 90;
        let county = c.county(section);
        // A section stays where it is.
        let aside = i64::try_from(section * 2_711 % 16_000).unwrap_or(0) - 8_000;
        let (x, y) = (decimal(county.longitude + aside, 5), decimal(county.latitude - aside, 5));
        let turn = i64::try_from(c.i / 90).unwrap_or(0);
        let on = day(-1 - turn / 6).format("%Y-%m-%d").to_string();
        vec![
            format!("SZ{}{section:03}", county.code),
            format!("{on} {:02}:00:00", turn % 6 * 4),
            format!("{}测试断面", county.name),
            c.rng.decimal(40, 310, 1),
            c.rng.decimal(640, 880, 2),
            c.rng.decimal(350, 1_150, 2),
            c.rng.decimal(20, 1_900, 3),
            c.rng.pick(&["Ⅰ类", "Ⅱ类", "Ⅱ类", "Ⅲ类", "Ⅲ类", "Ⅳ类", "Ⅴ类", "劣Ⅴ类"]).into(),
            county.code,
            x.clone(),
            y.clone(),
            point(&x, &y),
            MARK.into(),
        ]
    })
}

/// A public utility publishes what the law has it publish.
fn tap_water() -> Plan {
    entry(
        "gs_szgb",
        "供水水质公报",
        "Tap water quality bulletin",
        WATERWORKS,
        Domain::Living,
        "供水水质",
    )
    .about("水厂出厂水的每周检测结果，由公共服务运营单位公布。", &["供水", "水质", "民生"])
    .region("330100")
    .cycle(UpdateCycle::Weekly)
    .system("供水水质管理系统")
    .items([
        text("scbm", "水厂编码", "Waterworks code", 20).key(),
        date("jcrq", "检测日期", "Tested on").key(),
        text("scmc", "水厂名称", "Waterworks", 50).required(),
        number("zd", "浑浊度", "Turbidity", 4, 2, "NTU"),
        number("yl", "余氯", "Free chlorine", 4, 2, "mg/L"),
        word("hgqk", "合格情况", "Result", "合格|不合格"),
    ])
    .rows(300, Dialect::Comma, |c| {
        let works = c.i % 10;
        let week = i64::try_from(c.i / 10).unwrap_or(0);
        vec![
            format!("SC{works:03}"),
            day(-1 - week * 7).format("%Y-%m-%d").to_string(),
            format!("测试第{}水厂", works + 1),
            c.rng.decimal(5, 60, 2),
            c.rng.decimal(30, 90, 2),
            "合格".into(),
            MARK.into(),
        ]
    })
}

fn outlets() -> Plan {
    let [jd, wd, wz] = place();
    entry("zdpw_dw", "重点排污单位名录", "Key polluters", ECOLOGY, Domain::Ecology, "重点排污单位")
        .about("年度重点排污单位名录与监管类别。", &["排污", "名录", "生态环境"])
        .cycle(UpdateCycle::Yearly)
        .system("污染源监管系统")
        .items([
            uscc("tyshxydm", "统一社会信用代码").key(),
            text("dwmc", "单位名称", "Name", 100).required(),
            word("jglb", "监管类别", "Kind", "水环境|大气环境|土壤污染|噪声").lookup(),
            date("lrrq", "列入日期", "Listed on"),
            region(),
            jd,
            wd,
            wz,
        ])
        .rows(800, Dialect::Comma, |c| {
            let n = c.subject() * 3;
            let (firm, county) = (c.firm(n), c.county(n));
            let (x, y) = c.position(&county);
            vec![
                firm.uscc,
                firm.name,
                c.rng.pick(&["水环境", "大气环境", "土壤污染", "噪声"]).into(),
                c.past(360),
                county.code,
                x.clone(),
                y.clone(),
                point(&x, &y),
                MARK.into(),
            ]
        })
}

fn warnings() -> Plan {
    entry("qx_yjxx", "气象预警信息", "Weather warnings", WEATHER, Domain::Weather, "气象预警")
        .about("县级以上气象台站发布的气象灾害预警信号。", &["气象", "预警"])
        .cycle(UpdateCycle::RealTime)
        .system("预警信息发布系统")
        .until(Target::OfflineUpAuditing)
        .items([
            text("yjbh", "预警编号", "Warning number", 32).key(),
            word("yjlx", "预警类型", "Kind", "台风|暴雨|大风|高温|寒潮|大雾|雷电"),
            word("yjjb", "预警级别", "Level", "蓝色|黄色|橙色|红色"),
            moment("fbsj", "发布时间", "Issued at").required(),
            text("yjnr", "预警内容", "Text", 300),
            region(),
        ])
        .rows(1_200, Dialect::Comma, |c| {
            let n = c.subject();
            let county = c.county(n);
            let kind =
                c.rng.pick(&["台风", "暴雨", "大风", "高温", "寒潮", "大雾", "雷电"]).to_owned();
            let level = c.rng.pick(&["蓝色", "蓝色", "黄色", "黄色", "橙色", "红色"]).to_owned();
            vec![
                format!("YJ{}{n:06}", county.code),
                kind.clone(),
                level.clone(),
                format!("{} {:02}:{:02}:00", c.past(365), c.rng.below(24), c.rng.below(60)),
                format!("{}测试气象台发布{kind}{level}预警信号，请注意防范。", county.name),
                county.code,
                MARK.into(),
            ]
        })
}
