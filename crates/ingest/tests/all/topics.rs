//! Topics of a real broker, read as a pipeline's turn reads them: once, whole, and on from where it stood.

// The broker's starter is the rehearsal house's; the house itself would bring every engine along.
#[path = "../../../testkit/src/kafka.rs"]
mod broker;

use std::collections::BTreeMap;

use futures::StreamExt;
use ingest::Reader;
use ingest::outgoing::Outgoing;
use model::batch::Operation;
use model::code::DataType;
use model::item::Item;
use model::{Code, Result};
use policy::port::{Chunk, Feed, Intake, KafkaFeed, ReadOptions, Source};
use rskafka::client::partition::Compression;
use rskafka::record::Record;

use self::broker::Kafka;

fn items() -> Vec<Item> {
    let mut id = Item::new("id", "编号", DataType::Integer);
    (id.primary, id.nullable) = (true, false);
    let from = Item::new("kafka_partition", "分区", DataType::Integer);
    vec![id, Item::new("name", "名称", DataType::Text), from]
}

fn message(key: &str, value: Option<&str>) -> Record {
    Record {
        key: Some(key.as_bytes().to_vec()),
        value: value.map(|v| v.as_bytes().to_vec()),
        headers: BTreeMap::new(),
        timestamp: rskafka::chrono::DateTime::from_timestamp(1_760_000_000, 0).unwrap(),
    }
}

fn firm(id: i64) -> Record {
    message(&id.to_string(), Some(&format!(r#"{{"id":{id},"name":"企业{id}"}}"#)))
}

/// Rows with their operation, refusals, and the position after them.
#[derive(Debug, Default)]
struct Got {
    rows: Vec<(String, Operation, String)>,
    refused: Vec<String>,
    position: String,
}

async fn read(brokers: &str, topic: &str, from: &str, operation: Option<&str>) -> Result<Got> {
    let feed = KafkaFeed { brokers: brokers.into(), topic: topic.into(), from: from.into() };
    let source = Source::Feed { feed: Feed::Kafka(feed), name: topic.into() };
    let options =
        ReadOptions { operation_column: operation.map(str::to_owned), ..ReadOptions::default() };
    let reader = Reader::reaching(Outgoing::loopback()?);
    let mut reading = reader.read(&source, &items(), &options).await?;
    let mut got = Got { position: reading.position.clone().unwrap(), ..Got::default() };
    while let Some(chunk) = reading.chunks.next().await {
        let Chunk { batch, rejects, .. } = chunk?;
        let text = |column: usize, row| batch.columns[column].value(row).to_text();
        for row in 0..batch.rows() {
            let (id, part) = (text(0, row).unwrap(), text(2, row).unwrap_or_default());
            got.rows.push((id, batch.operation(row), part));
        }
        got.refused.extend(rejects.into_iter().map(|reject| reject.en));
    }
    Ok(got)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_partition_and_compression_is_read_once_and_goes_on() {
    let broker = Kafka::start("127.0.0.1").await;
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
            let rows = (from..from + 1_000).map(firm).collect();
            broker.send("firms", partition, compression, rows).await;
        }
    }
    broker.send("firms", 1, Compression::Gzip, vec![message("x", Some("no json"))]).await;
    let first = read(&broker.brokers(), "firms", "", None).await.unwrap();
    assert_eq!(first.position, "0:5000,1:5001,2:5000");
    assert_eq!(first.refused, ["the message is not a JSON object"]);
    let mut ids: Vec<i64> = first.rows.iter().map(|(id, ..)| id.parse().unwrap()).collect();
    ids.sort_unstable();
    assert_eq!(ids, (0..15_000).collect::<Vec<_>>());
    assert!(
        first
            .rows
            .iter()
            .all(|(id, _, part)| (id.parse::<i64>().unwrap() / 1_000 % 3).to_string() == *part)
    );

    broker.send("firms", 2, Compression::Zstd, vec![firm(7), firm(99_999)]).await;
    let second = read(&broker.brokers(), "firms", &first.position, None).await.unwrap();
    let ids: Vec<&str> = second.rows.iter().map(|(id, ..)| id.as_str()).collect();
    assert_eq!(
        (ids.as_slice(), second.position.as_str()),
        (&["7", "99999"][..], "0:5000,1:5001,2:5002")
    );
    let third = read(&broker.brokers(), "firms", &second.position, None).await.unwrap();
    assert!(third.rows.is_empty() && third.position == second.position, "{third:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tombstones_delete_where_that_is_wished_and_are_told_where_not() {
    let broker = Kafka::start("127.0.0.1").await;
    broker.topic("t", 1).await;
    let rows =
        vec![firm(1), firm(2), message("1", None), message("", None), message("{\"id\":2}", None)];
    broker.send("t", 0, Compression::NoCompression, rows).await;
    let told = read(&broker.brokers(), "t", "", None).await.unwrap();
    assert_eq!((told.rows.len(), told.refused.len()), (2, 3), "{told:?}");
    assert!(told.refused[0].contains("tombstone") && told.refused[0].contains("kafka_operation"));
    let done = read(&broker.brokers(), "t", "", Some("kafka_operation")).await.unwrap();
    let deletes: Vec<&str> = done
        .rows
        .iter()
        .filter(|(_, operation, _)| *operation == Operation::Delete)
        .map(|(id, ..)| id.as_str())
        .collect();
    assert_eq!((deletes.as_slice(), done.refused.len()), (&["1", "2"][..], 1), "{done:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_whole_is_told_and_brokers_elsewhere_are_not_followed() {
    let broker = Kafka::start("127.0.0.1").await;
    broker.topic("t", 1).await;
    broker.send("t", 0, Compression::NoCompression, (0..10).map(firm).collect()).await;
    let anew = read(&broker.brokers(), "t", "0:11", None).await.unwrap_err();
    assert!(anew.zh().contains("已被重建"), "{anew}");
    let gone = read(&broker.brokers(), "t", "0:5,1:3", None).await.unwrap_err();
    assert!(gone.en().contains("made anew"), "{gone}");
    let missing = read(&broker.brokers(), "no-such-topic", "", None).await.unwrap_err();
    assert_eq!(missing.code(), Code::SourceUnavailable, "{missing}");

    // The list says no before anything is sent.
    let outside = read("10.1.2.3:9092", "t", "", None).await.unwrap_err();
    assert!(outside.en().contains("10.1.2.3:9092"), "{outside}");
    // The broker answers, and names itself by an address that the list does not let go to.
    let elsewhere = Kafka::start("10.9.8.7").await;
    elsewhere.topic_by_tool("t");
    let refused = read(&elsewhere.brokers(), "t", "", None).await.unwrap_err();
    assert_eq!(refused.code(), Code::RuleBroken, "{refused}");
    assert!(refused.zh().contains("未获准连接 10.9.8.7"), "{refused}");
}
