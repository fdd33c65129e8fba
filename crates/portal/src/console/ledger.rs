//! The ledgers: overview with quality, one ledger's list, an asset with its life, links and look-alikes, its form.

use std::collections::BTreeMap;
use std::sync::Arc;

use app::ledger::{self, rules::LedgerRule};
use app::{Action, Target};
use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect};
use axum::routing::{get, post};
use minijinja::{Value, context};
use model::asset::{Asset, AssetDraft, AssetFilter, Ledger, LinkKind, Node};
use model::notice::Watched;
use model::search::SearchQuery;
use model::{Error, Kind, Result};

use crate::console::{PAGE, done, next_link};
use crate::form::Posted;
use crate::view::value;
use crate::visit::{Lang, Visit};
use crate::{Answer, Door};

pub(super) fn router() -> Router<Arc<Door>> {
    Router::new()
        .route("/console/ledger", get(overview))
        .route("/console/ledger/ranking", get(ranking))
        .route("/console/ledger/changes.atom", get(changes))
        .route("/console/ledger/{ledger}", get(list))
        .route("/console/ledger/{ledger}/new", get(new_form).post(create))
        .route("/console/ledger/{ledger}/{id}", get(detail))
        .route("/console/ledger/{ledger}/{id}/edit", get(edit_form).post(edit))
        .route("/console/ledger/{ledger}/{id}/move", post(make_move))
        .route("/console/ledger/{ledger}/{id}/confirm", post(confirm))
        .route("/console/ledger/{ledger}/{id}/merge", post(merge))
        .route("/console/ledger/{ledger}/{id}/link", post(link))
        .route("/console/ledger/{ledger}/{id}/unlink", post(unlink))
        .route("/console/ledger/{ledger}/{id}/walk", get(walk))
}

/// The ledger of a path; an unknown word is not found.
pub(super) fn ledger_of(word: &str) -> Result<Ledger> {
    Ledger::of_word(word).ok_or_else(|| {
        Error::not_found("台账", "ledger", &word.chars().take(40).collect::<String>())
    })
}

/// Names of a ledger's states by their words.
pub(super) fn state_names(rule: &LedgerRule, lang: Lang) -> BTreeMap<String, String> {
    rule.state.iter().map(|s| (s.word.clone(), lang.of(&s.zh, &s.en).to_owned())).collect()
}

/// The ledgers as choices, with their addresses and counts by word.
pub(super) fn tiles(lang: Lang, counts: &[(String, u64)]) -> Vec<Value> {
    Ledger::ALL
        .into_iter()
        .map(|l| {
            let count = |word: &str| counts.iter().find(|(w, _)| w == word).map_or(0, |(_, n)| *n);
            let href = if l == Ledger::Data {
                "/console/entries".to_owned()
            } else {
                format!("/console/ledger/{l}")
            };
            context! {
                word => l.as_str(), name => lang.of(l.zh(), l.en()), count => count(l.as_str()), href,
                items => (l == Ledger::Data).then(|| count(model::search::ITEM)),
            }
        })
        .collect()
}

async fn overview(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let (app, op) = (&door.app, &visit.op);
    let org = visit.q("org").map(str::to_owned);
    let quality = ledger::quality(app, op, org.as_deref()).await?;
    let mut query = SearchQuery {
        facets: Some(["ledger", "region", "org"].map(str::to_owned).to_vec()),
        ..SearchQuery::default()
    };
    query.filters.extend(org.iter().map(|o| ("org".to_owned(), o.clone())));
    let found = ledger::search(app, op, query).await?;
    let counts = |name: &str| {
        found.facets.iter().find(|(n, _)| n == name).map_or(&[][..], |(_, c)| c.as_slice())
    };
    door.names.refresh(app).await;
    let names = door.names.get();
    let regions: Vec<Value> = names
        .regions
        .iter()
        .filter_map(|r| {
            let (_, n) = counts("region").iter().find(|(c, _)| c == &r.code)?;
            Some(context! { code => &r.code, level => value(r.level), count => n })
        })
        .collect();
    let ranking: Vec<_> = ledger::ranking(app, op, None).await?.into_iter().take(10).collect();
    let context = context! {
        tiles => tiles(visit.lang, counts("ledger")), quality => value(&quality), regions, org,
        total => found.total, orgs => value(counts("org").iter().take(20).collect::<Vec<_>>()),
        ranking => value(&ranking), own => &visit.session()?.user.org,
    };
    door.page(&visit, "console/ledger.html", context).await
}

