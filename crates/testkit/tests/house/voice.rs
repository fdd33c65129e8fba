//! The public's voice: tickets find their desk, are answered in time and read by whom they may be; ratings and supports count once;
//! comments are moderated; links of what was made of open data are looked at.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use app::voice::{self, DeskFilter, SiteFilter, TicketOrder};
use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use chrono::TimeDelta;
use model::account::{Role, UserNew};
use model::audit::AuditFilter;
use model::voice::showcase::{LinkState, ShowcaseKind, ShowcaseNew, ShowcaseState};
use model::voice::ticket::{Deed, Ticket, TicketKind, TicketNew, TicketState};
use model::{Code, Op};
use testkit::{
    AUTHORITY_ORG, CITY_ORG, COUNTY_ORG, ENTERPRISE_ORG, House, PASSWORD, PROVIDER_ORG,
    STRANGER_ORG,
};

fn new(kind: TicketKind, entry: &str, title: &str) -> TicketNew {
    TicketNew {
        kind: Some(kind),
        entry: entry.into(),
        title: title.into(),
        text: "请核实这条数据，谢谢。".into(),
        contact: "王小明 13800138000".into(),
        public: true,
        ..TicketNew::default()
    }
}

async fn filed(house: &House, who: &str, new: TicketNew) -> Ticket {
    let op = house.person(who).await;
    voice::file(&house.app, &op, new).await.unwrap()
}

async fn done(house: &House, who: &str, ticket: &Ticket, order: TicketOrder) -> Ticket {
    let op = house.person(who).await;
    voice::act(&house.app, &op, &ticket.id, order).await.unwrap()
}

async fn refused(house: &House, who: &str, ticket: &Ticket, order: TicketOrder) -> Code {
    let op = house.person(who).await;
    voice::act(&house.app, &op, &ticket.id, order).await.unwrap_err().code()
}

fn say(deed: Deed, text: &str) -> TicketOrder {
    TicketOrder::new(deed, text)
}

async fn told(house: &House, who: &str, kind: &str) -> usize {
    let op = house.person(who).await;
    let page = app::notice::list(&house.app, &op, false, None, 200).await.unwrap();
    page.items.iter().filter(|n| n.kind == kind).count()
}

async fn audited(house: &House, action: &str) -> usize {
    let auditor = house.person("auditor").await;
    let filter = AuditFilter { action: Some(action.into()), limit: 50, ..AuditFilter::default() };
    app::audit::list(&house.app, &auditor, &filter).await.unwrap().len()
}

/// By data set to its provider, by organisation to that one, else to the bureau, which hands it over.
async fn routing(house: House) {
    let app = &house.app;
    house.publish(testkit::draft("tongji")).await;
    let by_set = filed(&house, "citizen", new(TicketKind::Fault, "tongji", "金额有误")).await;
    assert_eq!((by_set.org.as_str(), by_set.state), (PROVIDER_ORG, TicketState::Received));
    assert_eq!(by_set.number, "JC-20260302-000001");
    assert_eq!(by_set.due.to_string(), "2026-03-09", "five working days");
    assert_eq!(
        (
            told(&house, "provider", "ticket.filed").await,
            told(&house, "reviewer", "ticket.filed").await
        ),
        (1, 1)
    );
    assert_eq!(told(&house, "stranger", "ticket.filed").await, 0);

    let to_org =
        TicketNew { org: STRANGER_ORG.into(), ..new(TicketKind::Question, "", "水质数据") };
    assert_eq!(filed(&house, "citizen", to_org).await.org, STRANGER_ORG);
    // Nobody works at the county's desk: its city's bureau takes it.
    let county =
        TicketNew { org: COUNTY_ORG.into(), ..new(TicketKind::Suggestion, "", "区县数据") };
    let county = filed(&house, "enterprise", county).await;
    assert_eq!((county.org.as_str(), county.region.as_str()), (CITY_ORG, "330110"));
    let free = filed(&house, "consumer", new(TicketKind::Request, "", "需要停车数据")).await;
    assert_eq!((free.org.as_str(), free.due.to_string().as_str()), (AUTHORITY_ORG, "2026-03-23"));
    assert_eq!(free.number, "XQ-20260302-000004");
    let enterprise =
        TicketNew { org: ENTERPRISE_ORG.into(), ..new(TicketKind::Question, "", "企业") };
    let op = house.person("citizen").await;
    assert_eq!(voice::file(app, &op, enterprise).await.unwrap_err().code(), Code::NotFound);

    // The bureau hands it over; a stranger cannot take it, and an empty desk cannot be given anything.
    let hand = |org: &str| TicketOrder { org: org.into(), ..say(Deed::HandOver, "请办理") };
    assert_eq!(refused(&house, "provider", &free, hand(PROVIDER_ORG)).await, Code::NotFound);
    assert_eq!(refused(&house, "authority", &free, hand(COUNTY_ORG)).await, Code::RuleBroken);
    let handed = done(&house, "authority", &free, hand(PROVIDER_ORG)).await;
    assert_eq!((handed.org.as_str(), handed.due), (PROVIDER_ORG, free.due));
    assert_eq!(told(&house, "provider", "ticket.handed").await, 1);
    // The province's bureau oversees what lies at any desk; the city's only its own region.
    let over = done(&house, "authority", &handed, hand(STRANGER_ORG)).await;
    assert_eq!(over.org, STRANGER_ORG);
    assert_eq!(refused(&house, "city", &over, hand(CITY_ORG)).await, Code::NotFound);
    assert_eq!(audited(&house, "ticket.hand_over").await, 2);

    // Each desk sees its own.
    let all = DeskFilter::default();
    let at = async |who: &str| {
        let op = house.person(who).await;
        voice::desk(app, &op, &all).await.map(|p| p.items.len())
    };
    assert_eq!((at("provider").await.unwrap(), at("stranger").await.unwrap()), (1, 2));
    assert_eq!(at("citizen").await.unwrap_err().code(), Code::Denied);
    let op = house.person("authority").await;
    let region = DeskFilter { region: true, ..all };
    assert_eq!(voice::desk(app, &op, &region).await.unwrap().items.len(), 4);
    let op = house.person("city").await;
    assert_eq!(voice::desk(app, &op, &region).await.unwrap().items.len(), 1);
}

