//! The basket, the one form behind it, and the forms of a demand and of an objection.

use std::sync::Arc;

use app::basket::{DemandNew, ObjectionNew, PartNew};
use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Multipart, Path, State};
use axum::http::{HeaderValue, header};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use minijinja::{Value, context};
use model::asset::Ledger;
use model::basket::{AssetRef, Bundle, Form, Push, Want};
use model::{Error, Kind, Result};

use crate::console::{apply, done, or_empty};
use crate::form::{self, Posted};
use crate::site::attachment as attachment_named;
use crate::view::value;
use crate::visit::Visit;
use crate::{Answer, Door};

pub(super) fn router() -> Router<Arc<Door>> {
    Router::new()
        .route("/console/basket", get(page).post(add))
        .route("/console/basket/remove", post(remove))
        .route("/console/basket/file", post(file))
        .route("/console/basket/files", post(attach).layer(DefaultBodyLimit::disable()))
        .route("/console/basket/files/{id}/remove", post(detach))
        .route("/console/files/{id}", get(attachment))
        .route("/console/demand", get(demand).post(file_demand))
        .route("/console/objection", get(objection).post(file_objection))
}

async fn page(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    fill(&door, &visit, &Posted::default(), None).await
}

/// The reference a form names.
fn asset(posted: &Posted, before: &str) -> Result<AssetRef> {
    let get = |name: &str| posted.get(&format!("{before}{name}"));
    let word = get("ledger");
    let ledger = Ledger::of_word(word).ok_or_else(|| {
        Error::invalid(format!("没有账本 `{word}`"), format!("there is no ledger `{word}`")).field(
            "ledger",
            "application data component cloud",
            "application data component cloud",
        )
    })?;
    let own = |name: &str| get(name).to_owned();
    // The room finds title and owner in the ledger; the title is kept for faults of a form.
    Ok(AssetRef { ledger, id: own("id"), title: own("title"), org: String::new() })
}

async fn add(State(door): State<Arc<Door>>, visit: Visit, posted: Posted) -> Answer {
    app::basket::add(&door.app, &visit.op, asset(&posted, "")?).await?;
    done("/console/basket", "added")
}

async fn remove(State(door): State<Arc<Door>>, visit: Visit, posted: Posted) -> Answer {
    let asset = asset(&posted, "")?;
    app::basket::remove(&door.app, &visit.op, asset.ledger, &asset.id).await?;
    done("/console/basket", "removed")
}

/// Streams a file into the basket, to be filed with the form.
async fn attach(State(door): State<Arc<Door>>, visit: Visit, mut multipart: Multipart) -> Answer {
    take_in(&door, &visit, &mut multipart, None).await?;
    done("/console/basket", "attached")
}

/// Streams the file of a multipart form to where it belongs.
pub(super) async fn take_in(
    door: &Door,
    visit: &Visit,
    multipart: &mut Multipart,
    bundle: Option<&str>,
) -> Result<()> {
    let most = door.app.rules.basket.attachment.bytes;
    let (_, kept) = form::upload(visit, most, multipart, |_, name, bytes| async move {
        app::basket::attach(&door.app, &visit.op, bundle, &name, bytes).await
    })
    .await?;
    kept.map(|_| ()).ok_or_else(|| {
        Error::invalid("请选择要上传的文件", "choose a file to upload").field(
            "file",
            "请选择文件",
            "choose a file",
        )
    })
}

async fn detach(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    _posted: Posted,
) -> Answer {
    app::basket::detach(&door.app, &visit.op, &id).await?;
    done("/console/basket", "removed")
}

/// A file of a form, streamed to the parties; browsers keep it and never run it.
async fn attachment(State(door): State<Arc<Door>>, Path(id): Path<String>, visit: Visit) -> Answer {
    let (file, content) = app::basket::attachment(&door.app, &visit.op, &id).await?;
    let mut response =
        (attachment_named(&file.name, "application/octet-stream"), Body::from_stream(content))
            .into_response();
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_str(&file.media)
            .unwrap_or(HeaderValue::from_static("application/octet-stream")),
    );
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(file.bytes));
    Ok(response)
}

