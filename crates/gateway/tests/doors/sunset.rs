//! A deprecated version says in every answer since when it is (RFC 9745) and when it ends (RFC 8594); another last day is told by the
//! very next call.

use app::interface::{self, Move};
use chrono::{DateTime, NaiveDate, TimeDelta};
use model::interface::{Interface, InterfaceState};
use testkit::House;

use crate::client::{Answer, Client};
use crate::convention::{KEY, furnish, refresh, signed, text};

const CHANGES: &str = "title = \"增量\"\nkind = \"incremental\"\nentry = \"tongji\"\n\
    [[return]]\nitem = \"id\"\nname = \"number\"\n[[return]]\nitem = \"name\"\n";

/// The provider leads a version on, now.
async fn step(house: &House, id: &str, state: InterfaceState) -> Interface {
    let to = Move { to: state, share: 100, until: String::new() };
    let provider = house.person("provider").await;
    interface::step(&house.app, &provider, id, &to).await.unwrap()
}

/// The end of a day in China, as the header says it.
fn end_of(day: NaiveDate) -> String {
    day.format("%a, %d %b %Y 16:00:00 GMT").to_string()
}

/// `Deprecation` and `Sunset` of an answer; empty where it says nothing.
fn told(answer: &Answer) -> (String, String) {
    assert_eq!(answer.status.as_u16(), 200, "{}", answer.text);
    assert_eq!(answer.header("x-qt-version"), "1");
    (answer.header("deprecation").to_owned(), answer.header("sunset").to_owned())
}

#[tokio::test]
async fn another_last_day_is_told_by_the_next_call() {
    let house = House::new().await;
    let (app, code) = furnish(&house, 1000).await;
    let provider = house.person("provider").await;
    let listed = interface::list(&house.app, &provider, true, None, None, 50).await.unwrap();
    let found = listed.items.iter().find(|view| view.interface.code == code).unwrap();
    let rows = found.interface.id.clone();
    let flow = interface::create(&house.app, &provider, CHANGES).await.unwrap();
    for state in [InterfaceState::Test, InterfaceState::Published] {
        step(&house, &flow.id, state).await;
    }
    let client = Client::new(&house);
    let versions = [(rows, code.clone()), (flow.id, flow.code)];
    for (id, code) in &versions {
        let path = format!("/api/interface/{code}");
        let nothing = (String::new(), String::new());
        assert_eq!(told(&client.by(&app, &path).await), nothing, "published");

        let before = house.app.now().timestamp();
        let kept = step(&house, id, InterfaceState::Deprecated).await;
        let at = DateTime::parse_from_rfc3339(&kept.deprecated_at).unwrap().timestamp();
        assert!((before..=house.app.now().timestamp()).contains(&at), "{}", kept.deprecated_at);
        let since = format!("@{at}");
        assert_eq!(told(&client.by(&app, &path).await), (since.clone(), String::new()));

        // Later, sooner, taken away and set anew: what was said first is never told again; since when stays as it was.
        let today = house.person("provider").await.today();
        for days in [Some(30), Some(90), Some(7), None, Some(1)] {
            house.clock.forward(TimeDelta::minutes(1));
            let day = days.map(|n| today + TimeDelta::days(n));
            let word = day.map(|d| d.to_string()).unwrap_or_default();
            let provider = house.person("provider").await;
            interface::set_until(&house.app, &provider, id, &word).await.unwrap();
            let sunset = day.map(end_of).unwrap_or_default();
            assert_eq!(told(&client.by(&app, &path).await), (since.clone(), sunset), "{days:?}");
        }
    }

    // By the older convention, too.
    let key = app.application.key.as_str();
    let secrets = refresh(&house, &client, KEY, key, &app.secret).await;
    let query = signed(&house, key, &text(&secrets, "requestSecret"));
    let older = client.get(&format!("/gateway/api/330000/dataSharing/{code}.htm?{query}")).await;
    assert_eq!(older.json()["code"], "00", "{}", older.text);
    let newer = client.by(&app, &format!("/api/interface/{code}")).await;
    assert_eq!(told(&older), told(&newer));

    // Published once more it says nothing of an end, and deprecated again it says the second time.
    let (id, code) = &versions[0];
    let path = format!("/api/interface/{code}");
    step(&house, id, InterfaceState::Published).await;
    assert_eq!(told(&client.by(&app, &path).await), (String::new(), String::new()));
    let (first, _) = told(&newer);
    house.clock.forward(TimeDelta::hours(1));
    step(&house, id, InterfaceState::Deprecated).await;
    let (second, sunset) = told(&client.by(&app, &path).await);
    assert!(second > first && sunset.is_empty(), "{first} {second} {sunset}");
}