/// Who reads what: private tickets nobody else, public ones all but the writer's name, contact and own answer.
async fn privacy(house: House) {
    let app = &house.app;
    let entry = house.publish(testkit::draft("tongji")).await;
    house.publish(testkit::person_draft("renkou")).await;
    let nobody = house.nobody();
    let e = voice::file(app, &nobody, new(TicketKind::Fault, "tongji", "有误")).await.unwrap_err();
    assert_eq!(e.code(), Code::SignInRequired);
    let citizen = house.person("citizen").await;
    for code in ["renkou", "never"] {
        let e = voice::file(app, &citizen, new(TicketKind::Fault, code, "有误")).await.unwrap_err();
        assert_eq!(e.code(), Code::NotFound, "{code}");
    }
    for (title, text) in
        [("11010519491231002X 有误", "请更正这条数据"), ("有误", "请打１３８００１３８０００")]
    {
        let named = TicketNew { text: text.into(), ..new(TicketKind::Fault, "tongji", title) };
        let e = voice::file(app, &citizen, named.clone()).await.unwrap_err();
        assert_eq!(e.code(), Code::InvalidInput, "{title} {text}");
        // What is not public may say so.
        voice::file(app, &citizen, TicketNew { public: false, ..named }).await.unwrap();
    }
    let rights =
        filed(&house, "citizen", new(TicketKind::Rights, "tongji", "泄露了我的信息")).await;
    assert!(!rights.public);
    let open = filed(&house, "citizen", new(TicketKind::Fault, "tongji", "金额有误")).await;
    let seen = async |op: &Op, t: &Ticket| voice::open(app, op, &t.number).await.map(|o| o.own);
    for ticket in [&rights, &open] {
        assert!(seen(&citizen, ticket).await.unwrap());
        for who in ["enterprise", "stranger", "provider"] {
            let op = house.person(who).await;
            assert_eq!(seen(&op, ticket).await.unwrap_err().code(), Code::NotFound, "{who}");
        }
        assert_eq!(seen(&nobody, ticket).await.unwrap_err().code(), Code::NotFound);
        let op = house.person("stranger").await;
        assert_eq!(voice::get(app, &op, &ticket.id).await.unwrap_err().code(), Code::NotFound);
        assert_eq!(voice::contact(app, &op, &ticket.id).await.unwrap_err().code(), Code::NotFound);
    }
    done(&house, "provider", &rights, say(Deed::Accept, "")).await;
    done(&house, "provider", &open, say(Deed::Accept, "")).await;
    assert_eq!(seen(&nobody, &rights).await.unwrap_err().code(), Code::NotFound, "never public");
    assert!(!seen(&nobody, &open).await.unwrap());
    let shown = voice::list(app, &nobody, &SiteFilter::default()).await.unwrap().items;
    assert_eq!(shown.iter().map(|t| t.number.as_str()).collect::<Vec<_>>(), [open.number.as_str()]);
    let published = TicketOrder { public_text: "公开".into(), ..say(Deed::Answer, "答复") };
    assert_eq!(refused(&house, "provider", &rights, published).await, Code::RuleBroken);

    // The contact rests sealed, is opened by the desk alone, and each look is recorded.
    let sealed = app.store.ticket_contact(&open.id).await.unwrap().unwrap();
    assert!(!sealed.contains("王小明") && !sealed.contains("13800138000"));
    let provider = house.person("provider").await;
    assert_eq!(voice::contact(app, &provider, &open.id).await.unwrap(), "王小明 13800138000");
    assert_eq!(audited(&house, "ticket.contact").await, 1);
    let authority = house.person("authority").await;
    assert!(voice::get(app, &authority, &open.id).await.is_ok(), "the bureau oversees it");
    assert_eq!(voice::contact(app, &authority, &open.id).await.unwrap_err().code(), Code::Denied);

    let answer =
        TicketOrder { public_text: "已更正".into(), ..say(Deed::Answer, "只告诉您") };
    done(&house, "provider", &open, answer).await;
    let public =
        serde_json::to_string(&voice::open(app, &nobody, &open.number).await.unwrap()).unwrap();
    assert!(public.contains("已更正") && !public.contains("只告诉您"), "{public}");
    assert!(!public.contains("王小明") && !public.contains(citizen.actor.id()), "{public}");
    let own = voice::open(app, &citizen, &open.number).await.unwrap();
    assert_eq!((own.reply.as_str(), own.own), ("只告诉您", true));
    // A data set that is closed is no longer named; the bureau takes the ticket off the site.
    for (who, step) in [
        ("provider", app::catalogue::Move::TakeOffline),
        ("authority", app::catalogue::Move::Approve),
    ] {
        let op = house.person(who).await;
        app::catalogue::step(app, &op, &entry.id, step, "停用").await.unwrap();
    }
    assert!(voice::open(app, &nobody, &open.number).await.unwrap().dataset.is_none());
    done(&house, "authority", &open, say(Deed::Withhold, "含不当内容")).await;
    assert_eq!(seen(&nobody, &open).await.unwrap_err().code(), Code::NotFound);
    assert!(voice::list(app, &nobody, &SiteFilter::default()).await.unwrap().items.is_empty());
}