/// The change feed of the ledgers, as the signed-in reader may know of it.
async fn changes(
    State(door): State<Arc<Door>>,
    visit: Visit,
    headers: axum::http::HeaderMap,
) -> Answer {
    let filter = crate::site::changes::filter(&door, &visit).await?;
    crate::site::changes::feed(&door, &visit, &visit.op, filter, &headers).await
}

async fn ranking(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let month = visit.q("month");
    let rows = ledger::ranking(&door.app, &visit.op, month).await?;
    door.page(&visit, "console/ranking.html", context! { rows => value(&rows), month }).await
}

/// The filter that the page's query asks for.
pub(super) fn filter(visit: &Visit, ledger: Ledger) -> AssetFilter {
    let own = visit.session.as_ref().and_then(|s| s.user.org.clone());
    let set = |name: &str| visit.q(name).map(str::to_owned);
    AssetFilter {
        ledger: Some(ledger),
        org: if visit.q("org") == Some("mine") { own } else { set("org") },
        region: set("region"),
        state: set("state"),
        text: set("q"),
        stale_before: set("stale_before"),
        ownerless: visit.q("ownerless").is_some(),
        orphan: visit.q("orphan").is_some(),
        after: set("after"),
        limit: PAGE,
    }
}

async fn list(State(door): State<Arc<Door>>, Path(word): Path<String>, visit: Visit) -> Answer {
    let ledger = ledger_of(&word)?;
    if ledger == Ledger::Data {
        return Ok(Redirect::to("/console/entries").into_response());
    }
    let (app, op) = (&door.app, &visit.op);
    let filter = filter(&visit, ledger);
    let page = ledger::list(app, op, &filter).await?;
    let total = ledger::count(app, op, &filter).await?;
    let rule = ledger::rules(app, op)?.of(ledger)?;
    door.names.refresh(app).await;
    let names = door.names.get();
    let query = visit.asked_but(&["after", "done"]);
    let context = context! {
        ledger => ledger.as_str(), ledger_name => visit.t(ledger.zh(), ledger.en()),
        assets => value(&page.items), total, next => next_link(&visit, "after", page.next.as_deref()),
        states => state_names(rule, visit.lang), rule => value(rule),
        orgs => value(&names.orgs), regions => value(&names.regions),
        q => visit.q("q"), org => visit.q("org"), region => visit.q("region"), state => visit.q("state"),
        stale_before => visit.q("stale_before"), ownerless => visit.q("ownerless"), orphan => visit.q("orphan"),
        own => &visit.session()?.user.org, export => query.join("&"),
        may_compile => may_compile(&door, &visit), done => visit.q("done"),
    };
    door.page(&visit, "console/ledger_list.html", context).await
}

/// Whether the caller could enter an asset of their own organisation.
pub(super) fn may_compile(door: &Door, visit: &Visit) -> bool {
    let target = Target {
        kind: "Asset",
        org: visit.op.actor.org().map(str::to_owned),
        region: visit.op.actor.region().map(str::to_owned),
        ..Target::default()
    };
    door.app.may(&visit.op, Action::AssetCompile, &target)
}

/// The asset of a path, in the ledger that the path says.
async fn asset_at(door: &Door, visit: &Visit, word: &str, id: &str) -> Result<Asset> {
    let ledger = ledger_of(word)?;
    let asset = ledger::get(&door.app, &visit.op, id).await?;
    if asset.draft.ledger == ledger {
        return Ok(asset);
    }
    Err(Error::not_found("资产", "asset", &id.chars().take(64).collect::<String>()))
}

