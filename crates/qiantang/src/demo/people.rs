//! Entries about people: population, social insurance, housing fund, visits to doctors, and the institutions that
//! serve them.

use model::code::{Domain, Grade, ResourceKind, UpdateCycle};
use model::mask::Mask;

use super::Target;
use super::orgs::{AUTHORITY, CIVIL, CULTURE, EDUCATION, HEALTH, LABOUR, POLICE};
use super::rows::Dialect;
use super::shape::{Plan, citizen, date, entry, integer, number, place, region, text, uscc, word};
use super::subject::{Cast, MARK, person, point};

const NATIONS: [&str; 6] = ["汉族", "汉族", "汉族", "汉族", "畲族", "回族"];

pub(super) fn plans() -> Vec<Plan> {
    let mut all = vec![population(), insurance(), fund(), visits()];
    all.push(census());
    all.extend([schools(), hospitals(), nursing(), museums(), scenic(), welfare()]);
    all
}

fn population() -> Plan {
    entry("rk_jbxx", "人口基本信息", "Population basics", POLICE, Domain::PublicSafety, "自然人")
        .about("户籍与居住人口的基本信息，是人口综合库的核心目录。", &["人口", "基础库"])
        .cycle(UpdateCycle::Daily)
        .system("人口综合库")
        .share_if("须有法定职责依据，仅限申请事项所需的数据项，按掩码规则提供")
        .never_open()
        .items([
            citizen("sfzh", "公民身份号码", "Citizen id number").key(),
            text("xm", "姓名", "Name", 50).grade(Grade::L3).required(),
            word("xb", "性别", "Sex", "男|女").grade(Grade::L2),
            date("csrq", "出生日期", "Date of birth").grade(Grade::L3),
            text("mz", "民族", "Nationality", 20).grade(Grade::L2),
            text("hjdz", "户籍地址", "Registered address", 100).grade(Grade::L3).mask(Mask::Hash),
            text("sjh", "手机号", "Mobile number", 11).grade(Grade::L3).lookup(),
            region(),
        ])
        .rows(5_000, Dialect::Comma, |c| {
            let p = person(c.subject());
            let county = c.county(c.subject());
            vec![
                p.id,
                p.name,
                p.sex.into(),
                p.born.format("%Y-%m-%d").to_string(),
                c.rng.pick(&NATIONS).into(),
                c.address(&county),
                c.mobile(),
                county.code,
                MARK.into(),
            ]
        })
}

fn insurance() -> Plan {
    entry(
        "sb_cbxx",
        "社会保险参保信息",
        "Social insurance participation",
        LABOUR,
        Domain::Employment,
        "参保人",
    )
    .about("城镇职工社会保险参保登记与缴费状态。", &["社保", "就业"])
    .cycle(UpdateCycle::Monthly)
    .system("社会保险业务系统")
    .share_if("用于办理本人授权的政务服务事项")
    .never_open()
    .items([
        citizen("sfzh", "公民身份号码", "Citizen id number").key(),
        text("xm", "姓名", "Name", 50).grade(Grade::L3),
        word(
            "xzlx",
            "险种类型",
            "Kind of insurance",
            "企业职工基本养老保险|城乡居民养老保险|失业保险|工伤保险",
        )
        .key(),
        uscc("tyshxydm", "参保单位统一社会信用代码").grade(Grade::L2).lookup(),
        date("cbrq", "参保日期", "Joined on").grade(Grade::L2),
        number("jfjs", "月缴费基数", "Monthly base", 10, 2, "元").grade(Grade::L3),
        word("cbzt", "参保状态", "State", "正常参保|暂停缴费|终止参保").grade(Grade::L2),
    ])
    .rows(4_000, Dialect::CommaBom, |c| {
        let p = person(c.subject());
        let firm = c.firm(c.subject() / 20);
        vec![
            p.id,
            p.name,
            "企业职工基本养老保险".into(),
            firm.uscc,
            c.past(4_000),
            c.rng.decimal(446_200, 2_431_000, 2),
            c.rng.pick(&["正常参保", "正常参保", "正常参保", "暂停缴费", "终止参保"]).into(),
            MARK.into(),
        ]
    })
}