async fn fill(door: &Door, visit: &Visit, posted: &Posted, error: Option<&Error>) -> Answer {
    let (app, op) = (&door.app, &visit.op);
    let basket = app::basket::list(app, op).await?;
    door.names.refresh(app).await;
    let mut lines = Vec::new();
    for (n, held) in basket.iter().enumerate() {
        lines.push(line(door, visit, posted, error.is_some(), n, &held.asset).await?);
    }
    let files = app::basket::files(app, op).await?;
    let owners = basket.iter().map(|i| i.asset.org.as_str());
    let owners = owners.collect::<std::collections::BTreeSet<_>>().len();
    let context = context! {
        lines, owners, files => value(&files), file_rules => file_rules(door), done => visit.q("done"),
        regions => value(&door.names.get().regions), ..common(door, visit, posted, error).await?
    };
    door.page_with(visit, "console/basket.html", context, error).await
}

/// What may be attached, in words and for the file chooser.
pub(super) fn file_rules(door: &Door) -> Value {
    let rules = &door.app.rules.basket.attachment;
    context! { most => rules.most, bytes => rules.bytes, kinds => rules.words(), accept => rules.accept() }
}

/// What the forms of all three kinds need.
async fn common(
    door: &Door,
    visit: &Visit,
    posted: &Posted,
    error: Option<&Error>,
) -> Result<Value> {
    let rules = &door.app.rules.basket;
    let words = |list: &[app::basket::Word]| -> Vec<Value> {
        list.iter().map(|w| context! { value => &w.id, name => visit.t(&w.zh, &w.en) }).collect()
    };
    let applications = or_empty(app::account::applications(&door.app, &visit.op).await)?;
    let kept = |name: &str, default: &str| {
        let value = posted.get(name);
        if value.is_empty() { default.to_owned() } else { value.to_owned() }
    };
    let plain = |name: &str| kept(name, "");
    let shown = visit.session.as_ref().map(|s| s.user.display_name.as_str());
    let me = shown.filter(|name| !name.is_empty()).unwrap_or_else(|| visit.op.actor.name());
    Ok(context! {
        areas => words(&rules.areas), apply_types => words(&rules.apply_types), needs => words(&rules.needs),
        objections => rules.objections.iter().map(|o| context! {
            value => &o.id, name => visit.t(&o.zh, &o.en), points => words(&o.points),
        }).collect::<Vec<_>>(),
        applications => value(applications.iter().filter(|a| a.active).collect::<Vec<_>>()),
        error => error.map(|e| visit.t(e.zh(), e.en()).to_owned()),
        fields => value(error.map(Error::fields).unwrap_or_default()),
        form => context! {
            name => plain("name"), area => kept("area", "government"), apply_type => kept("apply_type", "service"),
            finish_date => plain("finish_date"), scene => plain("scene"), matters => plain("matters"),
            business_usage => plain("business_usage"), expect_effect => plain("expect_effect"),
            legal_basis => plain("legal_basis"), letter => plain("letter"),
            contact => kept("contact", me), phone => plain("phone"), vendor => plain("vendor"),
            application => plain("application"), period => kept("period", "90"), until => plain("until"),
            title => plain("title"), need => plain("need"), detail => plain("detail"), wanted => plain("fields"),
            org => plain("org"), about => plain("about"), point => plain("point"),
        },
    })
}