/// Returned, supplied, answered, judged, reopened once; who may not, cannot; the same move twice is refused.
async fn moves(house: House) {
    let app = &house.app;
    house.publish(testkit::draft("tongji")).await;
    let t = filed(&house, "citizen", new(TicketKind::Fault, "tongji", "金额有误")).await;
    let stale = TicketOrder { seen: Some(t.edit + 1), ..say(Deed::Accept, "") };
    assert_eq!(refused(&house, "provider", &t, stale).await, Code::Stale);
    assert_eq!(refused(&house, "citizen", &t, say(Deed::Answer, "自答")).await, Code::WrongState);
    assert_eq!(
        refused(&house, "enterprise", &t, say(Deed::Supplement, "冒充")).await,
        Code::NotFound
    );
    assert_eq!(refused(&house, "provider", &t, say(Deed::Return, "")).await, Code::InvalidInput);
    let t = done(&house, "provider", &t, say(Deed::Return, "请说明是哪一行")).await;
    assert_eq!(t.state, TicketState::Returned);
    assert_eq!(told(&house, "citizen", "ticket.returned").await, 1);
    assert_eq!(refused(&house, "provider", &t, say(Deed::Answer, "答复")).await, Code::WrongState);
    house.clock.forward(TimeDelta::days(1));
    let t = done(&house, "citizen", &t, say(Deed::Supplement, "编号 3 的金额")).await;
    assert_eq!((t.state, t.due.to_string().as_str()), (TicketState::Received, "2026-03-10"));
    assert_eq!(told(&house, "provider", "ticket.supplied").await, 1);
    let t = done(&house, "reviewer", &t, say(Deed::Accept, "")).await;
    assert_eq!(refused(&house, "provider", &t, say(Deed::Accept, "")).await, Code::WrongState);
    let t = done(&house, "provider", &t, say(Deed::Answer, "已更正")).await;
    assert_eq!((t.state, t.days), (TicketState::Answered, 1));
    assert_eq!(told(&house, "citizen", "ticket.answered").await, 1);
    let judge = |score| TicketOrder { score, satisfied: false, ..say(Deed::Evaluate, "不清楚") };
    assert_eq!(refused(&house, "citizen", &t, judge(6)).await, Code::InvalidInput);
    assert_eq!(refused(&house, "enterprise", &t, judge(1)).await, Code::NotFound, "another's");
    let t = done(&house, "citizen", &t, judge(2)).await;
    assert_eq!((t.state, t.score, t.satisfied), (TicketState::Closed, 2, Some(false)));
    assert_eq!(refused(&house, "citizen", &t, judge(5)).await, Code::WrongState, "once");
    let t = done(&house, "citizen", &t, say(Deed::Reopen, "仍未更正")).await;
    assert_eq!((t.state, t.reopened), (TicketState::Received, true));
    let t = done(&house, "provider", &t, say(Deed::Answer, "再次更正")).await;
    assert_eq!(t.days, 1, "the first answer counts");
    assert_eq!(refused(&house, "citizen", &t, say(Deed::Reopen, "还要")).await, Code::WrongState);
    let events = app.store.ticket_events(&t.id).await.unwrap();
    let words: Vec<&str> = events.iter().map(|e| e.deed.as_str()).collect();
    let expected =
        ["file", "return", "supplement", "accept", "answer", "evaluate", "reopen", "answer"];
    assert_eq!(words, expected);
    for word in ["file", "return", "supplement", "accept", "evaluate", "reopen"] {
        assert_eq!(audited(&house, &format!("ticket.{word}")).await, 1, "{word}");
    }
    // Nobody answers what they wrote, whatever their role.
    let own = filed(&house, "provider", new(TicketKind::Question, "tongji", "怎样更新")).await;
    assert_eq!(
        refused(&house, "provider", &own, say(Deed::Answer, "自答")).await,
        Code::WrongState
    );
    done(&house, "reviewer", &own, say(Deed::Answer, "每日更新")).await;
    let gone = filed(&house, "citizen", new(TicketKind::Fault, "tongji", "看错了")).await;
    let gone = done(&house, "citizen", &gone, say(Deed::Withdraw, "")).await;
    assert_eq!(gone.state, TicketState::Closed);
    assert_eq!(
        refused(&house, "citizen", &gone, say(Deed::Reopen, "还是有误")).await,
        Code::WrongState
    );
}