fn fund() -> Plan {
    entry(
        "gjj_jcxx",
        "住房公积金缴存信息",
        "Housing fund deposits",
        LABOUR,
        Domain::Housing,
        "缴存人",
    )
    .about("住房公积金个人账户缴存状态，用于住房保障联办。", &["公积金", "住房保障"])
    .system("公积金归集系统")
    .share_if("须取得本人授权")
    .never_open()
    .until(Target::UpReject)
    .items([
        citizen("sfzh", "公民身份号码", "Citizen id number").key(),
        text("xm", "姓名", "Name", 50).grade(Grade::L3),
        number("yjce", "月缴存额", "Monthly deposit", 10, 2, "元").grade(Grade::L3),
        text("jzny", "缴至年月", "Paid up to", 7).grade(Grade::L2),
        word("jczt", "缴存状态", "State", "正常|封存").grade(Grade::L2),
    ])
    .rows(2_000, Dialect::Comma, |c| {
        let p = person(c.subject() * 3);
        let month = format!("2025-{:02}", c.rng.between(7, 12));
        vec![
            p.id,
            p.name,
            c.rng.decimal(50_000, 600_000, 2),
            month,
            c.rng.pick(&["正常", "正常", "正常", "封存"]).into(),
            MARK.into(),
        ]
    })
}

fn visits() -> Plan {
    entry("jz_jlxx", "个人就诊记录", "Visits to doctors", HEALTH, Domain::Health, "患者")
        .about("门诊与住院就诊摘要，属敏感个人信息，仅本机构使用。", &["医疗", "健康档案"])
        .cycle(UpdateCycle::Daily)
        .system("全民健康信息平台")
        .never_share("《个人信息保护法》关于医疗健康敏感个人信息的规定")
        .never_open()
        .until(Target::PubAuditing)
        .items([
            text("jzlsh", "就诊流水号", "Visit number", 32).key(),
            citizen("sfzh", "公民身份号码", "Citizen id number").grade(Grade::L4),
            text("zdjg", "诊断结果", "Diagnosis", 200).grade(Grade::L4),
            date("jzrq", "就诊日期", "Visited on").grade(Grade::L4),
            text("yljgmc", "医疗机构名称", "Institution", 100).grade(Grade::L2),
        ])
}

fn census() -> Plan {
    entry(
        "rkpc_qx7",
        "第七次人口普查县级汇总",
        "Census 2020 by county",
        AUTHORITY,
        Domain::Bodies,
        "县级行政区划",
    )
    .about("第七次人口普查按县级行政区划的汇总数，普查结束后不再更新。", &["人口", "普查", "统计"])
    .kind(ResourceKind::File)
    .cycle(UpdateCycle::Never)
    .system("普查数据管理系统")
    .items([
        region().key(),
        text("qhmc", "行政区划名称", "Region", 50).required(),
        integer("czrks", "常住人口数", "Residents", "人"),
        integer("jths", "家庭户数", "Households", "户"),
        date("bzsd", "标准时点", "Reference day").required(),
    ])
    .rows(90, Dialect::Comma, |c| {
        let county = c.county(c.i);
        let people = c.rng.between(80_000, 1_600_000);
        vec![
            county.code,
            county.name,
            people.to_string(),
            (people / 3).to_string(),
            "2020-11-01".into(),
            MARK.into(),
        ]
    })
}

/// An institution with name, address, telephone and position: the shape of many name lists.
fn institution(plan: Plan, kind: (&str, &str, &str), size: (&str, &str, &str)) -> Plan {
    let [jd, wd, wz] = place();
    plan.items([
        text("jgdm", "机构代码", "Institution code", 20).key(),
        text("jgmc", "机构名称", "Name", 100).required().lookup(),
        word(kind.0, kind.1, "Kind", kind.2),
        text("dz", "地址", "Address", 120),
        integer(size.0, size.1, "Size", size.2),
        text("lxdh", "联系电话", "Telephone", 20),
        region(),
        jd,
        wd,
        wz,
    ])
}

fn institution_row(
    c: &mut Cast<'_>,
    prefix: &str,
    name: &str,
    kinds: &[&str],
    size: (i64, i64),
) -> Vec<String> {
    let n = c.subject();
    let county = c.county(n);
    let (x, y) = c.position(&county);
    vec![
        format!("{prefix}{}{:05}", county.code, n % 100_000),
        format!("{}测试第{}{name}", county.name, n + 1),
        c.rng.pick(kinds).into(),
        c.address(&county),
        c.rng.between(size.0, size.1).to_string(),
        format!("0571-000{:05}", c.rng.below(100_000)),
        county.code,
        x.clone(),
        y.clone(),
        point(&x, &y),
        MARK.into(),
    ]
}