async fn detail(
    State(door): State<Arc<Door>>,
    Path((word, id)): Path<(String, String)>,
    visit: Visit,
) -> Answer {
    let (app, op) = (&door.app, &visit.op);
    let asset = asset_at(&door, &visit, &word, &id).await?;
    let node = Node::asset(asset.draft.ledger, &asset.id);
    let (needs, needs_total) = ledger::links(app, op, &node, false).await?;
    let (used_by, used_total) = ledger::links(app, op, &node, true).await?;
    let rule = ledger::rules(app, op)?.of(asset.draft.ledger)?;
    let may =
        app.may(op, Action::AssetCompile, &Target::asset(&asset)) && asset.merged_into.is_none();
    let live = rule.state(&asset.state).is_some_and(|s| s.live) && asset.merged_into.is_none();
    let may_basket =
        live && op.actor.org() != Some(asset.draft.org.as_str()) && app::basket::may_file(app, op);
    let alike = if may { ledger::alike(app, op, &asset.id).await? } else { Vec::new() };
    let context = context! {
        ledger => asset.draft.ledger.as_str(),
        ledger_name => visit.t(asset.draft.ledger.zh(), asset.draft.ledger.en()),
        it => value(&asset), rule => value(rule), states => state_names(rule, visit.lang),
        moves => value(ledger::moves(rule, &asset)), steps => value(ledger::steps(app, op, &asset.id).await?),
        needs => value(&needs), needs_total, used_by => value(&used_by), used_total,
        kinds => LinkKind::ALL.iter().filter(|k| Ledger::ALL.iter().any(|to| k.fits(asset.draft.ledger, *to)))
            .map(|k| context! { value => k.as_str(), name => visit.t(k.zh(), k.en()) }).collect::<Vec<_>>(),
        kind_names => LinkKind::ALL.iter().map(|k| (k.as_str().to_owned(), visit.t(k.zh(), k.en()).to_owned()))
            .collect::<BTreeMap<_, _>>(),
        alike => value(&alike), may, may_basket, node => node.key(),
        subscribed => app::notice::subscribed(app, op, Watched::Thing, &node.key()).await?,
        done => visit.q("done"),
    };
    door.page(&visit, "console/asset.html", context).await
}

/// The draft a form holds.
fn draft_of(posted: &Posted, ledger: Ledger) -> AssetDraft {
    let fields = posted
        .names()
        .filter_map(|name| {
            let key = name.strip_prefix("field-")?;
            Some((key.to_owned(), posted.all(name).collect::<Vec<_>>().join("、")))
        })
        .collect();
    let text = |name: &str| posted.get(name).to_owned();
    AssetDraft {
        ledger,
        code: text("code"),
        name: text("name"),
        org: text("org"),
        region: text("region"),
        owner: text("owner"),
        description: text("description"),
        fields,
    }
}

async fn form_page(
    door: &Door,
    visit: &Visit,
    draft: &AssetDraft,
    base: Option<(&str, i64)>,
    error: Option<&Error>,
) -> Answer {
    let rule = ledger::rules(&door.app, &visit.op)?.of(draft.ledger)?;
    door.names.refresh(&door.app).await;
    let names = door.names.get();
    let context = context! {
        ledger => draft.ledger.as_str(), ledger_name => visit.t(draft.ledger.zh(), draft.ledger.en()),
        rule => value(rule), draft => value(draft), id => base.map(|(id, _)| id),
        base_version => base.map(|(_, v)| v),
        orgs => value(&names.orgs), regions => value(&names.regions),
        twin => error.is_some_and(|e| e.code() == model::Code::Duplicate && base.is_none()),
        error => error.map(|e| visit.t(e.zh(), e.en())),
        fields => value(error.map(Error::fields).unwrap_or_default()),
    };
    door.page_with(visit, "console/asset_form.html", context, error).await
}

