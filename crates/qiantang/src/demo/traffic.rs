//! Entries about transport: bus lines and arrivals, car parks, metro passengers, congestion.

use model::code::{Domain, Grade, ResourceKind, UpdateCycle};

use super::Target;
use super::orgs::{CITY, TRAFFIC};
use super::rows::Dialect;
use super::shape::{Plan, date, entry, integer, moment, number, place, region, text, word};
use super::subject::{CITIES, HANGZHOU, MARK, day, point};

pub(super) fn plans() -> Vec<Plan> {
    vec![lines(), arrivals(), parking(), metro(), congestion()]
}

fn lines() -> Plan {
    entry("gj_xl", "公交线路", "Bus lines", TRAFFIC, Domain::Traffic, "公交线路")
        .about("全省城市公交线路的首末站与首末班时间。", &["公交", "交通出行"])
        .cycle(UpdateCycle::Monthly)
        .system("公共交通管理系统")
        .items([
            text("xlbm", "线路编码", "Line code", 20).key(),
            text("xlmc", "线路名称", "Line", 50).required().lookup(),
            text("szmc", "首站名称", "First stop", 50),
            text("mzmc", "末站名称", "Last stop", 50),
            text("sbsj", "首班时间", "First bus", 5),
            text("mbsj", "末班时间", "Last bus", 5),
            number("xlcd", "线路长度", "Length", 6, 2, "公里"),
            text("csdm", "城市代码", "City code", 6).lookup(),
        ])
        .rows(900, Dialect::Comma, |c| {
            let n = c.i;
            let city =
                CITIES.get(usize::try_from(n % 11).unwrap_or(0)).copied().unwrap_or(HANGZHOU);
            vec![
                format!("GJ{}{n:05}", city.0),
                format!("测试{}路", n / 11 + 1),
                format!("测试{}公交站", c.rng.pick(&["火车站", "东站", "体育中心", "大学城"])),
                format!("测试{}公交站", c.rng.pick(&["高铁站", "客运中心", "科技园", "湿地"])),
                format!("0{}:{:02}", c.rng.between(5, 6), c.rng.between(0, 5) * 10),
                format!("2{}:{:02}", c.rng.between(0, 3), c.rng.between(0, 5) * 10),
                c.rng.decimal(520, 4_800, 2),
                city.0.into(),
                MARK.into(),
            ]
        })
}

fn arrivals() -> Plan {
    entry("gj_dzxx", "公交到站信息", "Bus arrivals", TRAFFIC, Domain::Traffic, "公交到站")
        .about("公交车辆到站时间与拥挤程度的历史记录。", &["公交", "实时", "交通出行"])
        .kind(ResourceKind::Api)
        .cycle(UpdateCycle::RealTime)
        .system("公交智能调度系统")
        .incremental()
        .items([
            text("dzlsh", "到站流水号", "Record number", 20).key(),
            text("xlbm", "线路编码", "Line code", 20).required().lookup(),
            text("zdmc", "站点名称", "Stop", 50),
            moment("dzsj", "到站时间", "Arrived at").required(),
            integer("wdjg", "误点秒数", "Delay", "秒"),
            word("yjcd", "拥挤程度", "Crowding", "宽松|适中|拥挤"),
        ])
        .rows(20_000, Dialect::Comma, |c| {
            let n = c.i;
            let city =
                CITIES.get(usize::try_from(n % 11).unwrap_or(0)).copied().unwrap_or(HANGZHOU);
            let on = day(-1 - i64::try_from(n / 5_000).unwrap_or(0)).format("%Y-%m-%d");
            vec![
                format!("DZ{n:012}"),
                format!("GJ{}{:05}", city.0, n % 900),
                format!("测试{}站", c.rng.between(1, 60)),
                format!(
                    "{on} {:02}:{:02}:{:02}",
                    c.rng.between(5, 22),
                    c.rng.below(60),
                    c.rng.below(60)
                ),
                c.rng.between(-120, 600).to_string(),
                c.rng.pick(&["宽松", "适中", "适中", "拥挤"]).into(),
                MARK.into(),
            ]
        })
}

