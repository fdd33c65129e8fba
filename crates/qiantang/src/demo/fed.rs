//! Entries that a channel of the demo feeds (see `seed_channels`): they come without rows.

use model::code::{Domain, UpdateCycle};

use super::orgs::{AUTHORITY, MARKET};
use super::shape::{Plan, date, entry, integer, number, region, text, uscc, word};

/// Fed by a pipeline from a department's folder.
pub(crate) const INSPECTIONS: &str = "scjg_jcjg";
/// Fed by an exchange of files.
pub(crate) const PRICES: &str = "lszp_jg";
/// Fed by reports of cities and public bodies.
pub(crate) const WATER: &str = "gs_qkyb";

pub(super) fn plans() -> [Plan; 3] {
    [inspections(), prices(), water()]
}

fn inspections() -> Plan {
    entry(INSPECTIONS, "双随机检查结果", "Random inspections", MARKET, Domain::Market, "检查")
        .about(
            "双随机、一公开监管的检查结果，由管道每日自监管系统的交换目录采集。",
            &["监管", "检查"],
        )
        .cycle(UpdateCycle::Daily)
        .incremental()
        .system("双随机监管系统")
        .items([
            text("jcbh", "检查编号", "Inspection no.", 20).key(),
            uscc("tyshxydm", "统一社会信用代码").lookup(),
            date("jcrq", "检查日期", "Inspected on").required(),
            word("jcjg", "检查结果", "Result", "合格|责令改正|立案查处"),
            region(),
        ])
}

fn prices() -> Plan {
    entry(PRICES, "粮食蔬菜批发价格", "Wholesale food prices", MARKET, Domain::Market, "价格")
        .about("批发市场主要品种的日均价，由市场开办单位以文件交换报来。", &["价格", "民生"])
        .cycle(UpdateCycle::Daily)
        .incremental()
        .system("市场价格监测系统")
        .items([
            text("pz", "品种", "Goods", 20).key(),
            date("jgrq", "价格日期", "Day").key(),
            number("pjjg", "平均价格", "Average price", 8, 2, "元/公斤").required(),
            integer("jyl", "交易量", "Traded", "公斤"),
        ])
}

fn water() -> Plan {
    entry(WATER, "公共供水情况月报", "Monthly water supply", AUTHORITY, Domain::Energy, "供水")
        .about("各地公共供水量与用水户数，由各市和供水单位逐级填报、汇总核对。", &["供水", "报送"])
        .incremental()
        .system("信息报送")
        .items([
            region().key(),
            text("bsq", "报送期", "Period", 10).key(),
            word("yslx", "用水类型", "Use", "居民|工业|服务业").key(),
            number("gsl", "供水量", "Supplied", 12, 2, "万立方米"),
            integer("yhs", "用水户数", "Households", "户"),
            text("bz", "备注", "Note", 100),
        ])
}