async fn new_form(State(door): State<Arc<Door>>, Path(word): Path<String>, visit: Visit) -> Answer {
    let draft = AssetDraft {
        ledger: ledger_of(&word)?,
        code: String::new(),
        name: String::new(),
        org: visit.op.actor.org().unwrap_or_default().to_owned(),
        region: visit.op.actor.region().unwrap_or_default().to_owned(),
        owner: String::new(),
        description: String::new(),
        fields: BTreeMap::new(),
    };
    form_page(&door, &visit, &draft, None, None).await
}

async fn create(
    State(door): State<Arc<Door>>,
    Path(word): Path<String>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    let draft = draft_of(&posted, ledger_of(&word)?);
    let despite = posted.ticked("despite");
    match ledger::create(&door.app, &visit.op, draft.clone(), despite).await {
        Ok(asset) => done(&format!("/console/ledger/{word}/{}", asset.id), "created"),
        Err(error) if matches!(error.kind(), Kind::Invalid | Kind::Conflict) => {
            form_page(&door, &visit, &draft, None, Some(&error)).await
        }
        Err(error) => Err(error.into()),
    }
}

async fn edit_form(
    State(door): State<Arc<Door>>,
    Path((word, id)): Path<(String, String)>,
    visit: Visit,
) -> Answer {
    let asset = asset_at(&door, &visit, &word, &id).await?;
    form_page(&door, &visit, &asset.draft, Some((&asset.id, asset.version)), None).await
}

async fn edit(
    State(door): State<Arc<Door>>,
    Path((word, id)): Path<(String, String)>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    let asset = asset_at(&door, &visit, &word, &id).await?;
    let base = posted.number::<i64>("base_version")?;
    let draft =
        AssetDraft { code: asset.draft.code.clone(), ..draft_of(&posted, ledger_of(&word)?) };
    match ledger::edit(&door.app, &visit.op, &asset.id, draft.clone(), base).await {
        Ok(asset) => done(&format!("/console/ledger/{word}/{}", asset.id), "saved"),
        Err(error) if matches!(error.kind(), Kind::Invalid | Kind::Conflict) => {
            form_page(&door, &visit, &draft, Some((&asset.id, base)), Some(&error)).await
        }
        Err(error) => Err(error.into()),
    }
}

async fn make_move(
    State(door): State<Arc<Door>>,
    Path((word, id)): Path<(String, String)>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    let asset = asset_at(&door, &visit, &word, &id).await?;
    ledger::step(&door.app, &visit.op, &asset.id, posted.get("to"), posted.get("reason")).await?;
    done(&format!("/console/ledger/{word}/{}", asset.id), "moved")
}

async fn confirm(
    State(door): State<Arc<Door>>,
    Path((word, id)): Path<(String, String)>,
    visit: Visit,
    _posted: Posted,
) -> Answer {
    let asset = asset_at(&door, &visit, &word, &id).await?;
    ledger::confirm(&door.app, &visit.op, &asset.id).await?;
    done(&format!("/console/ledger/{word}/{}", asset.id), "saved")
}

async fn merge(
    State(door): State<Arc<Door>>,
    Path((word, id)): Path<(String, String)>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    let keep = asset_at(&door, &visit, &word, &id).await?;
    let reason = posted.get("reason");
    ledger::merge(&door.app, &visit.op, &keep.id, posted.get("drop"), reason).await?;
    done(&format!("/console/ledger/{word}/{}", keep.id), "merged")
}

