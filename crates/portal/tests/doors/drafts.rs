//! A draft given up on its page: by its department alone, after it was said to be sure, with its record; what was published or handed
//! in is not.

use app::catalogue::{self, Move};
use axum::http::StatusCode;
use model::audit::AuditFilter;
use testkit::House;

use crate::browser::Browser;

const SURE: [(&str, &str); 2] = [("sure", "on"), ("reason", "编错了 <b>")];

#[tokio::test]
async fn a_draft_is_given_up_by_its_department_when_it_is_sure() {
    let house = House::new().await;
    let op = house.person("provider").await;
    let entry = catalogue::create(&house.app, &op, testkit::draft("mistaken")).await.unwrap();
    let (path, form) = (format!("/console/entries/{}", entry.id), "id=\"discard-form\"");
    let give_up = format!("{path}/discard");

    // Nobody signs in first; those who do not know of it hear that there is nothing; who may look may not give it up.
    let mut nobody = Browser::new(&house);
    assert_eq!(nobody.post_raw(&give_up, &SURE).await.status, StatusCode::UNAUTHORIZED);
    for who in ["stranger", "citizen", "enterprise"] {
        let mut other = Browser::of(&house, who).await;
        assert_eq!(other.get(&path).await.status, StatusCode::NOT_FOUND, "{who}");
        assert_eq!(other.post(&give_up, &SURE).await.status, StatusCode::NOT_FOUND, "{who}");
    }
    let mut authority = Browser::of(&house, "authority").await;
    assert!(!authority.get(&path).await.text().contains(form));
    assert_eq!(authority.post(&give_up, &SURE).await.status, StatusCode::FORBIDDEN);

    let mut provider = Browser::of(&house, "provider").await;
    let page = provider.get(&path).await.text();
    assert!(page.contains(form) && page.contains("name=\"sure\" required"), "{page}");
    // Without the form's token, and without being sure.
    assert_eq!(provider.post_raw(&give_up, &SURE).await.status, StatusCode::FORBIDDEN);
    let unsure = provider.post(&give_up, &[("reason", "编错了")]).await;
    assert_eq!(unsure.status, StatusCode::BAD_REQUEST, "{}", unsure.text());
    assert!(catalogue::get(&house.app, &op, "mistaken").await.is_ok());

    let done = provider.post(&give_up, &SURE).await;
    assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.text());
    assert!(provider.get(&done.location).await.text().contains("草稿已放弃"), "{}", done.location);
    assert_eq!(provider.get(&path).await.status, StatusCode::NOT_FOUND);
    assert_eq!(provider.post(&give_up, &SURE).await.status, StatusCode::NOT_FOUND);
    let auditor = house.person("auditor").await;
    let filter =
        AuditFilter { action: Some("entry.discard".into()), limit: 5, ..AuditFilter::default() };
    let records = app::audit::list(&house.app, &auditor, &filter).await.unwrap();
    let event = &records[0].event;
    assert_eq!((event.actor.as_str(), event.reason.as_str()), (op.actor.id(), "编错了 <b>"));
    assert!(event.object.contains("mistaken"), "{event:?}");
    // Its code is free again.
    catalogue::create(&house.app, &op, testkit::draft("mistaken")).await.unwrap();
}

#[tokio::test]
async fn what_was_handed_in_or_published_is_not_given_up() {
    let house = House::new().await;
    let (op, authority) = (house.person("provider").await, house.person("authority").await);
    let mut provider = Browser::of(&house, "provider").await;
    let entry = catalogue::create(&house.app, &op, testkit::draft("waiting")).await.unwrap();
    let path = format!("/console/entries/{}", entry.id);
    let give_up = format!("{path}/discard");
    let offered = "id=\"discard-form\"";
    catalogue::step(&house.app, &op, &entry.id, Move::Submit, "").await.unwrap();
    assert!(!provider.get(&path).await.text().contains(offered), "under review");
    let page = provider.post(&give_up, &SURE).await;
    assert!(page.status.is_client_error() && page.text().contains("撤回"), "{}", page.text());
    // Refused before it ever was published: a draft once more.
    catalogue::step(&house.app, &authority, &entry.id, Move::Reject, "重复").await.unwrap();
    assert!(provider.get(&path).await.text().contains(offered));
    assert_eq!(provider.post(&give_up, &SURE).await.status, StatusCode::SEE_OTHER);

    let live = house.publish(testkit::draft("live")).await;
    let path = format!("/console/entries/{}", live.id);
    assert!(!provider.get(&path).await.text().contains(offered));
    let page = provider.post(&format!("{path}/discard"), &SURE).await;
    assert!(page.status.is_client_error() && page.text().contains("下线"), "{}", page.text());

    // A draft that holds data, and one that only a failed run hangs on.
    let held = catalogue::create(&house.app, &op, testkit::draft("held")).await.unwrap();
    let rows = "编号,名称,金额,日期\n1,甲,1.5,2026-01-02\n".as_bytes();
    house.collect(&held.id, "a.csv", rows, model::code::SyncMode::Full).await.unwrap();
    let path = format!("/console/entries/{}", held.id);
    assert!(!provider.get(&path).await.text().contains(offered));
    let page = provider.post(&format!("{path}/discard"), &SURE).await;
    assert!(page.status.is_client_error() && page.text().contains("已归集数据"), "{}", page.text());
    let tried = catalogue::create(&house.app, &op, testkit::draft("tried")).await.unwrap();
    let wrong = "编号,名称,金额,日期\n甲,甲,许多,某日\n".as_bytes();
    let run = house.collect(&tried.id, "b.csv", wrong, model::code::SyncMode::Full).await.unwrap();
    assert_eq!(run.state, model::parcel::RunState::Failed, "{run:?}");
    let page = provider.post(&format!("/console/entries/{}/discard", tried.id), &SURE).await;
    assert!(page.status.is_client_error() && page.text().contains("关联"), "{}", page.text());
    for code in ["live", "held", "tried"] {
        assert!(catalogue::get(&house.app, &op, code).await.is_ok(), "{code}");
    }
}
