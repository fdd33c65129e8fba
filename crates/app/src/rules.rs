//! Rules of the business as data: time limits and defaults with an effective date and a basis.

use serde::Deserialize;

/// The rule file (`rules/limits.toml`), one version.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Day from which the file holds, `YYYY-MM-DD`.
    pub effective: String,
    pub review: Review,
    pub sign_in: SignIn,
    pub call: Call,
    pub upload: Upload,
    /// Rules of compiling; the shipped `rules/catalogue.toml` when the file says nothing of them.
    pub catalogue: crate::catalogue::rules::CatalogueRules,
    /// Rules of the ledgers; the shipped `rules/ledger.toml` when the file says nothing of them.
    pub ledger: crate::ledger::rules::LedgerBook,
    /// Words and limits of the basket; the shipped `rules/basket.toml` when the file says nothing of them.
    pub basket: crate::basket::BasketRules,
    /// Rules of dispatch and control; the shipped `rules/dispatch.toml` when the file says nothing of them.
    pub dispatch: crate::dispatch::rules::DispatchBook,
    /// Rule packs of compiling: the shipped ones and the file's own `[[pack]]`.
    pub packs: crate::catalogue::standard::Packs,
    /// Rules of file exchanges; the shipped `rules/exchange.toml` when the file says nothing of them.
    pub exchange: crate::exchange::ExchangeRules,
    /// Pace and limits of the rail; the shipped `rules/rail.toml` when the file says nothing of them.
    pub rail: crate::rail::RailRules,
    /// Pace and limits of pipelines; the shipped `rules/pipeline.toml` when the file says nothing of them.
    pub pipeline: crate::pipeline::PipelineRules,
    /// Limits of reporting; the shipped `rules/report.toml` when the file says nothing of them.
    pub report: crate::report::ReportRules,
    /// Pace and limits of return flows; the shipped `rules/outflow.toml` when the file says nothing of them.
    pub outflow: crate::outflow::OutflowRules,
    /// Pace and limits of deliveries; the shipped `rules/delivery.toml` when the file says nothing of them.
    pub delivery: crate::delivery::DeliveryRules,
    /// Receipts and seals; the shipped `rules/evidence.toml` when the file says nothing of them.
    pub evidence: crate::evidence::EvidenceRules,
    /// Interfaces and calling conventions; the shipped `rules/interface.toml` when the file says nothing of them.
    pub interface: crate::interface::InterfaceRules,
    /// Reconciliation and error budgets; the shipped `rules/oversight.toml` when the file says nothing of them.
    pub oversight: crate::oversight::OversightRules,
    /// Limits of Delta Sharing; the shipped `rules/delta.toml` when the file says nothing of them.
    pub delta: crate::delta::DeltaRules,
    /// Bounds of calling and emergency stops; the shipped `rules/bounds.toml` when the file says nothing of them.
    pub bounds: crate::sharing::BoundsRules,
    /// Limits of SQL; the shipped `rules/sql.toml` when the file says nothing of them.
    pub sql: crate::wire::SqlRules,
    /// Limits of projects; the shipped `rules/project.toml` when the file says nothing of them.
    pub project: crate::project::ProjectRules,
    /// The open-data site; the shipped `rules/site.toml` when the file says nothing of it.
    pub site: crate::opening::SiteRules,
    /// Days and limits of tickets, comments and showcases; the shipped `rules/voice.toml` when the file says nothing of them.
    pub voice: crate::voice::VoiceRules,
    /// Limits of sandboxes and their release desk; the shipped `rules/sandbox.toml` when the file says nothing of them.
    pub sandbox: crate::project::sandbox::SandboxRules,
    /// Restricted opening; the shipped `rules/restricted.toml` when the file says nothing of it.
    pub restricted: crate::restricted::RestrictedRules,
    /// The identity and authorisation centre; the shipped `rules/identity.toml` when the file says nothing of it.
    pub identity: crate::identity::IdentityRules,
    /// The risk check before opening; the shipped `rules/opening.toml` when the file says nothing of it.
    pub opening: crate::opening::OpeningRules,
    /// Pace and limits of harvest; the shipped `rules/harvest.toml` when the file says nothing of it.
    pub harvest: crate::harvest::HarvestRules,
    /// Files of contests; the shipped `rules/contest.toml` when the file says nothing of them.
    pub contest: crate::contest::ContestRules,
    /// Sign-up and real-name verification; the shipped `rules/signup.toml` when the file says nothing of them.
    pub signup: crate::account::SignUpRules,
}

