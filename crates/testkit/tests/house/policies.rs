//! Policies and notices of the site: shown from their day on, by province and city, withdrawn with a reason; files go with them.

use app::news::{self, NewsAsk};
use chrono::TimeDelta;
use futures::StreamExt;
use model::Code;
use model::news::{NewsKind, NewsNew, NewsState};
use testkit::House;

fn new(title: &str) -> NewsNew {
    NewsNew {
        kind: Some(NewsKind::Policy),
        title: title.into(),
        text: "## 总则\n- 依法开放\n自发布之日起施行。".into(),
        ..NewsNew::default()
    }
}

async fn titles(house: &House, ask: NewsAsk<'_>) -> Vec<String> {
    let page = news::news(&house.app, &house.nobody(), &ask).await.unwrap();
    page.items.into_iter().map(|n| n.title).collect()
}

/// Written by the authority of the region, seen by nobody before it is published and its day has come.
async fn shown(house: House) {
    let app = &house.app;
    for who in ["provider", "citizen", "consumer"] {
        let op = house.person(who).await;
        assert_eq!(news::write(app, &op, &new("办法")).await.unwrap_err().code(), Code::Denied);
        assert!(news::desk(app, &op, None, None, 10).await.is_err(), "{who}");
    }
    let authority = house.person("authority").await;
    let tomorrow = NewsNew { day: "2026-03-03".into(), ..new("公共数据开放办法") };
    let wrong = NewsNew { day: "明天".into(), ..new("办法") };
    assert_eq!(news::write(app, &authority, &wrong).await.unwrap_err().fields()[0].field, "day");
    let kept = news::write(app, &authority, &tomorrow).await.unwrap();
    let nobody = house.nobody();
    assert_eq!(news::item(app, &nobody, &kept.id).await.unwrap_err().code(), Code::NotFound);
    news::publish(app, &authority, &kept.id).await.unwrap();
    assert_eq!(
        news::publish(app, &authority, &kept.id).await.unwrap_err().code(),
        Code::WrongState
    );
    assert!(titles(&house, NewsAsk::default()).await.is_empty(), "its day is tomorrow");
    house.clock.forward(TimeDelta::days(1));
    assert_eq!(titles(&house, NewsAsk::default()).await, ["公共数据开放办法"]);
    let like = |text: &'static str| NewsAsk { text: Some(text), ..NewsAsk::default() };
    assert_eq!(titles(&house, like("依法")).await.len(), 1);
    assert!(titles(&house, like("没有")).await.is_empty());
    let kind = NewsAsk { kind: Some(NewsKind::Notice), ..NewsAsk::default() };
    assert!(titles(&house, kind).await.is_empty());

    let changed = NewsNew { day: "2026-03-03".into(), ..new("公共数据开放管理办法") };
    let e = news::edit(app, &authority, &kept.id, &changed, 1).await.unwrap_err();
    assert_eq!(e.code(), Code::Stale);
    news::edit(app, &authority, &kept.id, &changed, 2).await.unwrap();
    assert!(news::withdraw(app, &authority, &kept.id, "").await.is_err(), "say why");
    let gone = news::withdraw(app, &authority, &kept.id, "已有新规定").await.unwrap();
    assert_eq!(gone.state, NewsState::Withdrawn);
    assert!(titles(&house, NewsAsk::default()).await.is_empty());
    let desk = news::desk(app, &authority, Some(NewsState::Withdrawn), None, 10).await.unwrap();
    assert_eq!(desk.items.len(), 1);
}

/// A city shows its own and the province's; its bureau writes for its own site only. Pages follow by day.
async fn cities(house: House) {
    let app = &house.app;
    let (authority, city) = (house.person("authority").await, house.person("city").await);
    let province = NewsNew { region: "330000".into(), ..new("省的") };
    assert_eq!(news::write(app, &city, &province).await.unwrap_err().code(), Code::Denied);
    let county = NewsNew { region: "330110".into(), ..new("区的") };
    assert_eq!(news::write(app, &city, &county).await.unwrap_err().fields()[0].field, "region");
    let own = news::write(app, &city, &new("杭州的")).await.unwrap();
    assert_eq!(own.region, "330100");
    news::publish(app, &city, &own.id).await.unwrap();
    for (title, region, day) in
        [("省的", "330000", "2026-03-01"), ("宁波的", "330200", "2026-02-01")]
    {
        let new = NewsNew { region: region.into(), day: day.into(), ..new(title) };
        let kept = news::write(app, &authority, &new).await.unwrap();
        news::publish(app, &authority, &kept.id).await.unwrap();
        let e = news::kept(app, &city, &kept.id).await.unwrap_err();
        assert_eq!(e.code(), Code::NotFound, "{title}");
    }
    let at = |city| NewsAsk { city, ..NewsAsk::default() };
    assert_eq!(titles(&house, at(None)).await, ["杭州的", "省的", "宁波的"]);
    assert_eq!(titles(&house, at(Some("330100"))).await, ["杭州的", "省的"]);
    assert_eq!(titles(&house, at(Some("330200"))).await, ["省的", "宁波的"]);
    let first = NewsAsk { limit: 2, ..NewsAsk::default() };
    let page = news::news(app, &house.nobody(), &first).await.unwrap();
    let rest = NewsAsk { before: page.next.as_deref(), ..first };
    assert_eq!(titles(&house, rest).await, ["宁波的"]);
}

/// Files are of known kinds, and are had as long as what they belong to is shown.
async fn files(house: House) {
    let app = &house.app;
    let authority = house.person("authority").await;
    let kept = news::write(app, &authority, &new("办法")).await.unwrap();
    let bytes = |content: &'static [u8]| {
        futures::stream::once(async move { Ok(bytes::Bytes::from_static(content)) }).boxed()
    };
    let e = news::attach(app, &authority, &kept.id, "a.exe", bytes(b"MZ")).await.unwrap_err();
    assert_eq!(e.code(), Code::InvalidInput);
    let pdf = b"%PDF-1.7 rest of the file";
    let with = news::attach(app, &authority, &kept.id, "全文.pdf", bytes(pdf)).await.unwrap();
    let (file, name, size) = with.files[0].clone();
    assert_eq!((name.as_str(), size), ("全文.pdf", 25));
    let nobody = house.nobody();
    assert!(news::file(app, &nobody, &kept.id, &file).await.is_err(), "not published yet");
    news::publish(app, &authority, &kept.id).await.unwrap();
    let (name, mut content) = news::file(app, &nobody, &kept.id, &file).await.unwrap();
    let mut all = Vec::new();
    while let Some(piece) = content.next().await {
        all.extend_from_slice(&piece.unwrap());
    }
    assert_eq!((name.as_str(), all.as_slice()), ("全文.pdf", pdf.as_slice()));
    news::detach(app, &authority, &kept.id, &file).await.unwrap();
    assert!(news::file(app, &nobody, &kept.id, &file).await.is_err());
}

crate::on_both!(shown, cities, files);
