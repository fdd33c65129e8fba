//! What each of the eleven cities opens of its own in the demo: an owner and two small sets each, beside the province's entries, so
//! that every city site has something to show. Rows are made like the others' and lie in the city's counties.

use model::code::{DataLevel, Domain, UpdateCycle};
use model::org::{Org, OrgKind};
use model::region::Region;

use super::orgs::{AUTHORITY, CITY, DemoUser, compiler_of};
use super::rows::Dialect;
use super::seeded::decimal;
use super::shape::{Plan, date, entry, integer, number, place, region, text, word};
use super::subject::{Cast, MARK, credit_code, day, point};
use super::{DemoEntry, Target};

/// Everything of the cities.
#[derive(Debug)]
pub(crate) struct CityLayer {
    pub(crate) orgs: Vec<Org>,
    pub(crate) users: Vec<DemoUser>,
    pub(crate) entries: Vec<DemoEntry>,
}

/// Owner and region; Hangzhou's owner is one of the province's organisations already.
const OWNERS: [(&str, &str); 11] = [
    (CITY, "330100"),
    ("nbsj", "330200"),
    ("wzsj", "330300"),
    ("jxsj", "330400"),
    ("huzsj", "330500"),
    ("sxsj", "330600"),
    ("jhsj", "330700"),
    ("quzsj", "330800"),
    ("zssj", "330900"),
    ("tzsj", "331000"),
    ("lssj", "331100"),
];

/// A city with the names that the table of regions has for it.
struct City {
    owner: &'static str,
    region: Region,
}

impl City {
    /// What its owner is called, in Chinese and English.
    fn bureau(&self) -> (String, String) {
        let Region { name_cn, name_en, .. } = &self.region;
        (format!("{name_cn}数据局（演示）"), format!("{name_en} Data Bureau (demo)"))
    }
}

fn cities() -> Vec<City> {
    let regions = model::region::zhejiang();
    let city = |&(owner, code): &(&'static str, &str)| {
        let region = regions.iter().find(|r| r.code == code)?.clone();
        Some(City { owner, region })
    };
    OWNERS.iter().filter_map(city).collect()
}

/// Region, code, Chinese and English title, and what the set is about.
type Set = (&'static str, &'static str, &'static str, &'static str, fn(Plan) -> Plan);

const SETS: [Set; 22] = [
    ("330100", "shi_hz_tcc", "杭州市公共停车场名录", "Public car parks of Hangzhou", car_parks),
    ("330100", "shi_hz_whcg", "杭州市文化场馆开放信息", "Culture venues of Hangzhou", venues),
    ("330200", "shi_nb_clz", "宁波市菜篮子商品价格日报", "Daily food prices of Ningbo", prices),
    ("330200", "shi_nb_cdz", "宁波市公共充电站点位", "Charging stations of Ningbo", charging),
    ("330300", "shi_wz_nmsc", "温州市农贸市场名录", "Food markets of Wenzhou", markets),
    (
        "330300",
        "shi_wz_jqrc",
        "温州市景区日接待人次",
        "Daily visitors of Wenzhou's sights",
        visitors,
    ),
    ("330400", "shi_jx_tcc", "嘉兴市停车场泊位信息", "Parking spaces of Jiaxing", car_parks),
    ("330400", "shi_jx_tsg", "嘉兴市图书馆与文化馆名录", "Libraries of Jiaxing", venues),
    ("330500", "shi_huz_cdz", "湖州市新能源汽车充电站", "Charging stations of Huzhou", charging),
    (
        "330500",
        "shi_huz_jqrc",
        "湖州市乡村景区日接待人次",
        "Visitors of Huzhou's villages",
        visitors,
    ),
    ("330600", "shi_sx_gsmm", "绍兴市古树名木名录", "Old trees of Shaoxing", trees),
    ("330600", "shi_sx_wbcg", "绍兴市文博场馆开放信息", "Museums of Shaoxing", venues),
    ("330700", "shi_jh_sc", "金华市农贸市场名录", "Food markets of Jinhua", markets),
    ("330700", "shi_jh_jg", "金华市菜篮子价格监测", "Food prices of Jinhua", prices),
    ("330800", "shi_quz_gsmm", "衢州市古树名木保护名录", "Protected trees of Quzhou", trees),
    ("330800", "shi_quz_tcc", "衢州市城区停车场信息", "Car parks of Quzhou", car_parks),
    ("330900", "shi_zs_hb", "舟山市客运码头航班时刻", "Passenger sailings of Zhoushan", sailings),
    (
        "330900",
        "shi_zs_jqrc",
        "舟山市海岛景区日接待人次",
        "Visitors of Zhoushan's islands",
        visitors,
    ),
    ("331000", "shi_tz_jg", "台州市农副产品市场价格", "Farm produce prices of Taizhou", prices),
    ("331000", "shi_tz_hb", "台州市陆岛交通航班时刻", "Island sailings of Taizhou", sailings),
    ("331100", "shi_ls_gsmm", "丽水市古树名木资源", "Old trees of Lishui", trees),
    ("331100", "shi_ls_nmsc", "丽水市农贸市场信息", "Food markets of Lishui", markets),
];