/// Late tickets are counted and reminded of once a day; what was answered closes by itself; figures follow.
async fn time(house: House) {
    let app = &house.app;
    house.publish(testkit::draft("tongji")).await;
    let tick = async || voice::tick(app, &Op::system(app.now())).await.unwrap();
    let late = filed(&house, "citizen", new(TicketKind::Fault, "tongji", "金额有误")).await;
    let quick = filed(&house, "citizen", new(TicketKind::Question, "tongji", "怎样下载")).await;
    done(&house, "provider", &quick, say(Deed::Answer, "点击下载按钮")).await;
    assert_eq!(tick().await, 0, "nothing is due");
    house.clock.forward(TimeDelta::days(4));
    assert_eq!(tick().await, 1, "a working day before");
    assert_eq!(
        (tick().await, told(&house, "provider", "ticket.remind").await),
        (0, 1),
        "once a day"
    );
    assert_eq!(told(&house, "authority", "ticket.remind").await, 0);
    house.clock.forward(TimeDelta::days(4));
    assert_eq!(tick().await, 1);
    assert_eq!(told(&house, "provider", "ticket.remind").await, 2);
    assert_eq!(
        told(&house, "authority", "ticket.remind").await,
        1,
        "what is late, the bureau learns"
    );
    let provider = house.person("provider").await;
    let count = voice::count(app, &provider).await.unwrap();
    assert_eq!((count.waiting, count.overdue), (1, 1));
    let overdue = DeskFilter { overdue: true, ..DeskFilter::default() };
    let rows = voice::desk(app, &provider, &overdue).await.unwrap().items;
    assert_eq!(rows.iter().map(|t| t.id.as_str()).collect::<Vec<_>>(), [late.id.as_str()]);
    let stranger = house.person("stranger").await;
    assert_eq!(voice::count(app, &stranger).await.unwrap().waiting, 0);
    // Answered on 2 March: ten working days are over after 16 March.
    let state = async |t: &Ticket| app.store.ticket_get(&t.id).await.unwrap().unwrap().state;
    assert_eq!(state(&quick).await, TicketState::Answered);
    done(&house, "provider", &late, say(Deed::Answer, "已更正")).await;
    house.clock.forward(TimeDelta::days(7));
    assert_eq!(tick().await, 1);
    assert_eq!(
        (state(&quick).await, state(&late).await),
        (TicketState::Closed, TicketState::Answered)
    );
    assert_eq!(audited(&house, "ticket.close").await, 1);
    filed(&house, "enterprise", new(TicketKind::Request, "", "需要新的数据")).await;
    let figures = voice::figures(app, &house.nobody()).await.unwrap();
    assert_eq!((figures.tickets, figures.answered, figures.median_days), (3, 2, Some(0)));
    let of = |kind| figures.kinds.iter().find(|(k, _, _)| *k == kind).map(|(_, a, b)| (*a, *b));
    assert_eq!(of(TicketKind::Fault), Some((1, 1)));
    assert_eq!(of(TicketKind::Request), Some((1, 0)));
}