/// The other end that a form names: `data:CODE`, `data:CODE#ITEM`, `cloud:CODE`, or a node key.
async fn other_end(door: &Door, visit: &Visit, text: &str) -> Result<Node> {
    let wrong = || {
        Error::invalid(
            "另一端请写成 data:目录编码、data:目录编码#数据项、component:编号、cloud:编号 或 application:编号",
            "name the other end as data:CODE, data:CODE#ITEM, component:CODE, cloud:CODE or application:CODE",
        )
        .field("other", "请改写", "rewrite it")
    };
    let node = Node::parse(text).ok_or_else(wrong)?;
    if node.ledger == Ledger::Data {
        let entry = app::catalogue::get(&door.app, &visit.op, &node.id).await?;
        return Ok(Node { id: entry.id, ..node });
    }
    let asset = ledger::by_code(&door.app, &visit.op, node.ledger, &node.id).await?;
    Ok(Node { id: asset.id, ..node })
}

async fn linked(
    door: &Door,
    visit: &Visit,
    place: (&str, &str),
    posted: &Posted,
) -> Result<(Asset, Node, Node, LinkKind)> {
    let asset = asset_at(door, visit, place.0, place.1).await?;
    let kind = LinkKind::parse(posted.get("kind"))
        .ok_or_else(|| Error::invalid("请选择关联方式", "choose the kind of link"))?;
    let mine = Node::asset(asset.draft.ledger, &asset.id);
    let other = other_end(door, visit, posted.get("other")).await?;
    let (from, to) = if posted.ticked("back") { (other, mine) } else { (mine, other) };
    Ok((asset, from, to, kind))
}

async fn link(
    State(door): State<Arc<Door>>,
    Path((word, id)): Path<(String, String)>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    let (asset, from, to, kind) = linked(&door, &visit, (&word, &id), &posted).await?;
    ledger::link(&door.app, &visit.op, &from, &to, kind).await?;
    done(&format!("/console/ledger/{word}/{}#links", asset.id), "saved")
}

async fn unlink(
    State(door): State<Arc<Door>>,
    Path((word, id)): Path<(String, String)>,
    visit: Visit,
    posted: Posted,
) -> Answer {
    let (asset, from, to, kind) = linked(&door, &visit, (&word, &id), &posted).await?;
    ledger::unlink(&door.app, &visit.op, &from, &to, kind).await?;
    done(&format!("/console/ledger/{word}/{}#links", asset.id), "saved")
}

async fn walk(
    State(door): State<Arc<Door>>,
    Path((word, id)): Path<(String, String)>,
    visit: Visit,
) -> Answer {
    let ledger = ledger_of(&word)?;
    let (app, op) = (&door.app, &visit.op);
    let (start, name, href) = if ledger == Ledger::Data {
        let entry = app::catalogue::get(app, op, &id).await?;
        let item = visit.q("item").map(str::to_owned);
        let name = match &item {
            Some(item) => format!("{} · {item}", entry.draft.title),
            None => entry.draft.title.clone(),
        };
        let href = format!("/console/entries/{}", entry.id);
        (Node { item, ..Node::entry(&entry.id) }, name, href)
    } else {
        let asset = asset_at(&door, &visit, &word, &id).await?;
        let href = format!("/console/ledger/{ledger}/{}", asset.id);
        (Node::asset(ledger, &asset.id), asset.draft.name, href)
    };
    let back = visit.q("back").is_some();
    let walk = ledger::walk(app, op, &start, back).await?;
    let rules = ledger::rules(app, op)?;
    let mut states: BTreeMap<String, String> = BTreeMap::new();
    for rule in &rules.ledger {
        states.extend(state_names(rule, visit.lang));
    }
    let context = context! {
        ledger => ledger.as_str(), name, href, back, walk => value(&walk), states,
        item => visit.q("item"),
        ledgers => Ledger::ALL.iter().map(|l| (l.as_str().to_owned(), visit.t(l.zh(), l.en()).to_owned()))
            .collect::<BTreeMap<_, _>>(),
        kinds => LinkKind::ALL.iter().map(|k| (k.as_str().to_owned(), visit.t(k.zh(), k.en()).to_owned()))
            .collect::<BTreeMap<_, _>>(),
    };
    door.page(&visit, "console/walk.html", context).await
}