/// What the cities open, told by a seed alone: a larger demo does not make it larger.
#[must_use]
pub(crate) fn layer(seed: u64) -> CityLayer {
    let cities = cities();
    let new = || cities.iter().zip(0_u64..).filter(|(city, _)| city.owner != CITY);
    let orgs = new().map(|(city, n)| {
        let (name_cn, name_en) = city.bureau();
        Org {
            id: city.owner.into(),
            uscc: credit_code("11", &city.region.code, 900_100 + n),
            name_cn,
            name_en,
            kind: OrgKind::StateOrgan,
            region: city.region.code.clone(),
            parent: Some(AUTHORITY.into()),
            authority: false,
        }
    });
    let users = new().map(|(city, _)| {
        DemoUser::of_provider(city.owner, &format!("{}数据局", city.region.name_cn))
    });
    let entries = SETS.iter().filter_map(|&(region, code, title, title_en, about)| {
        let city = cities.iter().find(|c| c.region.code == region)?;
        let mut plan = about(entry(code, title, title_en, city.owner, Domain::Living, title));
        plan.draft.region = region.into();
        plan.draft.profile.data_level = Some(DataLevel::City);
        if city.owner != CITY {
            let (owner, _) = city.bureau();
            for item in &mut plan.draft.items {
                item.source_org.clone_from(&owner);
            }
        }
        Some(DemoEntry {
            compiler: compiler_of(city.owner).to_owned(),
            draft: plan.draft,
            target: Target::Online,
            seed,
            scale: 1,
            table: plan.table,
            within: region.get(..4).unwrap_or_default(),
        })
    });
    CityLayer { orgs: orgs.collect(), users: users.collect(), entries: entries.collect() }
}

/// A set of a domain with what it says of itself and how often it changes.
fn told(plan: Plan, domain: Domain, cycle: UpdateCycle, text: &str, tags: &[&str]) -> Plan {
    let mut plan = plan.about(text, tags).cycle(cycle);
    plan.draft.domain = domain;
    plan
}

/// The place of a row: region, longitude, latitude, position, mark.
fn placed(c: &mut Cast<'_>, mut cells: Vec<String>) -> Vec<String> {
    let county = c.county(c.i);
    let (x, y) = c.position(&county);
    let at = point(&x, &y);
    cells.extend([county.code, x, y, at, MARK.to_owned()]);
    cells
}

/// Code and name of a numbered thing in the row's county.
fn thing(c: &Cast<'_>, head: &str, what: &str) -> Vec<String> {
    let county = c.county(c.i);
    let n = c.i + 1;
    vec![format!("{head}{}{n:04}", county.code), format!("{}测试{what}{n:03}", county.name)]
}

fn car_parks(plan: Plan) -> Plan {
    let [jd, wd, wz] = place();
    let text_of = "公共停车场的名称、泊位数、收费方式与位置。";
    told(plan, Domain::Traffic, UpdateCycle::Monthly, text_of, &["停车", "交通", "便民"])
        .items([
            text("tccbm", "停车场编码", "Code", 20).key(),
            text("tccmc", "停车场名称", "Name", 100).required(),
            integer("bws", "泊位数", "Spaces", "个"),
            word("sffs", "收费方式", "Fee", "免费|计时收费|包月").lookup(),
            text("kfsj", "开放时间", "Open hours", 50),
            region(),
            jd,
            wd,
            wz,
        ])
        .rows(120, Dialect::Comma, |c| {
            let mut cells = thing(c, "TC", "停车场");
            cells.push(c.rng.between(30, 620).to_string());
            cells.push(c.rng.pick(&["免费", "计时收费", "计时收费", "包月"]).to_owned());
            cells.push(c.rng.pick(&["全天", "06:00-23:00"]).to_owned());
            placed(c, cells)
        })
}

