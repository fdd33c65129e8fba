//! What left a data sandbox as an interface: every answer says by a header which mark its texts bear, and no other answer does.

use model::code::SyncMode;
use testkit::House;

use crate::client::Client;

const WATERMARK: &str = "x-qt-watermark";

#[tokio::test]
async fn an_answer_names_the_mark_that_its_texts_bear() {
    let house = House::new().await;
    let served = house.served_release().await;
    let outlet = served.release.outlet.unwrap();
    let client = Client::new(&house);
    let mut marks = Vec::new();
    // By the interface, by it for one district, and by the name of the table behind it.
    let interface = format!("/api/interface/{}", outlet.interface);
    let one = format!("{interface}?area=%E8%A5%BF%E6%B9%96%E5%8C%BA");
    for path in [interface.clone(), one, format!("/api/v1/{}", outlet.table)] {
        let answer = client.by(&served.application, &path).await;
        assert_eq!(answer.status.as_u16(), 200, "{path}: {}", answer.text);
        let mark = answer.header(WATERMARK).to_owned();
        assert_eq!(mark.len(), 12, "{path}: `{mark}`");
        assert_eq!(guard::watermark::trace(&answer.text), Some(mark.clone()), "{path}");
        assert!(guard::watermark::plain(&answer.text).contains("西湖区"), "{path}");
        marks.push(mark);
    }
    marks.sort();
    marks.dedup();
    assert_eq!(marks.len(), 3, "each answer bears its own");

    // Who may not call it is told of no mark, and what is no result of a sandbox bears none.
    let (_, other) = house.application("另一应用").await;
    let refused = client.by(&other, &interface).await;
    assert_eq!(refused.status.as_u16(), 404, "{}", refused.text);
    assert_eq!(refused.header(WATERMARK), "");
    house.publish(testkit::draft("plain_rows")).await;
    let rows = "id,name,amount,day\n1,西湖区,1.50,2026-01-01\n";
    house.collect("plain_rows", "p.csv", rows.as_bytes(), SyncMode::Full).await.unwrap();
    let plain = client.by(&served.application, "/api/v1/plain_rows").await;
    assert_eq!(plain.status.as_u16(), 200, "{}", plain.text);
    assert_eq!(plain.header(WATERMARK), "");
    assert_eq!(guard::watermark::trace(&plain.text), None);
}
