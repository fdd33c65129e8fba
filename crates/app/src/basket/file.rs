//! Filing: one form, split by owner into parts, each with an approval of its own. All parts are checked before any is
//! kept; what is wrong is said for every part at once.

use chrono::NaiveDate;
use model::asset::Ledger;
use model::basket::{AssetRef, Bundle, BundleKind, Form, Part, Want};
use model::code::Grade;
use model::flow::{Fact, Facts, Phase, Subject};
use model::request::RequestNew;
use model::{Error, FieldError, Kind, Op, Result};
use policy::Permit;
use store::basket::PartStart;

use super::hold::{known, permit, usable};
use super::{DemandNew, ObjectionNew, PartNew, Word};
use crate::approval::{self, Beginning, Begun};
use crate::{App, audit, sharing};

/// The fact that says by which way (share or open) data were asked for; the grant is made by the same.
pub(super) const VIA: &str = "via";

/// A part that was checked, before its approval begins.
struct Checked {
    flow: &'static str,
    asset: AssetRef,
    want: Want,
    facts: Facts,
}

/// Files what was chosen. Parts that are shared without condition are granted before this returns.
pub async fn file_share(app: &App, op: &Op, form: Form, parts: Vec<PartNew>) -> Result<Bundle> {
    let permit = permit(app, op).await?;
    let form = tidied(form);
    let mut faults = form_faults(app, op, &form);
    let limit = app.rules.basket.limit.parts;
    if parts.is_empty() || parts.len() > limit {
        faults.push(field(
            "parts",
            &format!("请选择 1 至 {limit} 项资源"),
            &format!("choose 1 to {limit} things"),
        ));
    }
    let mut checked: Vec<Checked> = Vec::new();
    for new in parts {
        let title = new.asset.title.clone();
        match check(app, op, &form, new).await {
            Ok(part) => {
                let twice = |c: &&Checked| {
                    c.asset.ledger == part.asset.ledger && c.asset.id == part.asset.id
                };
                if checked.iter().find(twice).is_some() {
                    faults.push(field(&part.asset.title, "重复选择", "chosen twice"));
                } else {
                    checked.push(part);
                }
            }
            Err(e) if matches!(e.kind(), Kind::Invalid | Kind::Conflict | Kind::NotFound) => {
                if e.fields().is_empty() {
                    faults.push(field(&title, e.zh(), e.en()));
                }
                faults.extend(e.fields().iter().map(|f| FieldError {
                    field: format!("{title} · {}", f.field),
                    zh: f.zh.clone(),
                    en: f.en.clone(),
                }));
            }
            Err(e) => return Err(e),
        }
    }
    refuse(faults)?;
    keep(app, op, &permit, BundleKind::Share, form, checked).await
}

/// Files a demand for what is not catalogued.
pub async fn file_demand(app: &App, op: &Op, new: DemandNew) -> Result<Bundle> {
    let permit = permit(app, op).await?;
    let form = tidied(new.form);
    let mut faults = form_faults(app, op, &form);
    let (title, detail) = (new.title.trim(), new.detail.trim());
    long_text(app, &mut faults, "title", title, true);
    long_text(app, &mut faults, "detail", detail, true);
    long_text(app, &mut faults, "fields", &new.fields, false);
    listed(&mut faults, "need", &new.need, &app.rules.basket.needs);
    refuse(faults)?;
    let assigned = !new.org.trim().is_empty();
    let org = if assigned {
        app.store.org_require(new.org.trim()).await?.id
    } else {
        authority_of(app, op).await?
    };
    let want = Want::Need {
        need: new.need.clone(),
        detail: detail.to_owned(),
        fields: new.fields.trim().to_owned(),
    };
    let facts = Facts::from([
        ("need".to_owned(), Fact::Text(new.need)),
        ("assigned".to_owned(), Fact::Flag(assigned)),
    ]);
    let asset = AssetRef { ledger: Ledger::Data, id: op.new_id(), title: title.to_owned(), org };
    let part = Checked { flow: "demand", asset, want, facts };
    keep(app, op, &permit, BundleKind::Demand, form, vec![part]).await
}