fn parking() -> Plan {
    let [jd, wd, wz] = place();
    entry("tcc_xx", "公共停车场信息", "Public car parks", CITY, Domain::Traffic, "停车场")
        .about(
            "公共停车场的位置、泊位数与收费标准，实时余位受限开放。",
            &["停车", "便民", "城市大脑"],
        )
        .region("330100")
        .cycle(UpdateCycle::RealTime)
        .system("城市停车系统")
        .open_if("实名认证，用于出行服务")
        .items([
            text("tccbm", "停车场编码", "Code", 20).key(),
            text("tccmc", "停车场名称", "Name", 100).required(),
            integer("bws", "泊位数", "Spaces", "个"),
            integer("sysl", "剩余泊位数", "Free spaces", "个").grade(Grade::L2),
            number("sfbz", "收费标准", "Fee", 5, 2, "元/小时"),
            region(),
            jd,
            wd,
            wz,
        ])
        .rows(1_200, Dialect::CommaBom, |c| {
            let n = c.i;
            // The 13 county units of Hangzhou come first in the list.
            let county = c.county(n % 13);
            let (x, y) = c.position(&county);
            let spaces = c.rng.between(20, 1_500);
            vec![
                format!("TC{}{n:05}", county.code),
                format!("{}测试停车场{n:04}", county.name),
                spaces.to_string(),
                c.rng.between(0, spaces).to_string(),
                c.rng.decimal(200, 1_200, 2),
                county.code,
                x.clone(),
                y.clone(),
                point(&x, &y),
                MARK.into(),
            ]
        })
}

fn metro() -> Plan {
    entry("dt_kl", "地铁站点客流", "Metro passengers", CITY, Domain::Traffic, "地铁客流")
        .about("地铁站点分时进站与出站人次。", &["地铁", "客流"])
        .region("330100")
        .cycle(UpdateCycle::Daily)
        .system("轨道交通清分系统")
        .until(Target::UpAuditing)
        .items([
            text("zdbm", "站点编码", "Station code", 10).key(),
            date("rq", "日期", "Day").key(),
            integer("xs", "小时", "Hour", "时").key(),
            integer("jzrc", "进站人次", "In", "人次"),
            integer("czrc", "出站人次", "Out", "人次"),
        ])
        .rows(6_000, Dialect::Comma, |c| {
            let station = c.i % 60;
            let slot = i64::try_from(c.i / 60).unwrap_or(0);
            let hour = 6 + slot % 18;
            let busy = if matches!(hour, 7..=9 | 17..=19) { 4 } else { 1 };
            vec![
                format!("DT{station:03}"),
                day(-1 - slot / 18).format("%Y-%m-%d").to_string(),
                hour.to_string(),
                (c.rng.between(80, 900) * busy).to_string(),
                (c.rng.between(80, 900) * busy).to_string(),
                MARK.into(),
            ]
        })
}

fn congestion() -> Plan {
    entry("dl_ydzs", "道路拥堵指数", "Congestion index", CITY, Domain::Traffic, "道路")
        .about("主要道路分时拥堵指数与平均车速。", &["拥堵", "道路", "城市大脑"])
        .region("330100")
        .cycle(UpdateCycle::RealTime)
        .system("城市交通大脑")
        .until(Target::DownAuditing)
        .items([
            text("dlbm", "道路编码", "Road code", 10).key(),
            moment("tjsj", "统计时间", "At").key(),
            text("dlmc", "道路名称", "Road", 50),
            number("ydzs", "拥堵指数", "Index", 4, 2, ""),
            number("pjcs", "平均车速", "Speed", 5, 1, "公里/小时"),
        ])
        .rows(6_000, Dialect::Comma, |c| {
            let road = c.i % 50;
            let slot = i64::try_from(c.i / 50).unwrap_or(0);
            let on = day(-1 - slot / 24).format("%Y-%m-%d");
            vec![
                format!("DL{road:03}"),
                format!("{on} {:02}:00:00", slot % 24),
                format!("测试{}路", road + 1),
                c.rng.decimal(100, 950, 2),
                c.rng.decimal(80, 620, 1),
                MARK.into(),
            ]
        })
}
