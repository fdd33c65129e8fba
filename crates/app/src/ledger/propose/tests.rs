//! A labelled set of proposals against a small ledger: precision and recall are printed and have a floor.

use std::collections::BTreeMap;

use model::asset::{Asset, AssetDraft, Ledger, ProposalDraft, Verdict};

use super::*;
use crate::ledger::rules::LedgerBook;

/// Name, description, functions (separated by `/`), and for a proposal what a person would decide.
pub(super) type Case = (&'static str, &'static str, &'static str, char);

/// Name, description, functions (separated by `/`).
pub(super) const LEDGER: &[(&str, &str, &str)] = &[
    (
        "浙里停车",
        "汇聚全市公共停车场、道路泊位和商业停车场的实时空位，为车主提供查询、导航和无感支付。",
        "查询附近停车场空位/停车导航/先离场后付费/欠费催缴/泊位错时共享",
    ),
    (
        "企业信用综合监管系统",
        "归集企业登记、许可、处罚信息，计算信用评分，按风险分类监管。",
        "企业信用档案查询/信用评分/风险分类/双随机抽查名单生成/失信联合惩戒",
    ),
    (
        "民生补助一键达",
        "各类救助和补助资金的统一申请、比对和发放。",
        "困难家庭认定/补助在线申请/跨部门数据比对/资金发放/发放结果公示",
    ),
    (
        "河湖水质在线",
        "接入水质自动监测站数据，超标预警，派发河长巡查任务。",
        "水质实时监测/超标预警/河长巡河/问题上报与整改/水质月报",
    ),
    (
        "智慧校园安全",
        "校园视频、门禁、访客和校车统一管理，异常行为预警。",
        "校园视频巡查/访客预约/校车轨迹/异常行为预警",
    ),
    (
        "医保移动支付",
        "参保人凭医保码在定点医院和药店结算。",
        "医保码展码/门诊移动结算/药店结算/家庭共济/结算明细查询",
    ),
    (
        "不动产一窗受理",
        "不动产登记、交易、缴税一窗受理集成办理。",
        "预约取号/登记申请/税费计算与缴纳/电子证照发放/进度查询",
    ),
    (
        "应急指挥一张图",
        "汇聚气象、水利、消防等感知数据，辅助防汛防台指挥调度。",
        "灾害监测/风险预警发布/人员转移/应急队伍调度/物资管理",
    ),
    (
        "农产品追溯",
        "从种植、加工到销售的食用农产品全程追溯，合格证扫码查询。",
        "生产主体登记/投入品记录/合格证开具/扫码溯源/抽检结果公示",
    ),
    (
        "公共图书馆借阅",
        "全省图书馆馆藏检索、预约、通借通还。",
        "馆藏检索/图书预约/通借通还/续借/读者证办理",
    ),
    (
        "基层治理四平台",
        "乡镇街道综治、监管、执法、便民事件的流转处置。",
        "事件上报/分级流转/协同处置/办结反馈/网格员考核",
    ),
    (
        "公积金掌上办",
        "住房公积金提取、贷款和查询业务在线办理。",
        "余额查询/提取申请/贷款申请/还款计划/年度结息",
    ),
    (
        "危化品运输监管",
        "危险化学品运输车辆定位、电子运单和路线监管。",
        "车辆实时定位/电子运单/禁行区域告警/驾驶员资质核验",
    ),
    (
        "养老服务地图",
        "养老机构、照料中心、助餐点的位置、床位和服务查询。",
        "养老机构查询/床位预约/助餐点导航/服务评价/高龄津贴申领",
    ),
    (
        "人才房租赁",
        "面向引进人才的租赁住房申请、摇号、选房、签约。",
        "资格审核/房源发布/摇号排序/在线选房/合同签订",
    ),
    (
        "公务用车调度",
        "机关公务车辆的统一调度、审批和费用结算。",
        "用车申请/审批派单/车辆轨迹/费用结算/违规用车告警",
    ),
    ("政务邮箱", "机关工作人员的电子邮件收发和归档。", "邮件收发/通讯录/邮件归档/大附件"),
    (
        "建筑工地扬尘监测",
        "工地扬尘、噪声在线监测，超标联动喷淋。",
        "扬尘实时监测/噪声监测/超标告警/喷淋联动/工地排名",
    ),
    (
        "预防接种预约",
        "疫苗接种门诊预约、接种记录查询和到期提醒。",
        "门诊预约/接种记录查询/到期提醒/留观登记",
    ),
    ("旅游客流分析", "景区客流统计、预测和限流预警。", "客流统计/客流预测/限流预警/客源地分析"),
];

/// Name, description, functions, label: `r` refused, `d` reduced, `p` passed.
const PROPOSALS: &[Case] = &[
    (
        "城市停车一点通",
        "整合公共停车场和道路泊位的实时空位数据，方便车主查询附近停车场、导航并支付。",
        "附近停车场空位查询/停车场导航/先离场后付费/停车欠费催缴",
        'r',
    ),
    (
        "市场主体信用监管平台",
        "汇集企业登记、行政许可和处罚信息，进行信用评分和风险分类监管。",
        "企业信用档案查询/企业信用评分/企业风险分类/抽查名单生成",
        'r',
    ),
    (
        "水环境智能监测",
        "接入水质自动监测站，水质超标预警并派发河长巡查任务。",
        "水质实时监测/水质超标预警/河长巡河任务/问题上报整改",
        'r',
    ),
    (
        "掌上公积金",
        "住房公积金余额查询、提取和贷款在线办理。",
        "公积金余额查询/提取申请/贷款申请/还款计划查询",
        'r',
    ),
    (
        "图书通借通还系统",
        "实现全市图书馆馆藏检索、图书预约和通借通还。",
        "馆藏检索/图书预约/通借通还/图书续借",
        'r',
    ),
    (
        "疫苗接种预约小程序",
        "在线预约疫苗接种门诊，查询接种记录，到期提醒。",
        "接种门诊预约/接种记录查询/接种到期提醒",
        'r',
    ),
    (
        "工地扬尘在线监管",
        "对建筑工地扬尘和噪声实时监测，超标告警并联动喷淋。",
        "工地扬尘实时监测/工地噪声监测/超标告警/喷淋联动",
        'r',
    ),
    (
        "危险品车辆监控",
        "危险化学品运输车辆实时定位、电子运单和禁行区域告警。",
        "车辆实时定位/电子运单管理/禁行区域告警/驾驶员资质核验",
        'r',
    ),
    (
        "机关用车管理",
        "机关公务车辆用车申请、审批派单与费用结算。",
        "用车申请/审批派单/车辆轨迹查询/用车费用结算",
        'r',
    ),
    (
        "人才公寓申请",
        "引进人才租赁住房资格审核、摇号选房和签约。",
        "人才资格审核/摇号排序/在线选房/合同签订",
        'r',
    ),
    (
        "停车与充电服务",
        "提供停车场空位查询，并整合充电桩状态、充电预约和电价比较。",
        "附近停车场空位查询/充电桩状态查询/充电预约/电价比较/充电支付",
        'd',
    ),
    (
        "社区养老综合服务",
        "在养老机构查询和助餐基础上，增加居家照护派单和健康监测设备接入。",
        "养老机构查询/助餐点导航/居家照护派单/健康手环数据接入/跌倒告警",
        'd',
    ),
    (
        "景区智慧导览",
        "景区客流预警与语音讲解、路线推荐、文创购买。",
        "景区客流预警/语音讲解/游览路线推荐/文创商城",
        'd',
    ),
    (
        "企业服务直通车",
        "企业信用查询、惠企政策匹配、诉求办理和融资对接。",
        "企业信用档案查询/惠企政策匹配/企业诉求办理/银企融资对接",
        'd',
    ),
    (
        "校园综合管理",
        "访客预约、校车轨迹以外，增加课后服务选课、食堂点餐和家校沟通。",
        "访客预约/校车轨迹/课后服务选课/食堂点餐/家校沟通",
        'd',
    ),
    (
        "防汛物资管理",
        "防汛物资的储备、调拨与无人机巡堤。",
        "物资管理/物资调拨/无人机巡堤/堤防隐患识别",
        'd',
    ),
    (
        "农资监管",
        "投入品记录与农药经营许可、农机补贴核验。",
        "投入品记录/农药经营许可查询/农机补贴核验/假劣农资举报",
        'd',
    ),
    (
        "残疾人辅具适配",
        "残疾人辅助器具评估、申请、适配和回收。",
        "辅具评估/辅具申请/适配登记/辅具回收",
        'p',
    ),
    (
        "司法拍卖评估",
        "司法拍卖标的物的评估、公告和竞价监督。",
        "标的评估/拍卖公告/竞价监督/成交确认",
        'p',
    ),
    (
        "无人机飞行报备",
        "无人机飞行计划报备、空域查询和违规飞行处置。",
        "飞行计划报备/适飞空域查询/违规飞行处置",
        'p',
    ),
    (
        "宗教场所管理",
        "宗教活动场所登记、教职人员备案与财务公示。",
        "场所登记/教职人员备案/财务公示",
        'p',
    ),
    (
        "海洋渔船管控",
        "渔船进出港报告、定位和越界告警。",
        "进出港报告/渔船越界告警/船员证书核验/休渔期巡查",
        'p',
    ),
    (
        "法律援助在线",
        "法律援助申请、律师指派与案件质量评估。",
        "援助申请/律师指派/案件质量评估",
        'p',
    ),
    (
        "古树名木保护",
        "古树名木普查建档、养护记录与认养。",
        "普查建档/养护记录/社会认养/复壮方案",
        'p',
    ),
    (
        "博物馆文物数字化",
        "馆藏文物三维采集、数字展厅和修复档案。",
        "三维采集/数字展厅/修复档案",
        'p',
    ),
    ("献血者服务", "献血预约、用血减免和献血荣誉查询。", "献血预约/用血减免/荣誉证书查询", 'p'),
    (
        "电梯维保监督",
        "电梯维保签到、困人救援和检验到期管理。",
        "维保签到/困人救援/检验到期管理",
        'p',
    ),
    (
        "志愿服务时长",
        "志愿者注册、活动发布、服务时长认定与激励。",
        "志愿者注册/活动发布/时长认定/积分兑换",
        'p',
    ),
    ("餐厨垃圾收运", "餐厨垃圾收运车辆称重、路线和处置台账。", "收运称重/收运路线/处置台账", 'p'),
    ("医疗废物监管", "医疗废物产生、交接、运输和处置全程登记。", "产生登记/交接扫码/处置核销", 'p'),
];

fn rules() -> crate::ledger::rules::LedgerRules {
    let book: LedgerBook = toml::from_str(include_str!("../../../rules/ledger.toml")).unwrap();
    book.at("2026-03-02".parse().unwrap()).unwrap().clone()
}

fn lines(text: &str) -> Vec<String> {
    text.split('/').map(str::to_owned).collect()
}

fn asset(n: usize, name: &str, description: &str, functions: &str) -> Asset {
    let fields = BTreeMap::from([("functions".to_owned(), lines(functions).join("\n"))]);
    Asset {
        id: format!("a{n}"),
        draft: AssetDraft {
            ledger: Ledger::Application,
            code: format!("A{n}"),
            name: name.into(),
            org: "o".into(),
            region: "330000".into(),
            owner: String::new(),
            description: description.into(),
            fields,
        },
        state: "running".into(),
        version: 1,
        score: 0,
        created_at: String::new(),
        created_by: String::new(),
        updated_at: String::new(),
        merged_into: None,
    }
}

fn matches(draft: &ProposalDraft) -> Vec<Match> {
    matches_in(LEDGER, draft)
}

fn matches_in(ledger: &[(&str, &str, &str)], draft: &ProposalDraft) -> Vec<Match> {
    let rules = rules();
    let asked = Features::of_proposal(draft, &rules);
    let mut found: Vec<Match> = ledger
        .iter()
        .enumerate()
        .map(|(n, (name, description, functions))| {
            asked.judge(&asset(n, name, description, functions), &rules)
        })
        .collect();
    found.sort_by_key(|m| std::cmp::Reverse(m.score));
    found
}

fn draft(name: &str, description: &str, functions: &str) -> ProposalDraft {
    ProposalDraft {
        name: name.into(),
        org: "o".into(),
        description: description.into(),
        functions: lines(functions),
        data: Vec::new(),
    }
}

/// What is suggested for each case beside what a person would decide; every case is printed.
pub(super) fn judge_all(ledger: &[(&str, &str, &str)], cases: &[Case]) -> Vec<(Verdict, Verdict)> {
    let rules = rules();
    let mut out = Vec::new();
    for (name, description, functions, label) in cases {
        let found = matches_in(ledger, &draft(name, description, functions));
        let suggested = suggest(&found, &rules.proposal);
        let labelled = match label {
            'r' => Verdict::Refused,
            'd' => Verdict::Reduced,
            _ => Verdict::Passed,
        };
        let best = found.first().unwrap();
        println!(
            "{} {name}: {} {} (name {} text {} functions {}) suggested {}",
            if suggested == labelled { "ok  " } else { "MISS" },
            best.score,
            best.name,
            best.name_like,
            best.text_like,
            best.functions_covered,
            suggested.zh()
        );
        out.push((suggested, labelled));
    }
    out
}

#[test]
fn the_labelled_set_is_told_apart() {
    let figures = precision_recall(&judge_all(LEDGER, PROPOSALS));
    for word in ["duplicate", "overlap"] {
        let (precision, recall) = figures[word];
        println!("{word}: precision {precision:.2} recall {recall:.2}");
        assert!(precision >= 0.85, "{word} precision {precision}");
        assert!(recall >= 0.85, "{word} recall {recall}");
    }
}

#[test]
fn a_match_gives_its_reasons_function_by_function() {
    let (name, description, functions, _) = PROPOSALS[0];
    let found = matches(&draft(name, description, functions));
    let best = &found[0];
    assert_eq!(best.name, "浙里停车");
    let pay = best.functions.iter().find(|f| f.wanted == "先离场后付费").unwrap();
    assert_eq!((pay.found.as_str(), pay.overlap), ("先离场后付费", 100));
    assert!(best.functions_covered >= 75, "{best:?}");
}

#[test]
fn an_empty_proposal_resembles_nothing() {
    let found = matches(&draft("", "", ""));
    assert!(found.iter().all(|m| m.score == 0));
}
