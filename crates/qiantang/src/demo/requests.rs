//! Share applications of the demo, in several states.

use model::request::{Period, RequestNew};

/// Where a share application of the demo ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Waits for the providing organisation.
    ProviderAuditing,
    /// The provider agreed; waits for the authority.
    AuthorityAuditing,
    /// Granted (at once when everything asked for is unconditionally shared).
    Approved,
    /// Refused by the provider, with the reason.
    Rejected(&'static str),
    /// Taken back by the applicant, with the reason.
    Undone(&'static str),
    /// Granted and later revoked by the authority, with the reason.
    Revoked(&'static str),
    /// Granted, and its time is over.
    Expired,
}

#[cfg(test)]
impl Outcome {
    /// State in which the application stands in the end.
    pub(crate) fn state(self) -> model::request::RequestState {
        use model::request::RequestState as State;
        match self {
            Outcome::ProviderAuditing => State::ProviderAuditing,
            Outcome::AuthorityAuditing => State::AuthorityAuditing,
            Outcome::Approved => State::Approved,
            Outcome::Rejected(_) => State::Rejected,
            Outcome::Undone(_) => State::Undone,
            Outcome::Revoked(_) => State::Revoked,
            Outcome::Expired => State::Expired,
        }
    }
}

/// A share application: who files it, what it asks, where it ends. `new.entry` is the entry's code and
/// `new.application` the handle of a [`super::DemoApplication`], to be replaced by its id.
#[derive(Clone, Debug)]
pub(crate) struct DemoRequest {
    /// User who files it.
    pub(crate) by: &'static str,
    pub(crate) new: RequestNew,
    /// Last day of use, counted from the day it is filed: the period is then a date of its own.
    pub(crate) until_in_days: Option<u32>,
    /// How long ago it was filed and decided; its steps and records stand at that time.
    pub(crate) filed_days_ago: u32,
    pub(crate) outcome: Outcome,
}

fn ask(
    by: &'static str,
    application: &str,
    entry: &str,
    items: &[&str],
    scene: &str,
) -> DemoRequest {
    DemoRequest {
        by,
        new: RequestNew {
            entry: entry.into(),
            application: application.into(),
            items: items.iter().map(|i| (*i).to_owned()).collect(),
            scene: scene.into(),
            legal_basis: "《浙江省公共数据条例》关于公共数据共享的规定，以及本事项的职责依据"
                .into(),
            period: Period::Days { days: 180 },
            calls_per_day: 10_000,
            area_range: String::new(),
            row_range: Default::default(),
            by_sql: true,
        },
        until_in_days: None,
        filed_days_ago: 0,
        outcome: Outcome::Approved,
    }
}

impl DemoRequest {
    fn ends(mut self, outcome: Outcome) -> Self {
        self.outcome = outcome;
        self
    }
    fn lasting(mut self, period: Period) -> Self {
        self.new.period = period;
        self
    }
    fn until_in(mut self, days: u32) -> Self {
        self.until_in_days = Some(days);
        self
    }
    fn filed_ago(mut self, days: u32) -> Self {
        self.filed_days_ago = days;
        self
    }
    fn within(mut self, region: &str) -> Self {
        self.new.area_range = region.into();
        self
    }
}

/// The applications, in the order in which they are filed.
#[must_use]
pub(crate) fn requests() -> Vec<DemoRequest> {
    vec![
        ask("consumer", "team", "fr_jbxx", &["tyshxydm", "qymc", "lxdh"], "短信通知企业办事进度")
            .ends(Outcome::Undone("改用消息组件，不再需要联系电话")),
        ask(
            "consumer",
            "team",
            "fr_jbxx",
            &["tyshxydm", "qymc", "fddbr", "djzt", "clrq"],
            "企业办事时自动填表，免交营业执照",
        ),
        ask(
            "consumer",
            "team",
            "rk_jbxx",
            &["sfzh", "xm", "xb", "csrq"],
            "群众办事时核对身份，减少重复填报",
        )
        .lasting(Period::Days { days: 90 }),
        ask(
            "consumer",
            "team",
            "kqzl_rb",
            &["csdm", "rq", "csmc", "aqi", "zldj", "pm25"],
            "在应用首页展示空气质量",
        )
        .lasting(Period::Long),
        ask(
            "county",
            "county",
            "dmdz_bz",
            &["dzbm", "dzqc", "xzqh", "jd", "wd"],
            "“一件事”联办时选择标准地址",
        )
        .lasting(Period::Long),
        ask(
            "consumer",
            "team",
            "dzzz_yyzz",
            &["zzbs", "zzhm", "cyrmc", "cyrdm", "zzzt"],
            "核验营业执照电子证照",
        )
        .ends(Outcome::AuthorityAuditing),
        ask("county", "county", "rk_jbxx", &["sfzh", "xm", "hjdz", "xzqh"], "入学一件事核对户籍")
            .within("330110")
            .ends(Outcome::ProviderAuditing),
        ask("county", "county", "sb_cbxx", &["sfzh", "xm", "cbzt"], "人才补贴核对参保状态")
            .ends(Outcome::ProviderAuditing),
        ask("consumer", "team", "sb_cbxx", &["sfzh", "xm", "jfjs"], "向用户推荐金融产品")
            .ends(Outcome::Rejected("用途超出政务服务范围，缴费基数不予提供")),
        ask("county", "county", "fr_jbxx", &["tyshxydm", "qymc", "zs", "djzt"], "区内企业走访")
            .lasting(Period::Days { days: 30 })
            .ends(Outcome::Revoked("应用已下线，停止使用")),
        // Open on conditions: an enterprise applies as anybody outside may.
        ask(
            "enterprise",
            "enterprise",
            "fr_jbxx",
            &["tyshxydm", "qymc", "djzt", "lxdh"],
            "出行服务合作商户的资质核验",
        )
        .lasting(Period::Days { days: 90 }),
        ask(
            "county",
            "county",
            "xzcf_gs",
            &["cfwsh", "xdrmc", "cfsy", "cfrq"],
            "专项检查期间核对处罚记录",
        )
        .until_in(60),
        ask("county", "county", "qy_xypj", &["tyshxydm", "qymc", "pjdj"], "年度评优初筛企业")
            .lasting(Period::Days { days: 30 })
            .filed_ago(100)
            .ends(Outcome::Expired),
    ]
}
