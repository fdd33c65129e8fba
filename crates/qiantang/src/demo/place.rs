//! Entries about places: addresses, public facilities on the map, real estate, hazard sites, filling stations.

use model::code::{Domain, Grade, UpdateCycle};

use super::Target;
use super::orgs::{LAND, MARKET};
use super::rows::Dialect;
use super::shape::{Plan, citizen, date, entry, integer, number, place, region, text, word};
use super::subject::{MARK, person, point};

pub(super) fn plans() -> Vec<Plan> {
    vec![addresses(), facilities(), estate(), hazards(), stations()]
}

fn addresses() -> Plan {
    let [jd, wd, wz] = place();
    entry("dmdz_bz", "标准地名地址", "Standard addresses", LAND, Domain::Geo, "地址")
        .about(
            "经标准化处理的地名地址及其坐标，是自然资源与空间地理库的基础数据。",
            &["地名地址", "空间地理", "基础库"],
        )
        .cycle(UpdateCycle::Monthly)
        .system("地理信息公共服务平台")
        .open_if("坐标用于非涉密场景，签订开放利用协议")
        .items([
            text("dzbm", "地址编码", "Address code", 32).key(),
            text("dzqc", "地址全称", "Full address", 120).required().lookup(),
            text("jdmc", "街道名称", "Street", 50),
            region(),
            jd,
            wd,
            wz,
        ])
        .rows(3_000, Dialect::Comma, |c| {
            let n = c.subject();
            let county = c.county(n);
            let (x, y) = c.position(&county);
            vec![
                format!("DZ{}{n:08}", county.code),
                c.address(&county),
                format!("测试{}街道", c.rng.between(1, 20)),
                county.code,
                x.clone(),
                y.clone(),
                point(&x, &y),
                MARK.into(),
            ]
        })
}

fn facilities() -> Plan {
    let [jd, wd, wz] = place();
    entry("ggss_dw", "公共服务设施点位", "Public facilities", LAND, Domain::Geo, "公共服务设施")
        .about(
            "公共厕所、公园、充电站等公共服务设施的位置与开放时间。",
            &["公共设施", "地图", "便民"],
        )
        .cycle(UpdateCycle::Quarterly)
        .system("地理信息公共服务平台")
        .items([
            text("ssbm", "设施编码", "Facility code", 20).key(),
            text("ssmc", "设施名称", "Name", 100).required(),
            word(
                "sslx",
                "设施类型",
                "Kind",
                "公共厕所|公园绿地|充电站|图书馆|体育场馆|避灾安置场所",
            )
            .lookup(),
            text("kfsj", "开放时间", "Open hours", 50),
            region(),
            jd,
            wd,
            wz,
        ])
        .rows(2_000, Dialect::Comma, |c| {
            let n = c.subject();
            let county = c.county(n);
            let (x, y) = c.position(&county);
            let kind = c
                .rng
                .pick(&["公共厕所", "公园绿地", "充电站", "图书馆", "体育场馆", "避灾安置场所"])
                .to_owned();
            vec![
                format!("SS{}{:06}", county.code, n % 1_000_000),
                format!("{}测试{kind}{n:04}", county.name),
                kind,
                c.rng.pick(&["全天", "06:00-22:00", "08:30-17:30", "09:00-21:00"]).into(),
                county.code,
                x.clone(),
                y.clone(),
                point(&x, &y),
                MARK.into(),
            ]
        })
}

