//! Entries about legal persons: registration, credit, licences, penalties, certificates, annual reports.

use model::code::{Domain, Grade, ResourceKind, UpdateCycle};
use model::mask::Mask;

use super::Target;
use super::orgs::{CREDIT, MARKET, SERVICE};
use super::rows::Dialect;
use super::shape::{Plan, date, entry, integer, number, region, text, uscc, word};
use super::subject::{MARK, person};

pub(super) fn plans() -> Vec<Plan> {
    vec![registration(), credit(), licences(), penalties(), certificates(), reports(), prices()]
}

fn registration() -> Plan {
    entry("fr_jbxx", "法人基本信息", "Legal persons", MARKET, Domain::Market, "法人")
        .about(
            "企业、个体工商户等市场主体的登记信息，是法人综合库的核心目录。",
            &["法人", "企业", "基础库"],
        )
        .cycle(UpdateCycle::Daily)
        .system("市场主体登记系统")
        .share_if("用于履行法定职责，联系方式仅限本级监管事项")
        .open_if("实名认证并签订开放利用协议")
        .items([
            uscc("tyshxydm", "统一社会信用代码").key(),
            text("qymc", "企业名称", "Name", 100).required().lookup(),
            text("fddbr", "法定代表人", "Legal representative", 50).grade(Grade::L2),
            date("clrq", "成立日期", "Established on").required(),
            number("zczb", "注册资本", "Registered capital", 14, 2, "万元"),
            word("qylx", "企业类型", "Kind", "有限责任公司|股份有限公司|个人独资企业|合伙企业"),
            word("djzt", "登记状态", "State", "存续|注销|吊销|迁出"),
            text("zs", "住所", "Address", 120).grade(Grade::L2),
            text("lxdh", "联系电话", "Telephone", 20).grade(Grade::L3).mask(Mask::FormatPreserving),
            text("hydm", "行业代码", "Industry code (GB/T 4754)", 4),
            region(),
        ])
        .rows(4_000, Dialect::Comma, |c| {
            let n = c.subject();
            let (firm, county) = (c.firm(n), c.county(n));
            vec![
                firm.uscc,
                firm.name,
                person(n * 5).name,
                c.past(9_000),
                c.rng.decimal(1_000, 50_000_000, 2),
                c.rng
                    .pick(&[
                        "有限责任公司",
                        "有限责任公司",
                        "股份有限公司",
                        "个人独资企业",
                        "合伙企业",
                    ])
                    .into(),
                c.rng.pick(&["存续", "存续", "存续", "存续", "注销", "吊销", "迁出"]).into(),
                c.address(&county),
                c.mobile(),
                c.rng.pick(&["C261", "F516", "I651", "G543", "E481", "A015", "L729"]).into(),
                county.code,
                MARK.into(),
            ]
        })
}

fn credit() -> Plan {
    entry(
        "qy_xypj",
        "企业公共信用评价",
        "Credit rating of enterprises",
        CREDIT,
        Domain::Credit,
        "企业",
    )
    .about("依据公共信用信息对企业作出的年度评价等级与得分。", &["信用", "企业", "评价"])
    .cycle(UpdateCycle::Monthly)
    .system("公共信用信息平台")
    .items([
        uscc("tyshxydm", "统一社会信用代码").key(),
        text("qymc", "企业名称", "Name", 100).required(),
        word("pjdj", "评价等级", "Rating", "优秀|良好|中等|较差|差").lookup(),
        integer("pjdf", "评价得分", "Score", "分"),
        date("pjrq", "评价日期", "Rated on").required(),
        region(),
    ])
    .rows(3_000, Dialect::Comma, |c| {
        let n = c.subject();
        let score = c.rng.between(420, 990);
        let rating = match score {
            850.. => "优秀",
            750..=849 => "良好",
            650..=749 => "中等",
            550..=649 => "较差",
            _ => "差",
        };
        let (firm, county) = (c.firm(n), c.county(n));
        vec![
            firm.uscc,
            firm.name,
            rating.into(),
            score.to_string(),
            c.past(365),
            county.code,
            MARK.into(),
        ]
    })
}

fn licences() -> Plan {
    entry(
        "xzxk_gs",
        "行政许可公示信息",
        "Administrative licences",
        MARKET,
        Domain::Credit,
        "行政许可",
    )
    .about("依法公示的行政许可决定。", &["行政许可", "双公示", "信用"])
    .cycle(UpdateCycle::Daily)
    .system("行政审批系统")
    .incremental()
    .items([
        text("xkwsh", "许可决定文书号", "Decision number", 64).key(),
        uscc("tyshxydm", "行政相对人统一社会信用代码").required().lookup(),
        text("xdrmc", "行政相对人名称", "Holder", 100),
        text("xkxm", "许可事项名称", "Matter", 100),
        date("jdrq", "许可决定日期", "Decided on").required(),
        date("yxqz", "有效期至", "Valid until"),
        text("xkjg", "许可机关", "Authority", 100),
    ])
    .rows(4_000, Dialect::Comma, |c| {
        let n = c.subject();
        let (firm, county) = (c.firm(n / 2), c.county(n / 2));
        let decided = c.past(700);
        let until = super::subject::day(c.rng.between(10, 1_800)).format("%Y-%m-%d").to_string();
        vec![
            format!("{}测许〔2025〕第{n:06}号", county.name),
            firm.uscc,
            firm.name,
            c.rng
                .pick(&["食品经营许可", "特种设备使用登记", "公共场所卫生许可", "道路运输经营许可"])
                .into(),
            decided,
            until,
            format!("{}测试审批局", county.name),
            MARK.into(),
        ]
    })
}