/// Files an objection to an entry, a decision, or the data in use.
pub async fn file_objection(app: &App, op: &Op, new: ObjectionNew) -> Result<Bundle> {
    let permit = permit(app, op).await?;
    let form = tidied(new.form);
    let mut faults = form_faults(app, op, &form);
    long_text(app, &mut faults, "detail", &new.detail, true);
    let kinds = &app.rules.basket.objections;
    match kinds.iter().find(|k| k.id == new.about) {
        None => {
            let words: Vec<&str> = kinds.iter().map(|k| k.zh.as_str()).collect();
            faults.push(field(
                "about",
                &format!("请选择：{}", words.join("、")),
                "choose from the list",
            ));
        }
        Some(kind) if kind.points.is_empty() => {}
        Some(kind) => listed(&mut faults, "point", &new.point, &kind.points),
    }
    refuse(faults)?;
    let asset = known(app, op, new.asset).await?;
    let facts = Facts::from([("about".to_owned(), Fact::Text(new.about.clone()))]);
    let want =
        Want::Object { about: new.about, point: new.point, detail: new.detail.trim().to_owned() };
    let part = Checked { flow: "objection", asset, want, facts };
    keep(app, op, &permit, BundleKind::Objection, form, vec![part]).await
}

/// The authority of the caller's region.
async fn authority_of(app: &App, op: &Op) -> Result<String> {
    let orgs = app.store.orgs_list().await?;
    let own = op.actor.org().and_then(|id| orgs.iter().find(|o| o.id == id));
    let regions =
        std::iter::successors(own.map(|o| o.region.clone()), |r| model::region::parent_of(r));
    // Whoever has no organisation turns to the province.
    let provincial =
        || orgs.iter().find(|o| o.authority && model::region::parent_of(&o.region).is_none());
    regions
        .filter_map(|r| orgs.iter().find(|o| o.authority && o.region == r))
        .next()
        .or_else(|| own.is_none().then(provincial).flatten())
        .map(|o| o.id.clone())
        .ok_or_else(|| {
            Error::new(
                model::Code::RuleBroken,
                "没有找到本地区的公共数据主管部门，请写明数源单位",
                "there is no authority for your region: name the provider",
            )
        })
}

/// Checks one part against its ledger, and finds the facts its flow asks about.
async fn check(app: &App, op: &Op, form: &Form, new: PartNew) -> Result<Checked> {
    let asset = usable(app, op, new.asset).await?;
    if Some(asset.org.as_str()) == op.actor.org() {
        return Err(Error::new(
            model::Code::RuleBroken,
            "属于本单位，无需申请",
            "it is your own organisation's: there is nothing to apply for",
        ));
    }
    let (flow, facts) = facts(app, op, form, &asset, &new.want).await?;
    Ok(Checked { flow, asset, want: new.want, facts })
}

/// The flow a part follows, and what that flow may ask about it. Fails with what must be mended.
pub(super) async fn facts(
    app: &App,
    op: &Op,
    form: &Form,
    asset: &AssetRef,
    want: &Want,
) -> Result<(&'static str, Facts)> {
    let mut facts = Facts::new();
    let way = Fact::Text(want.word().to_owned());
    match (asset.ledger, want) {
        (Ledger::Data, Want::Api { .. } | Want::Batch { .. }) => {
            let new = wanted(form, asset, want);
            let found = sharing::prepare(app, op, &new).await?;
            if let Want::Api { calls_per_day, .. } = want {
                sharing::refuse_clash(app, op, &new).await?;
                if *calls_per_day == 0 {
                    return Err(Error::invalid("每日调用量至少为 1", "at least one call a day")
                        .field("calls_per_day", "请填写每日调用量", "enter the calls per day"));
                }
            }
            if let Want::Batch { destination, frequency, .. } = want {
                batch(destination, frequency)?;
            }
            let draft = &found.entry.draft;
            let grades = want.items().iter().filter_map(|i| draft.item(i)).map(|i| i.grade);
            let grade = grades.max().unwrap_or(found.entry.grade);
            facts.insert("unconditional".into(), Fact::Flag(found.at_once));
            facts.insert(VIA.into(), Fact::Text(found.way.as_str().into()));
            facts.insert("way".into(), way);
            facts.insert("grade".into(), Fact::Number(level(grade)));
            Ok(("share", facts))
        }
        (Ledger::Cloud, Want::Cloud { vcpu, memory_gb, disk_gb, .. }) => {
            if *vcpu == 0 && *memory_gb == 0 && *disk_gb == 0 {
                return Err(Error::invalid(
                    "请填写需要的 vCPU、内存或磁盘",
                    "say how much vCPU, memory or disk is needed",
                )
                .field("vcpu", "至少填写一项", "fill in one of them"));
            }
            facts.insert("ledger".into(), Fact::Text("cloud".into()));
            facts.insert("vcpu".into(), Fact::Number(i64::from(*vcpu)));
            Ok(("asset", facts))
        }
        (Ledger::Application | Ledger::Component, Want::Use { detail, .. }) => {
            if detail.trim().is_empty() {
                return Err(Error::invalid("请写明用途", "say what it is for")
                    .field("detail", "必填", "required"));
            }
            facts.insert("ledger".into(), Fact::Text(asset.ledger.as_str().into()));
            Ok(("asset", facts))
        }
        _ => Err(Error::invalid(
            format!("{}不能以此方式申请", asset.ledger.zh()),
            format!(
                "a thing of the ledger `{}` is not applied for in this way",
                asset.ledger.as_str()
            ),
        )),
    }
}