fn schools() -> Plan {
    let plan = entry("xx_ml", "中小学校名录", "Schools", EDUCATION, Domain::Education, "学校")
        .about("经批准设立的中小学校与幼儿园名录。", &["教育", "学校", "名录"])
        .cycle(UpdateCycle::Yearly)
        .system("教育事业统计系统");
    institution(
        plan,
        ("xxlx", "学校类型", "幼儿园|小学|初级中学|高级中学|九年一贯制学校"),
        ("zxss", "在校学生数", "人"),
    )
    .rows(1_500, Dialect::Comma, |c| {
        institution_row(
            c,
            "XX",
            "学校",
            &["幼儿园", "小学", "小学", "初级中学", "高级中学", "九年一贯制学校"],
            (80, 3_600),
        )
    })
}

fn hospitals() -> Plan {
    let plan =
        entry("yy_ml", "医疗机构名录", "Medical institutions", HEALTH, Domain::Health, "医疗机构")
            .about("取得执业许可的医院、卫生院与社区卫生服务中心名录。", &["医疗", "医院", "名录"])
            .cycle(UpdateCycle::Quarterly)
            .system("医疗机构登记系统");
    institution(
        plan,
        ("jglx", "机构类型", "三级医院|二级医院|一级医院|社区卫生服务中心|乡镇卫生院"),
        ("cws", "床位数", "张"),
    )
    .rows(900, Dialect::Semicolon, |c| {
        institution_row(
            c,
            "YY",
            "医院",
            &["三级医院", "二级医院", "一级医院", "社区卫生服务中心", "乡镇卫生院"],
            (20, 2_500),
        )
    })
}

fn nursing() -> Plan {
    let plan = entry("yljg_ml", "养老机构名录", "Nursing homes", CIVIL, Domain::Relief, "养老机构")
        .about("依法登记备案的养老机构及其床位。", &["养老", "民政", "名录"])
        .cycle(UpdateCycle::Quarterly)
        .system("养老服务管理系统")
        .until(Target::Offline);
    institution(plan, ("jglx", "机构类型", "公办|公建民营|民办"), ("cws", "床位数", "张")).rows(
        700,
        Dialect::Comma,
        |c| institution_row(c, "YL", "养老院", &["公办", "公建民营", "民办"], (20, 600)),
    )
}

fn welfare() -> Plan {
    let plan =
        entry("fljg_ml", "福利机构名录", "Welfare institutions", CIVIL, Domain::Relief, "福利机构")
            .about(
                "儿童福利院、救助管理站等福利机构名录，地址与接收能力受限开放。",
                &["民政", "福利", "名录"],
            )
            .cycle(UpdateCycle::Irregular)
            .system("社会福利管理系统")
            .open_if("签订开放利用协议，用于公益服务")
            .until(Target::ChangeReject);
    institution(
        plan,
        ("jglx", "机构类型", "儿童福利院|救助管理站|残疾人托养中心"),
        ("jsrs", "接收能力", "人"),
    )
    .rows(300, Dialect::Comma, |c| {
        institution_row(
            c,
            "FL",
            "福利院",
            &["儿童福利院", "救助管理站", "残疾人托养中心"],
            (10, 300),
        )
    })
}

fn museums() -> Plan {
    let plan = entry("bwg_ml", "博物馆名录", "Museums", CULTURE, Domain::Education, "博物馆")
        .about("备案博物馆的基本信息与藏品数量。", &["文化", "博物馆", "名录"])
        .cycle(UpdateCycle::Yearly)
        .system("博物馆年报系统")
        .until(Target::ChangeAuditing);
    institution(
        plan,
        ("bwglx", "博物馆类型", "历史文化|艺术|自然科技|综合地志|革命纪念"),
        ("cps", "藏品数", "件/套"),
    )
    .rows(400, Dialect::Comma, |c| {
        institution_row(
            c,
            "BW",
            "博物馆",
            &["历史文化", "艺术", "自然科技", "综合地志", "革命纪念"],
            (100, 80_000),
        )
    })
}

fn scenic() -> Plan {
    entry("jq_ml", "A级旅游景区名录", "Scenic areas", CULTURE, Domain::Living, "景区")
        .about("国家A级旅游景区名录与最大承载量。", &["旅游", "景区"])
        .cycle(UpdateCycle::Quarterly)
        .system("文旅资源系统")
        .until(Target::PubReject)
        .items([
            text("jqdm", "景区代码", "Code", 20).key(),
            text("jqmc", "景区名称", "Name", 100).required(),
            word("jqdj", "景区等级", "Class", "5A|4A|3A|2A"),
            date("pdrq", "评定日期", "Rated on"),
            integer("zdczl", "日最大承载量", "Daily capacity", "人次"),
        ])
}