/// One thing in the basket with what is wanted of it.
async fn line(
    door: &Door,
    visit: &Visit,
    posted: &Posted,
    again: bool,
    n: usize,
    asset: &AssetRef,
) -> Result<Value> {
    let own = |name: &str| posted.get(&format!("w{n}-{name}")).to_owned();
    let or = |name: &str, default: &str| {
        let given = own(name);
        if given.is_empty() { default.to_owned() } else { given }
    };
    let mut items = Vec::new();
    let mut gone = false;
    let way = app::sharing::way(&visit.op);
    if asset.ledger == Ledger::Data {
        match app::catalogue::get(&door.app, &visit.op, &asset.id).await {
            Ok(entry) => {
                let chosen: Vec<&str> =
                    posted.all("items").filter_map(|i| i.strip_prefix(&format!("{n}:"))).collect();
                for item in &entry.draft.items {
                    let offered = way.offers(item);
                    let ticked =
                        if again { chosen.contains(&item.identifier.as_str()) } else { offered };
                    items.push(context! { item => value(item), offered, ticked });
                }
            }
            Err(e) if matches!(e.kind(), Kind::NotFound | Kind::Denied) => gone = true,
            Err(e) => return Err(e),
        }
    }
    Ok(context! {
        n, asset => value(asset), items, gone, on => !again || posted.ticked(&format!("w{n}-on")),
        way => or("way", "api"), open => way == model::request::RequestWay::Open, calls => or("calls", "1000"), area_range => own("area_range"), push => or("push", "full"),
        frequency => or("frequency", "daily"), destination => own("destination"), time_range => own("time_range"),
        detail => own("detail"), vcpu => or("vcpu", "0"), memory_gb => or("memory_gb", "0"), disk_gb => or("disk_gb", "0"),
    })
}

fn want(posted: &Posted, n: &str, ledger: Ledger) -> Result<Want> {
    let name = |field: &str| format!("w{n}-{field}");
    let own = |field: &str| posted.get(&name(field)).to_owned();
    let items = || -> Vec<String> {
        posted
            .all("items")
            .filter_map(|i| i.strip_prefix(&format!("{n}:")))
            .map(str::to_owned)
            .collect()
    };
    Ok(match ledger {
        Ledger::Data if own("way") == "batch" => Want::Batch {
            items: items(),
            push: if own("push") == "incremental" { Push::Incremental } else { Push::Full },
            frequency: own("frequency"),
            destination: own("destination"),
            area_range: own("area_range"),
            time_range: own("time_range"),
        },
        Ledger::Data => Want::Api {
            items: items(),
            calls_per_day: posted.number(&name("calls"))?,
            area_range: own("area_range"),
        },
        Ledger::Application | Ledger::Component => {
            Want::Use { calls_per_day: posted.number(&name("calls"))?, detail: own("detail") }
        }
        Ledger::Cloud => Want::Cloud {
            vcpu: posted.number(&name("vcpu"))?,
            memory_gb: posted.number(&name("memory_gb"))?,
            disk_gb: posted.number(&name("disk_gb"))?,
            detail: own("detail"),
        },
    })
}

fn read(posted: &Posted) -> Result<Form> {
    let own = |name: &str| posted.get(name).to_owned();
    Ok(Form {
        name: own("name"),
        area: own("area"),
        apply_type: own("apply_type"),
        finish_date: own("finish_date"),
        scene: own("scene"),
        matters: own("matters"),
        business_usage: own("business_usage"),
        expect_effect: own("expect_effect"),
        legal_basis: own("legal_basis"),
        letter: own("letter"),
        contact: own("contact"),
        phone: own("phone"),
        vendor: own("vendor"),
        application: own("application"),
        period: apply::period(posted)?,
    })
}

fn parts(posted: &Posted) -> Result<Vec<PartNew>> {
    let mut parts = Vec::new();
    for n in posted.all("n") {
        if posted.ticked(&format!("w{n}-on")) {
            let asset = asset(posted, &format!("w{n}-"))?;
            let want = want(posted, n, asset.ledger)?;
            parts.push(PartNew { asset, want });
        }
    }
    Ok(parts)
}