fn batch(destination: &str, frequency: &str) -> Result<()> {
    if destination.trim().is_empty() {
        return Err(Error::invalid("请写明目标库表", "say which table receives the batch").field(
            "destination",
            "必填",
            "required",
        ));
    }
    if model::code::UpdateCycle::parse(frequency).is_none() {
        return Err(Error::invalid("请选择推送频率", "choose how often").field(
            "frequency",
            "请从列表选择",
            "choose from the list",
        ));
    }
    Ok(())
}

/// What a data part wants, as a share application.
pub(super) fn wanted(form: &Form, asset: &AssetRef, want: &Want) -> RequestNew {
    let (calls_per_day, area_range) = match want {
        Want::Api { calls_per_day, area_range, .. } => (*calls_per_day, area_range.clone()),
        Want::Batch { area_range, .. } => (1, area_range.clone()),
        _ => (1, String::new()),
    };
    RequestNew {
        entry: asset.id.clone(),
        application: form.application.clone(),
        items: want.items().to_vec(),
        scene: form.scene.clone(),
        legal_basis: form.legal_basis.clone(),
        period: form.period.clone(),
        calls_per_day,
        area_range,
        row_range: Default::default(),
        by_sql: matches!(want, Want::Batch { .. }),
    }
}

fn level(grade: Grade) -> i64 {
    match grade {
        Grade::L1 => 1,
        Grade::L2 => 2,
        Grade::L3 => 3,
        Grade::L4 => 4,
    }
}

/// Begins the approvals, keeps everything at once, records it, and lets the platform do what it can at once.
async fn keep(
    app: &App,
    op: &Op,
    permit: &Permit,
    kind: BundleKind,
    form: Form,
    checked: Vec<Checked>,
) -> Result<Bundle> {
    let org = op.actor.org().unwrap_or_default().to_owned();
    let id = op.new_id();
    let mut parts: Vec<(Part, Begun)> = Vec::with_capacity(checked.len());
    for (n, part) in checked.into_iter().enumerate() {
        let part_id = op.new_id();
        let beginning = Beginning {
            flow: part.flow,
            subject: Subject { kind: "part".into(), id: part_id.clone() },
            title: part.asset.title.clone(),
            applicant_org: org.clone(),
            owner_org: part.asset.org.clone(),
            more: approval::Places::new(),
            facts: part.facts,
        };
        let begun = approval::begin(app, op, permit, beginning).await?;
        let part = Part {
            id: part_id,
            bundle: id.clone(),
            n: u32::try_from(n + 1).unwrap_or(u32::MAX),
            asset: part.asset,
            want: part.want,
            approval: begun.id.clone(),
            flow: part.flow.to_owned(),
            phase: Phase::Running,
            stage: None,
            due: String::new(),
            updated_at: op.stamp(),
        };
        parts.push((part, begun));
    }
    let files = match kind {
        BundleKind::Share => app.store.attachments_waiting(op.actor.id()).await?,
        // Files are added on the page of the form.
        BundleKind::Demand | BundleKind::Objection => Vec::new(),
    };
    let bundle = Bundle {
        id: id.clone(),
        kind,
        form,
        org,
        applicant: op.actor.id().to_owned(),
        applicant_name: op.actor.name().to_owned(),
        created_at: op.stamp(),
        feedback: None,
        files,
        parts: Vec::new(),
    };
    let starts: Vec<PartStart<'_>> = parts.iter().map(|(part, begun)| start(part, begun)).collect();
    app.store.bundle_insert(permit, &bundle, &starts).await?;
    let mut event = audit::event(op, &format!("basket.file_{}", kind.as_str()), &id);
    event.purpose.clone_from(&bundle.form.scene);
    event.scope = parts.iter().map(|(p, _)| p.approval.as_str()).collect::<Vec<_>>().join(" ");
    audit::record(app, event).await?;
    for (part, begun) in &parts {
        approval::started(app, op, begun).await?;
        approval::settle(app, op, &part.approval).await?;
    }
    super::bundle(app, op, &id).await
}

