//! Topics through pipelines: with a real broker where the build has a client, refused with advice where it has none.

use testkit::{House, draft};

fn text(brokers: &str, topic: &str, more: &str) -> String {
    format!(
        "name = \"{topic}\"\nentry = \"firms\"\nmode = \"incremental\"\n{more}[source]\nkind = \"kafka\"\nbrokers = \"{brokers}\"\ntopic = \"{topic}\"\n[retry]\ntimes = 0\n"
    )
}

#[cfg(not(feature = "kafka"))]
#[tokio::test(flavor = "multi_thread")]
async fn a_build_without_a_client_says_which_feature_it_lacks() {
    let house = House::new().await;
    let provider = house.person("provider").await;
    house.publish(draft("firms")).await;
    let text = text("127.0.0.1:9092", "t", "");
    let refused = app::pipeline::create(&house.app, &provider, &text).await.unwrap_err();
    let told = &refused.fields()[0];
    assert!(told.zh.contains("特性 kafka") && told.en.contains("qiantang/kafka"), "{told:?}");
    assert!(app::pipeline::named(&house.app, &provider, "t").await.is_err(), "nothing was kept");
}

#[cfg(feature = "kafka")]
mod with_a_broker {
    use std::collections::BTreeMap;

    use app::pipeline;
    use chrono::Utc;
    use model::Op;
    use model::pipeline::{Turn, TurnState};
    use rskafka::client::partition::Compression;
    use rskafka::record::Record;
    use testkit::Kafka;

    use super::*;
    use crate::pipeline::settle;
    use crate::railway::lake;

    fn message(key: &str, value: Option<&str>) -> Record {
        Record {
            key: Some(key.as_bytes().to_vec()),
            value: value.map(|v| v.as_bytes().to_vec()),
            headers: BTreeMap::from([("origin".to_owned(), b"station-7".to_vec())]),
            timestamp: Utc::now(),
        }
    }

    fn firm(id: i64, name: &str) -> Record {
        let value = format!(r#"{{"id":{id},"name":"{name}","amount":{id}.50,"day":"2026-01-02"}}"#);
        message(&id.to_string(), Some(&value))
    }

    async fn made(house: &House, op: &Op, text: &str) -> String {
        pipeline::create(&house.app, op, text).await.unwrap().pipeline.id
    }

    async fn turn(house: &House, op: &Op, id: &str) -> Turn {
        let begun = pipeline::run_now(&house.app, op, id).await.unwrap();
        let turns = settle(&house.app, op, id).await;
        turns.into_iter().find(|t| t.id == begun.id).unwrap()
    }

    /// Every partition and every compression, then only what is new; the position stands in the lake.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_topic_is_read_once_and_goes_on() {
        let (house, broker) = (House::new().await, Kafka::start("127.0.0.1").await);
        let provider = house.person("provider").await;
        house.publish(draft("firms")).await;
        broker.topic("firms", 3).await;
        let every = [
            Compression::NoCompression,
            Compression::Gzip,
            Compression::Lz4,
            Compression::Snappy,
            Compression::Zstd,
        ];
        for (n, compression) in every.into_iter().enumerate() {
            for partition in 0..3 {
                let from = n as i64 * 3_000 + i64::from(partition) * 1_000;
                let rows = (from..from + 1_000).map(|id| firm(id, "企业")).collect();
                broker.send("firms", partition, compression, rows).await;
            }
        }
        broker.send("firms", 1, Compression::Gzip, vec![message("x", Some("no json"))]).await;
        let id = made(&house, &provider, &text(&broker.brokers(), "firms", "")).await;
        let first = turn(&house, &provider, &id).await;
        assert_eq!(first.state, TurnState::Succeeded, "{first:#?}");
        let figures = &first.figures;
        assert_eq!((figures.read, figures.landed, figures.quarantined), (15_001, 15_000, 1));
        let rows = lake(&house.app, "firms").await;
        assert_eq!(rows.len(), 15_000);
        assert!(rows.contains_key("14999") && rows.contains_key("0"));
        let position = pipeline::get(&house.app, &provider, &id).await.unwrap().position;
        assert_eq!(position, "0:5000,1:5001,2:5000");

        broker.send("firms", 2, Compression::Zstd, vec![firm(7, "改"), firm(99_999, "新")]).await;
        let second = turn(&house, &provider, &id).await;
        assert_eq!((second.figures.read, second.figures.landed), (2, 2), "{second:#?}");
        let rows = lake(&house.app, "firms").await;
        assert!(rows.len() == 15_001 && format!("{:?}", rows["7"]).contains("改"));
        let third = turn(&house, &provider, &id).await;
        assert_eq!((third.state, third.figures.read), (TurnState::Empty, 0), "{third:#?}");
        let position = pipeline::get(&house.app, &provider, &id).await.unwrap().position;
        assert_eq!(position, "0:5000,1:5001,2:5002");
        // What a topic has forgotten cannot be compared.
        let told = app::reconcile::start(&house.app, &provider, "firms", false).await.unwrap();
        let told = app::reconcile::wait(&house.app, &provider, &told.id).await.unwrap();
        assert!(told.zh.contains("Kafka"), "{told:?}");
    }