fn charging(plan: Plan) -> Plan {
    let [jd, wd, wz] = place();
    let text_of = "公共充电站的名称、快慢充桩数与位置。";
    told(plan, Domain::Energy, UpdateCycle::Weekly, text_of, &["充电站", "新能源", "便民"])
        .items([
            text("czbm", "充电站编码", "Code", 20).key(),
            text("czmc", "充电站名称", "Name", 100).required(),
            integer("kczs", "快充桩数", "Fast chargers", "个"),
            integer("mczs", "慢充桩数", "Slow chargers", "个"),
            region(),
            jd,
            wd,
            wz,
        ])
        .rows(100, Dialect::CommaBom, |c| {
            let mut cells = thing(c, "CD", "充电站");
            cells.push(c.rng.between(2, 40).to_string());
            cells.push(c.rng.between(0, 60).to_string());
            placed(c, cells)
        })
}

fn venues(plan: Plan) -> Plan {
    let [jd, wd, wz] = place();
    let text_of = "图书馆、文化馆、博物馆、美术馆的名称、类型、开放时间与位置。";
    told(
        plan,
        Domain::Education,
        UpdateCycle::Quarterly,
        text_of,
        &["文化场馆", "图书馆", "博物馆"],
    )
    .items([
        text("cgbm", "场馆编码", "Code", 20).key(),
        text("cgmc", "场馆名称", "Name", 100).required(),
        word("cglx", "场馆类型", "Kind", "图书馆|文化馆|博物馆|美术馆").lookup(),
        text("kfsj", "开放时间", "Open hours", 50),
        region(),
        jd,
        wd,
        wz,
    ])
    .rows(80, Dialect::Semicolon, |c| {
        let kind = c.rng.pick(&["图书馆", "文化馆", "博物馆", "美术馆"]).to_owned();
        let mut cells = thing(c, "CG", &kind);
        cells.push(kind);
        cells.push(c.rng.pick(&["09:00-17:00（周一闭馆）", "08:30-20:30"]).to_owned());
        placed(c, cells)
    })
}

fn trees(plan: Plan) -> Plan {
    let [jd, wd, wz] = place();
    let text_of = "古树名木的编号、树种、估测树龄、保护级别与位置。";
    told(plan, Domain::Ecology, UpdateCycle::Yearly, text_of, &["古树名木", "园林绿化"])
        .items([
            text("gsbh", "古树编号", "Number", 20).key(),
            text("sz", "树种", "Species", 20).required().lookup(),
            integer("gcsl", "估测树龄", "Age", "年"),
            word("bhjb", "保护级别", "Protection", "一级|二级|三级"),
            region(),
            jd,
            wd,
            wz,
        ])
        .rows(150, Dialect::Tab, |c| {
            let species = c.rng.pick(&["香樟", "银杏", "枫香", "柳杉", "苦槠", "罗汉松", "榧树"]);
            let age = c.rng.between(100, 1_200);
            let level = match age {
                500.. => "一级",
                300..=499 => "二级",
                _ => "三级",
            };
            let code = format!("GS{}{:04}", c.county(c.i).code, c.i + 1);
            placed(c, vec![code, species.to_owned(), age.to_string(), level.to_owned()])
        })
}

fn markets(plan: Plan) -> Plan {
    let text_of = "农贸市场的名称、地址与摊位数。";
    told(plan, Domain::Trade, UpdateCycle::HalfYearly, text_of, &["农贸市场", "菜场", "民生"])
        .items([
            text("scbm", "市场编码", "Code", 20).key(),
            text("scmc", "市场名称", "Name", 100).required(),
            text("dz", "地址", "Address", 200),
            integer("tws", "摊位数", "Stalls", "个"),
            region(),
        ])
        .rows(90, Dialect::Comma, |c| {
            let mut cells = thing(c, "NM", "农贸市场");
            let county = c.county(c.i);
            cells.push(c.address(&county));
            cells.push(c.rng.between(20, 380).to_string());
            cells.extend([county.code, MARK.to_owned()]);
            cells
        })
}