/// The file as written; read in one go, so that a fault names its line.
#[derive(Deserialize)]
struct Written {
    effective: String,
    review: Review,
    sign_in: SignIn,
    call: Call,
    upload: Upload,
    catalogue: Option<crate::catalogue::rules::CatalogueRules>,
    ledger: Option<crate::ledger::rules::LedgerBook>,
    basket: Option<crate::basket::BasketRules>,
    dispatch: Option<crate::dispatch::rules::DispatchBook>,
    exchange: Option<crate::exchange::ExchangeRules>,
    #[serde(default)]
    pack: Vec<crate::catalogue::standard::Pack>,
    rail: Option<crate::rail::RailRules>,
    pipeline: Option<crate::pipeline::PipelineRules>,
    report: Option<crate::report::ReportRules>,
    outflow: Option<crate::outflow::OutflowRules>,
    delivery: Option<crate::delivery::DeliveryRules>,
    evidence: Option<crate::evidence::EvidenceRules>,
    interface: Option<crate::interface::InterfaceRules>,
    oversight: Option<crate::oversight::OversightRules>,
    delta: Option<crate::delta::DeltaRules>,
    bounds: Option<crate::sharing::BoundsRules>,
    sql: Option<crate::wire::SqlRules>,
    project: Option<crate::project::ProjectRules>,
    site: Option<crate::opening::SiteRules>,
    harvest: Option<crate::harvest::HarvestRules>,
    contest: Option<crate::contest::ContestRules>,
    signup: Option<crate::account::SignUpRules>,
    voice: Option<crate::voice::VoiceRules>,
    sandbox: Option<crate::project::sandbox::SandboxRules>,
    restricted: Option<crate::restricted::RestrictedRules>,
    identity: Option<crate::identity::IdentityRules>,
    opening: Option<crate::opening::OpeningRules>,
}

/// Working days a reviewer has.
#[derive(Clone, Debug, Deserialize)]
pub struct Review {
    pub catalogue_days: u32,
    pub share_days: u32,
}

/// Sign-in protection.
#[derive(Clone, Debug, Deserialize)]
pub struct SignIn {
    /// Failures before the first lock-out.
    pub free_failures: u32,
    /// First lock-out in seconds; doubles each time.
    pub first_lock_seconds: u64,
    pub longest_lock_seconds: u64,
    pub session_hours: u32,
    pub password_min_length: usize,
    /// Failed attempts from one address within `address_window_seconds`, whatever the names.
    #[serde(default = "SignIn::address_failures")]
    pub address_failures: u32,
    #[serde(default = "SignIn::address_window_seconds")]
    pub address_window_seconds: u32,
    /// Hours in which a one-time password given by an administrator is good.
    #[serde(default = "SignIn::one_time_hours")]
    pub one_time_hours: u32,
}

impl SignIn {
    fn address_failures() -> u32 {
        30
    }
    fn address_window_seconds() -> u32 {
        60
    }
    fn one_time_hours() -> u32 {
        24
    }
}

/// Calls of applications.
#[derive(Clone, Debug, Deserialize)]
pub struct Call {
    /// Seconds a signed request's time stamp may differ from ours.
    pub window_seconds: i64,
    pub default_rows: u64,
    pub max_rows: u64,
    /// Deepest `offset`; deeper pages are reached by `after`.
    pub max_offset: u64,
}

/// Uploads.
#[derive(Clone, Debug, Deserialize)]
pub struct Upload {
    pub max_bytes: u64,
}