pub(super) fn start<'a>(part: &'a Part, begun: &'a Begun) -> PartStart<'a> {
    PartStart { part, events: &begun.events, state: &begun.state, stage: &begun.stage }
}

fn tidied(form: Form) -> Form {
    let tidy = |text: String| text.trim().to_owned();
    Form {
        name: tidy(form.name),
        scene: tidy(form.scene),
        matters: tidy(form.matters),
        business_usage: tidy(form.business_usage),
        expect_effect: tidy(form.expect_effect),
        legal_basis: tidy(form.legal_basis),
        letter: tidy(form.letter),
        contact: tidy(form.contact),
        phone: tidy(form.phone),
        vendor: tidy(form.vendor),
        finish_date: tidy(form.finish_date),
        ..form
    }
}

fn form_faults(app: &App, op: &Op, form: &Form) -> Vec<FieldError> {
    let mut faults = Vec::new();
    long_text(app, &mut faults, "name", &form.name, true);
    long_text(app, &mut faults, "scene", &form.scene, true);
    for (name, text) in [
        ("matters", &form.matters),
        ("business_usage", &form.business_usage),
        ("expect_effect", &form.expect_effect),
        ("legal_basis", &form.legal_basis),
        ("letter", &form.letter),
        ("vendor", &form.vendor),
    ] {
        long_text(app, &mut faults, name, text, false);
    }
    long_text(app, &mut faults, "contact", &form.contact, true);
    let digits = form.phone.bytes().filter(u8::is_ascii_digit).count();
    let shape = form.phone.bytes().all(|b| b.is_ascii_digit() || b"+-() ".contains(&b));
    if !shape || !(7..=20).contains(&digits) {
        faults.push(field(
            "phone",
            "请填写联系电话（7 至 20 位数字）",
            "enter a telephone number (7 to 20 digits)",
        ));
    }
    listed(&mut faults, "area", &form.area, &app.rules.basket.areas);
    listed(&mut faults, "apply_type", &form.apply_type, &app.rules.basket.apply_types);
    if !form.finish_date.is_empty()
        && form.finish_date.parse::<NaiveDate>().map_or(true, |d| d < op.today())
    {
        faults.push(field(
            "finish_date",
            "期望完成日期应为今天或以后（YYYY-MM-DD）",
            "the day wanted must be today or later (YYYY-MM-DD)",
        ));
    }
    faults
}

fn long_text(app: &App, faults: &mut Vec<FieldError>, name: &str, text: &str, needed: bool) {
    let most = app.rules.basket.limit.text;
    let length = text.trim().chars().count();
    if needed && length == 0 {
        faults.push(field(name, "必填", "required"));
    } else if length > most {
        faults.push(field(
            name,
            &format!("最多 {most} 字，现为 {length} 字"),
            &format!("{most} characters at most, not {length}"),
        ));
    }
}

fn listed(faults: &mut Vec<FieldError>, name: &str, word: &str, list: &[Word]) {
    if !list.iter().any(|w| w.id == word) {
        let words: Vec<&str> = list.iter().map(|w| w.zh.as_str()).collect();
        let english: Vec<&str> = list.iter().map(|w| w.en.as_str()).collect();
        faults.push(field(
            name,
            &format!("请选择：{}", words.join("、")),
            &format!("choose one of: {}", english.join(", ")),
        ));
    }
}

fn field(name: &str, zh: &str, en: &str) -> FieldError {
    FieldError { field: name.to_owned(), zh: zh.to_owned(), en: en.to_owned() }
}

fn refuse(faults: Vec<FieldError>) -> Result<()> {
    if faults.is_empty() {
        return Ok(());
    }
    Err(Error::new(
        model::Code::RuleBroken,
        format!("申请单有 {} 处需要修改", faults.len()),
        format!("the form has {} places to mend", faults.len()),
    )
    .with_fields(faults))
}