async fn file(State(door): State<Arc<Door>>, visit: Visit, posted: Posted) -> Answer {
    let outcome = match (read(&posted), parts(&posted)) {
        (Ok(filled), Ok(parts)) => {
            app::basket::file_share(&door.app, &visit.op, filled, parts).await
        }
        (Err(e), _) | (_, Err(e)) => Err(e),
    };
    match outcome {
        Ok(bundle) => filed(&bundle),
        Err(e) if mendable(&e) => fill(&door, &visit, &posted, Some(&e)).await,
        Err(e) => Err(e.into()),
    }
}

fn filed(bundle: &Bundle) -> Answer {
    done(&format!("/console/bundles/{}", bundle.id), "applied")
}

fn mendable(error: &Error) -> bool {
    matches!(error.kind(), Kind::Invalid | Kind::Conflict | Kind::NotFound)
}

async fn demand(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    demand_form(&door, &visit, &Posted::default(), None).await
}

async fn demand_form(door: &Door, visit: &Visit, posted: &Posted, error: Option<&Error>) -> Answer {
    may_file(door, visit).await?;
    door.names.refresh(&door.app).await;
    let context = context! {
        orgs => value(&door.names.get().orgs), ..common(door, visit, posted, error).await?
    };
    door.page_with(visit, "console/demand.html", context, error).await
}

/// Forms are shown to those who may file them.
async fn may_file(door: &Door, visit: &Visit) -> Result<()> {
    app::basket::list(&door.app, &visit.op).await.map(|_| ())
}

async fn file_demand(State(door): State<Arc<Door>>, visit: Visit, posted: Posted) -> Answer {
    let own = |name: &str| posted.get(name).to_owned();
    let outcome = match read(&posted) {
        Ok(filled) => {
            let new = DemandNew {
                form: filled,
                title: own("title"),
                need: own("need"),
                detail: own("detail"),
                fields: own("fields"),
                org: own("org"),
            };
            app::basket::file_demand(&door.app, &visit.op, new).await
        }
        Err(e) => Err(e),
    };
    match outcome {
        Ok(bundle) => filed(&bundle),
        Err(e) if mendable(&e) => demand_form(&door, &visit, &posted, Some(&e)).await,
        Err(e) => Err(e.into()),
    }
}

async fn objection(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let named = visit.q("ledger").zip(visit.q("id"));
    let asset = named.map(|(ledger, id)| (ledger.to_owned(), id.to_owned()));
    objection_form(&door, &visit, &Posted::default(), None, asset).await
}

async fn objection_form(
    door: &Door,
    visit: &Visit,
    posted: &Posted,
    error: Option<&Error>,
    asset: Option<(String, String)>,
) -> Answer {
    may_file(door, visit).await?;
    door.names.refresh(&door.app).await;
    let (ledger, id) = asset.unwrap_or_else(|| ("data".into(), String::new()));
    let context = context! {
        ledger, id, ..common(door, visit, posted, error).await?
    };
    door.page_with(visit, "console/objection.html", context, error).await
}

async fn file_objection(State(door): State<Arc<Door>>, visit: Visit, posted: Posted) -> Answer {
    let own = |name: &str| posted.get(name).to_owned();
    let about = match asset(&posted, "asset_") {
        Ok(about) => about,
        Err(e) => return objection_form(&door, &visit, &posted, Some(&e), None).await,
    };
    let back = Some((about.ledger.as_str().to_owned(), about.id.clone()));
    // The point's select offers all kinds' points as `kind:point`.
    let kind = own("about");
    let point = own("point").strip_prefix(&format!("{kind}:")).unwrap_or_default().to_owned();
    let outcome = match read(&posted) {
        Ok(filled) => {
            let new = ObjectionNew {
                form: filled,
                asset: about,
                about: kind,
                point,
                detail: own("detail"),
            };
            app::basket::file_objection(&door.app, &visit.op, new).await
        }
        Err(e) => Err(e),
    };
    match outcome {
        Ok(bundle) => filed(&bundle),
        Err(e) if mendable(&e) => objection_form(&door, &visit, &posted, Some(&e), back).await,
        Err(e) => Err(e.into()),
    }
}