fn prices(plan: Plan) -> Plan {
    const GOODS: [&str; 10] =
        ["青菜", "番茄", "土豆", "猪肉", "鸡蛋", "鲫鱼", "带鱼", "豆腐", "大米", "茭白"];
    let text_of = "主要菜篮子商品在监测市场的当日平均零售价格。";
    told(plan, Domain::Trade, UpdateCycle::Daily, text_of, &["菜篮子", "价格", "民生"])
        .items([
            date("rq", "日期", "Day").key(),
            text("spmc", "商品名称", "Good", 20).key(),
            number("pjjg", "平均价格", "Average price", 8, 2, "元/500克"),
        ])
        .rows(300, Dialect::Comma, |c| {
            let at = c.i % 10;
            let good = GOODS.get(usize::try_from(at).unwrap_or(0)).copied().unwrap_or("青菜");
            let on = day(-1 - i64::try_from(c.i / 10).unwrap_or(0));
            let usual = 250 + i64::try_from(at).unwrap_or(0) * 130;
            let price = usual + c.rng.between(-40, 60);
            vec![on.to_string(), good.to_owned(), decimal(price, 2), MARK.to_owned()]
        })
}

fn visitors(plan: Plan) -> Plan {
    let text_of = "纳入监测的景区每日接待人次。";
    told(plan, Domain::Living, UpdateCycle::Daily, text_of, &["景区", "旅游", "客流"])
        .items([
            date("rq", "日期", "Day").key(),
            text("jqmc", "景区名称", "Sight", 100).key(),
            integer("jdrc", "接待人次", "Visitors", "人次"),
            region(),
        ])
        .rows(200, Dialect::Comma, |c| {
            // One sight of each county on a day, then the day before.
            let sights = (c.counties.len() as u64).max(1);
            let on = day(-1 - i64::try_from(c.i / sights).unwrap_or(0));
            let county = c.county(c.i);
            let count = c.rng.between(180, 9_600).to_string();
            vec![
                on.to_string(),
                format!("{}测试景区", county.name),
                count,
                county.code,
                MARK.to_owned(),
            ]
        })
}

fn sailings(plan: Plan) -> Plan {
    let text_of = "陆岛客运航班的航线、发班时间与票价。";
    told(plan, Domain::Traffic, UpdateCycle::Weekly, text_of, &["航班", "码头", "海岛"])
        .items([
            text("bcbm", "班次编码", "Code", 20).key(),
            text("qymt", "起运码头", "From", 100).required(),
            text("ddmt", "到达码头", "To", 100).required(),
            text("fbsj", "发班时间", "Departs", 5).means("发班的时刻，HH:mm"),
            number("pj", "票价", "Fare", 6, 2, "元"),
            region(),
        ])
        .rows(120, Dialect::Comma, |c| {
            let (from, to) = (c.county(c.i), c.county(c.i + 1));
            let minutes = 360 + c.i * 5;
            vec![
                format!("HB{}{:04}", from.code, c.i + 1),
                format!("{}测试码头", from.name),
                format!("{}测试海岛码头", to.name),
                format!("{:02}:{:02}", minutes / 60, minutes % 60),
                c.rng.decimal(1_500, 9_800, 2),
                from.code,
                MARK.to_owned(),
            ]
        })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::demo::province;

    #[test]
    fn every_city_opens_two_small_sets_of_its_own() {
        let (layer, province) = (layer(7), province(7, 1));
        let cities = cities();
        assert_eq!(cities.len(), OWNERS.len(), "the table of regions has them all");
        for City { owner, region: Region { code: region, .. } } in cities {
            let own: Vec<_> = layer.entries.iter().filter(|e| e.draft.region == region).collect();
            assert_eq!(own.len(), 2, "{region}");
            assert!(own.iter().all(|e| e.draft.org == owner), "{region}");
        }
        let mut codes: BTreeSet<_> = province.entries.iter().map(|e| &e.draft.code).collect();
        let mut files = BTreeSet::new();
        for e in &layer.entries {
            assert!(codes.insert(&e.draft.code), "{}: a code twice", e.draft.code);
            let mut file = Vec::new();
            let written = e.write(&mut file).unwrap();
            assert!((50..=300).contains(&written.rows), "{}: {}", e.draft.code, written.rows);
            let file = String::from_utf8(file).unwrap();
            let head = file.lines().next().unwrap().matches(e.draft.items[1].name_cn.as_str());
            assert_eq!(head.count(), 1, "{}", e.draft.code);
            assert!(files.insert(file), "{}: rows of another", e.draft.code);
        }
        let users: BTreeSet<_> =
            province.users.iter().chain(&layer.users).map(|u| &u.name).collect();
        assert!(layer.entries.iter().all(|e| users.contains(&e.compiler)));
        let orgs: BTreeSet<_> = province.orgs.iter().chain(&layer.orgs).map(|o| &o.uscc).collect();
        assert_eq!(orgs.len(), province.orgs.len() + layer.orgs.len());
    }
}