/// One support and one rating an account; limits a day; the list by pages.
async fn once_each(house: House) {
    let app = &house.app;
    house.publish(testkit::draft("tongji")).await;
    let wish = filed(&house, "citizen", new(TicketKind::Request, "", "需要停车数据")).await;
    let support = async |who: &str, t: &Ticket| {
        let op = house.person(who).await;
        voice::support(app, &op, &t.number).await
    };
    let code = async |who: &str, t: &Ticket| support(who, t).await.unwrap_err().code();
    assert_eq!(code("enterprise", &wish).await, Code::NotFound, "not public yet");
    done(&house, "authority", &wish, say(Deed::Accept, "")).await;
    for _ in 0..2 {
        assert_eq!(support("enterprise", &wish).await.unwrap(), 1);
    }
    assert_eq!(support("consumer", &wish).await.unwrap(), 2);
    assert_eq!(code("citizen", &wish).await, Code::WrongState, "one's own");
    let nobody = house.nobody();
    let e = voice::support(app, &nobody, &wish.number).await.unwrap_err();
    assert_eq!(e.code(), Code::SignInRequired);
    let fault = filed(&house, "citizen", new(TicketKind::Fault, "tongji", "金额有误")).await;
    done(&house, "provider", &fault, say(Deed::Accept, "")).await;
    assert_eq!(code("enterprise", &fault).await, Code::WrongState, "requests only");
    assert_eq!(voice::open(app, &nobody, &wish.number).await.unwrap().ticket.supports, 2);
    assert_eq!(audited(&house, "ticket.support").await, 2);

    let rate = async |who: &str, stars| {
        let op = house.person(who).await;
        voice::rate(app, &op, "tongji", stars).await
    };
    for stars in [5, 1, 4] {
        rate("citizen", stars).await.unwrap();
    }
    rate("enterprise", 5).await.unwrap();
    assert_eq!(rate("consumer", 0).await.unwrap_err().code(), Code::InvalidInput);
    let citizen = house.person("citizen").await;
    let opinion = voice::opinion(app, &citizen, "tongji", None).await.unwrap();
    assert_eq!((opinion.mean.as_str(), opinion.count, opinion.mine), ("4.5", 2, Some(4)));
    let e = voice::rate(app, &nobody, "tongji", 5).await.unwrap_err();
    assert_eq!(e.code(), Code::SignInRequired);

    // Ten tickets in a day, then no more before the first is a day old.
    for n in 0..10 {
        filed(&house, "enterprise", new(TicketKind::Question, "", &format!("第 {n} 个问题"))).await;
    }
    let enterprise = house.person("enterprise").await;
    let more = new(TicketKind::Question, "", "再问一个");
    let e = voice::file(app, &enterprise, more.clone()).await.unwrap_err();
    assert_eq!(e.code(), Code::RateLimited);
    house.clock.forward(TimeDelta::hours(25));
    let enterprise = house.person("enterprise").await;
    let next = voice::file(app, &enterprise, more).await.unwrap();
    assert_eq!(next.number, "ZX-20260303-000001", "a new day counts anew");
    let mut seen = Vec::new();
    let mut before: Option<String> = None;
    loop {
        let page = voice::mine(app, &enterprise, before.as_deref(), 4).await.unwrap();
        seen.extend(page.items.into_iter().map(|t| t.number));
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    let distinct: std::collections::HashSet<_> = seen.iter().collect();
    assert_eq!((seen.len(), distinct.len()), (11, 11), "page by page, nothing twice");
}

/// Comments with replies, reported once, hidden by provider or bureau, nobody else.
async fn comments(house: House) {
    let app = &house.app;
    house.publish(testkit::draft("tongji")).await;
    let citizen = house.person("citizen").await;
    let id = voice::comment(app, &citizen, "tongji", "", "数据更新很及时").await.unwrap();
    for wrong in ["", "x", "电话13800138000", "a\u{0}b"] {
        let e = voice::comment(app, &citizen, "tongji", "", wrong).await.unwrap_err();
        assert_eq!(e.code(), Code::InvalidInput, "{wrong:?}");
    }
    let provider = house.person("provider").await;
    let reply = voice::comment(app, &provider, "tongji", &id, "谢谢支持").await.unwrap();
    assert_eq!(told(&house, "citizen", "comment.reply").await, 1);
    let e = voice::comment(app, &citizen, "tongji", &reply, "再回复").await.unwrap_err();
    assert_eq!(e.code(), Code::NotFound, "a reply has no replies");
    let nobody = house.nobody();
    let seen = voice::opinion(app, &nobody, "tongji", None).await.unwrap();
    assert!(!seen.may_moderate);
    let first = &seen.comments[0];
    assert_eq!(
        (first.name.as_str(), first.official, first.text.as_str()),
        ("c**", false, "数据更新很及时")
    );
    let answer = &first.replies[0];
    assert_eq!((answer.name.as_str(), answer.official), ("省市场监管厅", true));
    let enterprise = house.person("enterprise").await;
    assert!(voice::report(app, &enterprise, "tongji", &id, "广告").await.unwrap());
    assert!(!voice::report(app, &enterprise, "tongji", &id, "广告").await.unwrap(), "once");
    let desk = async |who: &str| {
        let op = house.person(who).await;
        voice::comment_desk(app, &op, true, None, 50).await
    };
    assert_eq!(desk("stranger").await.unwrap().items.len(), 0);
    assert_eq!(desk("citizen").await.unwrap_err().code(), Code::Denied);
    let waiting = desk("provider").await.unwrap().items;
    assert_eq!(
        (waiting.len(), waiting[0].reports, waiting[0].reasons.as_slice()),
        (1, 1, &["广告".to_owned()][..])
    );
    for who in ["stranger", "enterprise", "city"] {
        let op = house.person(who).await;
        let e = voice::moderate(app, &op, &id, true, "不喜欢").await.unwrap_err();
        assert_eq!(e.code(), Code::NotFound, "{who}");
    }
    assert_eq!(
        voice::moderate(app, &provider, &id, true, "").await.unwrap_err().code(),
        Code::InvalidInput
    );
    let authority = house.person("authority").await;
    voice::moderate(app, &authority, &id, true, "与数据无关").await.unwrap();
    assert_eq!(told(&house, "citizen", "comment.hidden").await, 1);
    let seen = voice::opinion(app, &nobody, "tongji", None).await.unwrap();
    assert!(seen.comments[0].hidden && seen.comments[0].text.is_empty());
    voice::moderate(app, &provider, &id, false, "").await.unwrap();
    let seen = voice::opinion(app, &nobody, "tongji", None).await.unwrap();
    assert_eq!(seen.comments[0].text, "数据更新很及时");
    assert_eq!(
        (audited(&house, "comment.hide").await, audited(&house, "comment.show").await),
        (1, 1)
    );
}

/// What was made of open data: reviewed by the authority only, linked both ways, its links looked at on a real server.
async fn showcases(house: House) {
    let app = &house.app;
    let entry = house.publish(testkit::draft("tongji")).await;
    let status = Arc::new(AtomicU16::new(200));
    let url = serve(Arc::clone(&status)).await;
    let enterprise = house.person("enterprise").await;
    let new = |link: &str, entry: &str| ShowcaseNew {
        kind: Some(ShowcaseKind::App),
        title: "企业地图".into(),
        text: "用开放的统计数据画出的企业地图".into(),
        author: "测试科技".into(),
        links: vec![link.into(), "http://192.0.2.1/app".into()],
        entries: vec![entry.into()],
    };
    let code = async |n: ShowcaseNew| voice::submit(app, &enterprise, n).await.unwrap_err().code();
    assert_eq!(code(new("javascript:alert(1)", "tongji")).await, Code::InvalidInput);
    assert_eq!(code(new(&url, "never")).await, Code::NotFound);
    let made = voice::submit(app, &enterprise, new(&url, "tongji")).await.unwrap();
    assert_eq!(told(&house, "authority", "showcase.filed").await, 1);
    let nobody = house.nobody();
    let seen = async |op: &Op| voice::showcase(app, op, &made.id).await.map(|s| s.own);
    assert_eq!(seen(&nobody).await.unwrap_err().code(), Code::NotFound);
    assert!(seen(&enterprise).await.unwrap());
    for who in ["provider", "enterprise", "citizen"] {
        let op = house.person(who).await;
        let e = voice::review(app, &op, &made.id, true, "").await.unwrap_err();
        assert_eq!(e.code(), Code::NotFound, "{who}");
    }
    let authority = house.person("authority").await;
    voice::review(app, &authority, &made.id, true, "").await.unwrap();
    assert_eq!(told(&house, "enterprise", "showcase.decided").await, 1);
    assert!(!seen(&nobody).await.unwrap());
    let using = voice::showcases_using(app, &nobody, &entry.id, 5).await.unwrap();
    assert_eq!(using.iter().map(|s| s.id.as_str()).collect::<Vec<_>>(), [made.id.as_str()]);

    let look = async || voice::look_at_links(app, &Op::system(app.now())).await.unwrap();
    let links = async || {
        let found = app.store.showcase_get(&made.id).await.unwrap().unwrap();
        found.links.iter().map(|l| l.state).collect::<Vec<_>>()
    };
    assert_eq!(look().await, 0);
    assert_eq!(
        links().await,
        [LinkState::Fine, LinkState::Unlooked],
        "only where the operator allows"
    );
    status.store(404, Ordering::SeqCst);
    assert_eq!((look().await, links().await[0]), (0, LinkState::Failing));
    assert_eq!((look().await, links().await[0]), (1, LinkState::Dead));
    assert_eq!(
        (look().await, told(&house, "enterprise", "showcase.link").await),
        (0, 1),
        "told once"
    );
    status.store(302, Ordering::SeqCst);
    look().await;
    assert_eq!(links().await[0], LinkState::Fine);

    let stranger = house.person("citizen").await;
    assert_eq!(
        voice::take_down(app, &stranger, &made.id).await.unwrap_err().code(),
        Code::NotFound
    );
    let ended = voice::take_down(app, &enterprise, &made.id).await.unwrap();
    assert_eq!(ended.state, ShowcaseState::Ended);
    assert!(voice::showcases_using(app, &nobody, &entry.id, 5).await.unwrap().is_empty());
    assert!(voice::showcases(app, &nobody, None, None, 10).await.unwrap().items.is_empty());
    assert_eq!(seen(&nobody).await.unwrap_err().code(), Code::NotFound);
    // The authority does not decide on its own.
    let own = voice::submit(app, &authority, new(&url, "tongji")).await.unwrap();
    let e = voice::review(app, &authority, &own.id, true, "").await.unwrap_err();
    assert_eq!(e.code(), Code::NotFound);
    // Another of the authority does.
    let admin = house.person("admin").await;
    let second = UserNew {
        name: "second".into(),
        display_name: "second".into(),
        org: Some(AUTHORITY_ORG.into()),
        roles: vec![Role::Authority],
        password: PASSWORD.into(),
    };
    app::account::create_user(app, &admin, second).await.unwrap();
    let second = house.person("second").await;
    let e = voice::review(app, &second, &own.id, false, "").await.unwrap_err();
    assert_eq!(e.code(), Code::InvalidInput, "a refusal has its reason");
    let refused = voice::review(app, &second, &own.id, false, "不是成果").await.unwrap();
    assert_eq!(refused.state, ShowcaseState::Refused);
}

/// A site that answers by a status that can be changed.
async fn serve(status: Arc<AtomicU16>) -> String {
    let answer = move || {
        let code = StatusCode::from_u16(status.load(Ordering::SeqCst)).unwrap();
        async move { code }
    };
    let router = Router::new().route("/app", get(answer));
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}/app", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

crate::on_both!(routing, privacy, moves, time, once_each, comments, showcases);