fn estate() -> Plan {
    entry("bdc_djxx", "不动产登记信息", "Real estate registration", LAND, Domain::Housing, "不动产")
        .about("不动产权利登记摘要，仅用于法定查询。", &["不动产", "登记"])
        .cycle(UpdateCycle::Daily)
        .system("不动产登记系统")
        .never_share("《不动产登记资料查询暂行办法》关于查询主体的规定")
        .never_open()
        .items([
            text("bdcdyh", "不动产单元号", "Unit number", 28).key(),
            citizen("qlrzjh", "权利人证件号", "Holder's id number").grade(Grade::L4),
            text("qlrxm", "权利人姓名", "Holder", 50).grade(Grade::L4),
            number("jzmj", "建筑面积", "Floor area", 10, 2, "平方米").grade(Grade::L3),
            word("yt", "用途", "Use", "住宅|商业|办公|工业").grade(Grade::L2),
            date("djrq", "登记日期", "Registered on").grade(Grade::L3),
        ])
        .rows(1_500, Dialect::Comma, |c| {
            let n = c.subject();
            let (p, county) = (person(n * 7), c.county(n));
            vec![
                // Five digits of a parcel and four of a house in it: as many units as any scale asks for.
                format!("{}999999GB{:05}F0001{:04}", county.code, n % 100_000, n / 100_000 + 1),
                p.id,
                p.name,
                c.rng.decimal(3_500, 30_000, 2),
                c.rng.pick(&["住宅", "住宅", "商业", "办公", "工业"]).into(),
                c.past(6_000),
                MARK.into(),
            ]
        })
}

fn hazards() -> Plan {
    let [jd, wd, wz] = place();
    entry(
        "dzzh_yhd",
        "地质灾害隐患点",
        "Geological hazard sites",
        LAND,
        Domain::Safety,
        "地质灾害隐患点",
    )
    .about("在册地质灾害隐患点及其防治状态。", &["地质灾害", "防汛防台"])
    .system("地质灾害防治系统")
    .until(Target::DownReject)
    .items([
        text("yhdbh", "隐患点编号", "Site number", 20).key(),
        word("zhlx", "灾害类型", "Kind", "滑坡|崩塌|泥石流|地面塌陷"),
        word("wxdj", "危险等级", "Danger", "低|中|高"),
        integer("wxrk", "威胁人口", "People at risk", "人"),
        date("pcrq", "排查日期", "Inspected on"),
        region(),
        jd,
        wd,
        wz,
    ])
    .rows(500, Dialect::Comma, |c| {
        let n = c.subject();
        let county = c.county(n);
        let (x, y) = c.position(&county);
        vec![
            format!("DZ{}{n:05}", county.code),
            c.rng.pick(&["滑坡", "滑坡", "崩塌", "泥石流", "地面塌陷"]).into(),
            c.rng.pick(&["低", "中", "高"]).into(),
            c.rng.between(0, 120).to_string(),
            c.past(300),
            county.code,
            x.clone(),
            y.clone(),
            point(&x, &y),
            MARK.into(),
        ]
    })
}

fn stations() -> Plan {
    let [jd, wd, wz] = place();
    entry("jyz_ml", "加油加气站名录", "Filling stations", MARKET, Domain::Energy, "加油加气站")
        .about("取得成品油经营资格的加油加气站。", &["能源", "加油站"])
        .cycle(UpdateCycle::HalfYearly)
        .system("成品油监管系统")
        .until(Target::OfflineUpReject)
        .items([
            text("zdbm", "站点编码", "Station code", 20).key(),
            text("zdmc", "站点名称", "Name", 100).required(),
            word("zdlx", "站点类型", "Kind", "加油站|加气站|油气合建站"),
            date("fzrq", "发证日期", "Licensed on"),
            region(),
            jd,
            wd,
            wz,
        ])
        .rows(400, Dialect::Comma, |c| {
            let n = c.subject();
            let county = c.county(n);
            let (x, y) = c.position(&county);
            vec![
                format!("JY{}{n:05}", county.code),
                format!("{}测试加油站{n:03}", county.name),
                c.rng.pick(&["加油站", "加油站", "加气站", "油气合建站"]).into(),
                c.past(2_000),
                county.code,
                x.clone(),
                y.clone(),
                point(&x, &y),
                MARK.into(),
            ]
        })
}