impl Rules {
    /// The shipped rules.
    pub fn shipped() -> model::Result<Self> {
        Self::parse(include_str!("../rules/limits.toml"))
    }
    /// Reads a rule file; the error names line and key.
    pub fn parse(text: &str) -> model::Result<Self> {
        let wrong = |e: toml::de::Error| {
            model::Error::invalid(
                format!("规则文件有误：{e}"),
                format!("the rule file is wrong: {e}"),
            )
        };
        let written: Written = toml::from_str(text).map_err(wrong)?;
        let catalogue = match written.catalogue {
            Some(own) => own,
            None => toml::from_str(include_str!("../rules/catalogue.toml")).map_err(wrong)?,
        };
        let ledger: crate::ledger::rules::LedgerBook = match written.ledger {
            Some(own) => own,
            None => toml::from_str(include_str!("../rules/ledger.toml")).map_err(wrong)?,
        };
        ledger.check()?;
        let restricted: crate::restricted::RestrictedRules = match written.restricted {
            Some(own) => own,
            None => toml::from_str(include_str!("../rules/restricted.toml")).map_err(wrong)?,
        };
        restricted.check()?;
        let basket = match written.basket {
            Some(own) => own,
            None => toml::from_str(include_str!("../rules/basket.toml")).map_err(wrong)?,
        };
        let dispatch: crate::dispatch::rules::DispatchBook = match written.dispatch {
            Some(own) => own,
            None => toml::from_str(include_str!("../rules/dispatch.toml")).map_err(wrong)?,
        };
        dispatch.check()?;
        let exchange = match written.exchange {
            Some(own) => own,
            None => toml::from_str(include_str!("../rules/exchange.toml")).map_err(wrong)?,
        };
        let rail = match written.rail {
            Some(own) => own,
            None => toml::from_str(include_str!("../rules/rail.toml")).map_err(wrong)?,
        };
        let pipeline = match written.pipeline {
            Some(own) => own,
            None => toml::from_str(include_str!("../rules/pipeline.toml")).map_err(wrong)?,
        };
        let report = match written.report {
            Some(own) => own,
            None => toml::from_str(include_str!("../rules/report.toml")).map_err(wrong)?,
        };
        let outflow = match written.outflow {
            Some(own) => own,
            None => toml::from_str(include_str!("../rules/outflow.toml")).map_err(wrong)?,
        };
        let evidence = match written.evidence {
            Some(own) => own,
            None => toml::from_str(include_str!("../rules/evidence.toml")).map_err(wrong)?,
        };
        let interface = match written.interface {
            Some(own) => own,
            None => toml::from_str(include_str!("../rules/interface.toml")).map_err(wrong)?,
        };
        Ok(Self {
            effective: written.effective,
            review: written.review,
            sign_in: written.sign_in,
            call: written.call,
            upload: written.upload,
            catalogue,
            ledger,
            basket,
            dispatch,
            exchange,
            packs: crate::catalogue::standard::Packs::read(written.pack)?,
            rail,
            pipeline,
            report,
            outflow,
            delivery: crate::delivery::rules(written.delivery).map_err(wrong)?,
            evidence,
            interface,
            oversight: crate::oversight::rules(written.oversight).map_err(wrong)?,
            delta: crate::delta::rules(written.delta).map_err(wrong)?,
            bounds: crate::sharing::bounds::rules(written.bounds).map_err(wrong)?,
            sql: crate::wire::rules(written.sql).map_err(wrong)?,
            project: crate::project::rules(written.project).map_err(wrong)?,
            site: crate::opening::SiteRules::read(written.site)?,
            voice: crate::voice::rules(written.voice).map_err(wrong)?,
            sandbox: crate::project::sandbox::rules(written.sandbox).map_err(wrong)?,
            restricted,
            identity: crate::identity::rules(written.identity).map_err(wrong)?,
            opening: crate::opening::OpeningRules::read(written.opening)?,
            harvest: crate::harvest::rules(written.harvest).map_err(wrong)?,
            contest: crate::contest::rules(written.contest).map_err(wrong)?,
            signup: crate::account::register::rules(written.signup).map_err(wrong)?,
        })
    }
}