fn penalties() -> Plan {
    entry(
        "xzcf_gs",
        "行政处罚公示信息",
        "Administrative penalties",
        MARKET,
        Domain::Credit,
        "行政处罚",
    )
    .about("依法公示的行政处罚决定，公示期满按规定撤下。", &["行政处罚", "双公示", "信用"])
    .cycle(UpdateCycle::Daily)
    .system("行政处罚办案系统")
    .items([
        text("cfwsh", "处罚决定文书号", "Decision number", 64).key(),
        uscc("tyshxydm", "行政相对人统一社会信用代码").required().lookup(),
        text("xdrmc", "行政相对人名称", "Party", 100),
        text("cfsy", "处罚事由", "Cause", 200),
        word("cflb", "处罚类别", "Kind", "警告|罚款|没收违法所得|责令停产停业"),
        number("fkje", "罚款金额", "Fine", 12, 2, "元"),
        date("cfrq", "处罚日期", "Decided on").required(),
    ])
    .rows(1_500, Dialect::Tab, |c| {
        let n = c.subject();
        let (firm, county) = (c.firm(n * 2), c.county(n * 2));
        let kind = c.rng.pick(&["罚款", "罚款", "警告", "没收违法所得", "责令停产停业"]).to_owned();
        let fine =
            if kind == "罚款" { c.rng.decimal(20_000, 20_000_000, 2) } else { String::new() };
        vec![
            format!("{}测罚〔2025〕第{n:05}号", county.name),
            firm.uscc,
            firm.name,
            c.rng
                .pick(&[
                    "未按规定公示年度报告",
                    "广告宣传不规范",
                    "计量器具超期未检定",
                    "未亮证经营",
                ])
                .into(),
            kind,
            fine,
            c.past(900),
            MARK.into(),
        ]
    })
}

fn certificates() -> Plan {
    entry(
        "dzzz_yyzz",
        "电子证照（营业执照）",
        "Electronic certificates: business licence",
        SERVICE,
        Domain::Business,
        "电子证照",
    )
    .about("营业执照电子证照的目录与状态，用于免交材料。", &["电子证照", "营业执照", "免证办"])
    .kind(ResourceKind::Api)
    .cycle(UpdateCycle::RealTime)
    .system("电子证照库")
    .share_if("用于政务服务事项办理时核验")
    .never_open()
    .items([
        text("zzbs", "证照标识", "Certificate id", 64).key(),
        text("zzhm", "证照号码", "Certificate number", 32).lookup(),
        text("cyrmc", "持有人名称", "Holder", 100).grade(Grade::L2),
        uscc("cyrdm", "持有人代码").grade(Grade::L2).lookup(),
        date("bfrq", "颁发日期", "Issued on").required(),
        word("zzzt", "证照状态", "State", "有效|失效|注销"),
    ])
    .rows(3_000, Dialect::Comma, |c| {
        let n = c.subject();
        let firm = c.firm(n);
        vec![
            format!("1.2.156.3003.2.DEMO.{n:08}"),
            format!("330000{n:012}"),
            firm.name,
            firm.uscc,
            c.past(3_000),
            c.rng.pick(&["有效", "有效", "有效", "失效", "注销"]).into(),
            MARK.into(),
        ]
    })
}

fn reports() -> Plan {
    entry(
        "qy_nb",
        "企业年报信息",
        "Annual reports of enterprises",
        MARKET,
        Domain::Market,
        "企业年报",
    )
    .about("企业年度报告中的从业人数与经营规模区间。", &["企业", "年报"])
    .kind(ResourceKind::File)
    .cycle(UpdateCycle::Yearly)
    .raised(Grade::L3)
    .system("企业信用信息公示系统")
    .share_if("用于统计分析与监管")
    .open_if("在开放域系统内脱敏使用")
    .until(Target::Published)
    .items([
        uscc("tyshxydm", "统一社会信用代码").key(),
        text("nbnd", "年报年度", "Year", 4).key(),
        integer("cyrs", "从业人数", "Employees", "人").grade(Grade::L2),
        word(
            "yysr",
            "营业收入区间",
            "Turnover band",
            "500万以下|500万至2000万|2000万至1亿|1亿以上",
        )
        .grade(Grade::L2),
        date("tbrq", "填报日期", "Filed on"),
    ])
    .rows(2_000, Dialect::Comma, |c| {
        let firm = c.firm(c.subject());
        vec![
            firm.uscc,
            "2024".into(),
            c.rng.between(1, 1_200).to_string(),
            c.rng.pick(&["500万以下", "500万至2000万", "2000万至1亿", "1亿以上"]).into(),
            c.past(180),
            MARK.into(),
        ]
    })
}

fn prices() -> Plan {
    entry(
        "ncp_jg",
        "农产品批发价格",
        "Wholesale prices of farm products",
        MARKET,
        Domain::Trade,
        "农产品",
    )
    .about("主要农产品批发市场开市日的平均价格（编目中）。", &["价格", "农产品"])
    .cycle(UpdateCycle::Other)
    .until(Target::Unpublished)
    .items([
        text("scdm", "市场代码", "Market code", 20).key(),
        text("pzmc", "品种名称", "Product", 50).key(),
        date("rq", "日期", "Day").key(),
        number("pjjg", "平均价格", "Average price", 8, 2, "元/公斤"),
    ])
}