    /// A message without a value deletes its row where that is wished, and is set aside with the reason where it is not.
    #[tokio::test(flavor = "multi_thread")]
    async fn tombstones_are_deletes_or_are_told() {
        let (house, broker) = (House::new().await, Kafka::start("127.0.0.1").await);
        let provider = house.person("provider").await;
        house.publish(draft("firms")).await;
        for topic in ["plain", "deleting"] {
            broker.topic(topic, 1).await;
            let rows = vec![firm(1, "甲"), firm(2, "乙"), message("1", None), message("", None)];
            broker.send(topic, 0, Compression::NoCompression, rows).await;
        }
        let id = made(&house, &provider, &text(&broker.brokers(), "plain", "")).await;
        let told = turn(&house, &provider, &id).await;
        assert_eq!((told.figures.landed, told.figures.quarantined), (2, 2), "{told:#?}");
        pipeline::remove(&house.app, &provider, &id).await.unwrap();
        let more = "operation_column = \"kafka_operation\"\n";
        let id = made(&house, &provider, &text(&broker.brokers(), "deleting", more)).await;
        let done = turn(&house, &provider, &id).await;
        assert_eq!((done.figures.landed, done.figures.quarantined), (3, 1), "{done:#?}");
        let rows = lake(&house.app, "firms").await;
        assert_eq!(rows.keys().collect::<Vec<_>>(), ["2"]);
    }

    /// A topic made anew under the same name, and brokers that lead where the platform may not connect.
    #[tokio::test(flavor = "multi_thread")]
    async fn what_cannot_be_read_whole_is_told_and_not_passed_over() {
        let (house, broker) = (House::new().await, Kafka::start("127.0.0.1").await);
        let provider = house.person("provider").await;
        house.publish(draft("firms")).await;
        broker.topic("t", 1).await;
        let rows = (0..10).map(|id| firm(id, "旧")).collect();
        broker.send("t", 0, Compression::NoCompression, rows).await;
        let id = made(&house, &provider, &text(&broker.brokers(), "t", "")).await;
        assert_eq!(turn(&house, &provider, &id).await.figures.landed, 10);
        let port = broker.port;
        drop(broker);
        let away = turn(&house, &provider, &id).await;
        assert_eq!(away.state, TurnState::Failed, "{away:#?}");

        let anew = Kafka::on(port, "127.0.0.1").await;
        anew.topic("t", 1).await;
        anew.send("t", 0, Compression::NoCompression, vec![firm(100, "新")]).await;
        let told = turn(&house, &provider, &id).await;
        assert_eq!(told.state, TurnState::Failed, "{told:#?}");
        assert!(told.zh.contains("已被重建") && told.en.contains("made anew"), "{told:#?}");
        let position = pipeline::get(&house.app, &provider, &id).await.unwrap().position;
        assert_eq!((position.as_str(), lake(&house.app, "firms").await.len()), ("0:10", 10));

        // The broker answers, and names itself by an address that the list does not let go to.
        let elsewhere = Kafka::start("10.9.8.7").await;
        elsewhere.topic_by_tool("t");
        let text = text(&elsewhere.brokers(), "t", "");
        let refused = pipeline::create(&house.app, &provider, &text).await.unwrap_err();
        let told = format!("{:?}", refused.fields());
        assert!(told.contains("未获准连接 10.9.8.7"), "{told}");
    }
}
