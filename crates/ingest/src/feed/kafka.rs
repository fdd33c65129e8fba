//! Topics of Kafka: every partition up to the end that it had when the reading began, one JSON object a message.
//!
//! The position is the offset of each partition ([`offsets`]); it is kept with the rows, so a message lands once. What
//! retention has taken away before it was read, or a topic made anew under the same name, is told and never passed over.
//! Every connection of the client goes through [`relay`], which asks the operator's list: brokers that the cluster names by
//! itself among them.
//!
//! ```text
//! kafka_key, kafka_partition, kafka_offset, kafka_time, kafka_header.NAME   columns beside those of the message
//! kafka_operation                                                          D for a message without a value, else U
//! ```
//!
//! A message without a value (tombstone of a compacted topic) is a delete where `operation_column = "kafka_operation"`, with
//! its key as the row's key; elsewhere it is set aside with the reason. Connections are plain: neither TLS nor SASL yet.
//! Messages of transactions that were given up cannot be told from others by this client.

mod offsets;
mod relay;

use std::collections::VecDeque;
use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use model::item::Item;
use model::op::china;
use model::parcel::Sniffed;
use model::{Error, Result};
use policy::port::{KafkaFeed, ReadOptions, Reading};
use rskafka::BackoffConfig;
use rskafka::client::error::{Error as ClientError, ProtocolError};
use rskafka::client::partition::{OffsetAt, PartitionClient, UnknownTopicHandling};
use rskafka::client::{Client, ClientBuilder};
use rskafka::record::RecordAndOffset;
use serde::de::IgnoredAny;

use self::offsets::{Offsets, Span, span};
use self::relay::Relay;
use super::flat::Flat;
use super::{LOOKED_AT, gone, late, sniffed};
use crate::hand::{Hand, on_task};
use crate::matching::{Header, by_name, settle};
use crate::outgoing::{Outgoing, reach};
use crate::query::PATIENCE;
use crate::shape::Shape;
use crate::sink::Sink;
use crate::typing::{Doubt, Hint};
use crate::why::Why;

/// Port of a broker that is named without one.
const PORT: u16 = 9092;
/// How long the client tries again by itself.
const TRIED: Duration = Duration::from_secs(20);
/// Bytes asked for at once, and the largest answer.
const FETCHED: i32 = 8 << 20;
const LARGEST: usize = 64 << 20;
/// Bytes asked for only to learn where a partition ends.
const PEEKED: i32 = 1 << 16;
/// How long a broker may wait for messages that should be there, in milliseconds, and how often it is asked before they
/// are taken for compacted away.
const WAIT: i32 = 500;
const TRIES: u32 = 3;
/// Says whether a message is a delete.
const OPERATION: &str = "kafka_operation";

/// A topic, open. The relay lives as long as its client.
struct Topic {
    client: Client,
    relay: Relay,
    name: String,
}

/// A partition and what is read of it.
struct Part {
    number: i32,
    client: PartitionClient,
    span: Span,
}

impl Topic {
    async fn open(outgoing: &Outgoing, feed: &KafkaFeed) -> Result<Self> {
        let brokers: Vec<String> = feed
            .brokers
            .split(',')
            .map(str::trim)
            .filter(|broker| !broker.is_empty())
            .map(|b| if b.contains(':') { b.to_owned() } else { format!("{b}:{PORT}") })
            .collect();
        let mut refused = None;
        let mut fine = false;
        for broker in &brokers {
            let (host, port) = place(broker)?;
            match reach(outgoing, host, port).await {
                Ok(_) => fine = true,
                Err(error) => refused = Some(error),
            }
        }
        if let Some(error) = refused.filter(|_| !fine) {
            return Err(error);
        }
        if brokers.is_empty() {
            return Err(Error::invalid(
                "请填写至少一个 Kafka 服务地址（主机:端口）",
                "give at least one Kafka broker (host:port)",
            ));
        }
        let relay = Relay::open(outgoing.clone()).await?;
        let backoff = BackoffConfig { deadline: Some(TRIED), ..BackoffConfig::default() };
        let building = ClientBuilder::new(brokers)
            .client_id("qiantang")
            .max_message_size(LARGEST)
            .backoff_config(backoff)
            .socks5_proxy(relay.address())
            .build();
        let built = tokio::time::timeout(TRIED + PATIENCE, building).await;
        let name = feed.topic.clone();
        let told = |e: &dyn Display| relay.refusal().unwrap_or_else(|| away(&name, e));
        match built {
            Ok(Ok(client)) => Ok(Self { client, relay, name }),
            Ok(Err(e)) => Err(told(&e)),
            Err(_) => Err(told(&"timed out")),
        }
    }

    fn failed(&self, error: &ClientError) -> Error {
        self.relay.refusal().unwrap_or_else(|| away(&self.name, error))
    }

    /// The partitions with what is to be read of each, and where they all end.
    async fn parts(&self, from: &Offsets) -> Result<(Vec<Part>, Offsets)> {
        let topics = self.client.list_topics().await.map_err(|e| self.failed(&e))?;
        let Some(topic) = topics.into_iter().find(|topic| topic.name == self.name) else {
            return Err(gone(
                format!("没有找到 Kafka 主题 `{}`，请核对名称与读取权限", self.name),
                format!(
                    "the topic `{}` is not there: check its name and the right to read it",
                    self.name
                ),
            ));
        };
        from.within(&self.name, &topic.partitions)?;
        let (mut parts, mut ends) = (Vec::new(), Offsets::default());
        for number in topic.partitions {
            let handling = UnknownTopicHandling::Error;
            let client = self.client.partition_client(&*self.name, number, handling).await;
            let client = client.map_err(|e| self.failed(&e))?;
            let first = client.get_offset(OffsetAt::Earliest).await.map_err(|e| self.failed(&e))?;
            let end = client.get_offset(OffsetAt::Latest).await.map_err(|e| self.failed(&e))?;
            // Not every broker counts the whole of its last batch there; what a fetch says does.
            let start = from.of(number).unwrap_or(first);
            let end = match client.fetch_records(start, 1..PEEKED, 1).await {
                Ok((_, high)) => end.max(high),
                // What that means is judged below.
                Err(ClientError::ServerError {
                    protocol_error: ProtocolError::OffsetOutOfRange,
                    ..
                }) => end,
                Err(e) => return Err(self.failed(&e)),
            };
            let span = span(&self.name, number, from.of(number), first, end)?;
            ends.set(number, span.to);
            parts.push(Part { number, client, span });
        }
        Ok((parts, ends))
    }
}

fn place(broker: &str) -> Result<(&str, u16)> {
    let split = broker.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?)));
    split.ok_or_else(|| {
        Error::invalid(
            format!("Kafka 服务地址 `{broker}` 应写作 主机:端口"),
            format!("the broker `{broker}` should be written as host:port"),
        )
    })
}

/// The cluster cannot be asked now.
fn away(topic: &str, why: &dyn Display) -> Error {
    gone(
        format!("暂时无法读取 Kafka 主题 `{topic}`；请核对服务地址，稍后将自动重试"),
        format!("the topic `{topic}` cannot be read now; check the brokers, it is tried again"),
    )
    .detail(why.to_string())
}

/// The messages being read, partition after partition: those of one key come in their order.
struct Walk {
    topic: Topic,
    left: VecDeque<Part>,
}

impl Walk {
    async fn open(outgoing: &Outgoing, feed: &KafkaFeed) -> Result<(Self, Offsets)> {
        let from = Offsets::parse(&feed.from)?;
        let topic = Topic::open(outgoing, feed).await?;
        let (parts, ends) = topic.parts(&from).await?;
        Ok((Self { topic, left: parts.into() }, ends))
    }

    /// The next messages with their partition; nothing at the end of all.
    async fn next(&mut self) -> Result<Option<(i32, Vec<RecordAndOffset>)>> {
        let mut empty = 0;
        loop {
            let Some(part) = self.left.front_mut() else { return Ok(None) };
            if part.span.from >= part.span.to {
                self.left.pop_front();
                empty = 0;
                continue;
            }
            let asked = part.client.fetch_records(part.span.from, 1..FETCHED, WAIT).await;
            let (mut records, _) = match asked {
                Ok(answer) => answer,
                Err(ClientError::ServerError {
                    protocol_error: ProtocolError::OffsetOutOfRange,
                    ..
                }) => {
                    let Part { number, span, .. } = part;
                    return Err(offsets::lost(&self.topic.name, *number, span.from, None));
                }
                Err(e) => return Err(self.topic.failed(&e)),
            };
            let Some(last) = records.last().map(|record| record.offset) else {
                empty += 1;
                if empty >= TRIES {
                    // Compacted away, or a mark of a transaction: there is nothing under this offset.
                    part.span.from += 1;
                }
                continue;
            };
            part.span.from = last + 1;
            records.retain(|record| record.offset < part.span.to);
            if !records.is_empty() {
                return Ok(Some((part.number, records)));
            }
        }
    }
}

/// What a message is, as a row.
enum Taken {
    Row,
    Refused(Why, String),
}

/// Makes messages rows.
struct Maker {
    flat: Flat,
    /// The only item of the business key: a tombstone's key goes there.
    key: Option<String>,
    deletes: bool,
}

impl Maker {
    fn new(items: &[Item], options: &ReadOptions) -> Self {
        let mut keys = items.iter().filter(|item| item.primary);
        let key = keys.next().filter(|_| keys.next().is_none());
        let operation = options.operation_column.as_deref();
        Self {
            flat: Flat::default(),
            key: key.map(|item| item.identifier.clone()),
            deletes: operation.is_some_and(|name| name.eq_ignore_ascii_case(OPERATION)),
        }
    }

    fn take(&mut self, partition: i32, message: &RecordAndOffset) -> Taken {
        let record = &message.record;
        let key = record.key.as_deref().map(String::from_utf8_lossy);
        let taken = match &record.value {
            Some(value) => self.body(value),
            None => self.tombstone(key.as_deref()),
        };
        if !matches!(taken, Taken::Row) {
            return taken;
        }
        let time = record.timestamp.with_timezone(&china()).format("%Y-%m-%d %H:%M:%S%.3f");
        self.flat.beside("kafka_key", key.as_deref());
        self.flat.beside("kafka_partition", Some(&partition.to_string()));
        self.flat.beside("kafka_offset", Some(&message.offset.to_string()));
        self.flat.beside("kafka_time", Some(&time.to_string()));
        self.flat.beside(OPERATION, Some(if record.value.is_some() { "U" } else { "D" }));
        for (name, value) in &record.headers {
            let text = String::from_utf8_lossy(value);
            self.flat.beside(&format!("kafka_header.{name}"), Some(&text));
        }
        taken
    }

    fn body(&mut self, value: &[u8]) -> Taken {
        let Ok(text) = std::str::from_utf8(value) else {
            let why = Why::plain("消息不是 UTF-8 文本", "the message is not UTF-8 text");
            return Taken::Refused(why, String::from_utf8_lossy(value).into_owned());
        };
        let text = text.trim();
        if object(text) && self.flat.take(text) {
            return Taken::Row;
        }
        let why = Why::plain("消息不是 JSON 对象", "the message is not a JSON object");
        Taken::Refused(why, text.to_owned())
    }

    fn tombstone(&mut self, key: Option<&str>) -> Taken {
        let key = key.unwrap_or_default().trim();
        if !self.deletes {
            let why = Why::plain(
                "消息没有内容（压缩主题中的删除标记），未删除湖中的行；如需据此删除，请设置 operation_column = \"kafka_operation\"",
                "the message has no value (a tombstone of a compacted topic) and deletes nothing; set operation_column = \"kafka_operation\" to have it delete its row",
            );
            return Taken::Refused(why, key.to_owned());
        }
        if object(key) {
            self.flat.take(key);
            return Taken::Row;
        }
        match &self.key {
            Some(item) if !key.is_empty() => {
                self.flat.take("{}");
                self.flat.beside(&item.clone(), Some(key));
                Taken::Row
            }
            _ => {
                let why = Why::plain(
                    "删除标记的键无法对应到目录的业务主键；键应为 JSON 对象，或目录只有一个主键数据项",
                    "the key of the tombstone says no business key: it should be a JSON object, or the entry have one key item only",
                );
                Taken::Refused(why, key.to_owned())
            }
        }
    }
}

fn object(text: &str) -> bool {
    text.starts_with('{') && serde_json::from_str::<IgnoredAny>(text).is_ok()
}

pub(super) async fn read(
    outgoing: &Outgoing,
    feed: &KafkaFeed,
    items: &[Item],
    options: &ReadOptions,
) -> Result<Reading> {
    let (mut walk, ends) = Walk::open(outgoing, feed).await?;
    let first = walk.next().await?;
    let mut maker = Maker::new(items, options);
    for (partition, messages) in &first {
        for message in messages {
            maker.take(*partition, message);
        }
    }
    let headers: Vec<Header> = maker.flat.names.iter().map(Header::plain).collect();
    // A topic without new messages says nothing of its columns: nothing is missing then.
    let operation = options.operation_column.as_deref();
    let matched = match headers.is_empty() {
        true => by_name(&headers, items, operation),
        false => settle(&headers, items, true, operation)?,
    };
    let columns = matched.columns(&headers, items);
    let done: Arc<AtomicU64> = Arc::default();
    let mut sink =
        Sink::new(items, matched, |_| Hint::default(), options.batch_rows, Arc::clone(&done));
    sink.doubt = Doubt { nul: true, damage: true };
    let items = items.to_vec();
    let chunks =
        on_task(
            move |hand| async move { run(walk, first, maker, &items, sink, &done, hand).await },
        );
    Ok(Reading { sniffed: None, columns, bytes_total: 0, position: Some(ends.text()), chunks })
}

async fn run(
    mut walk: Walk,
    first: Option<(i32, Vec<RecordAndOffset>)>,
    mut maker: Maker,
    items: &[Item],
    mut sink: Sink,
    done: &AtomicU64,
    hand: Hand,
) -> Result<()> {
    let (mut record, mut known, mut some) = (0, maker.flat.names.len(), first);
    while let Some((partition, messages)) = some {
        for message in &messages {
            record += 1;
            done.fetch_add(message.record.approximate_size() as u64, Ordering::Relaxed);
            match maker.take(partition, message) {
                Taken::Row => {
                    if maker.flat.names.len() > known {
                        late(&maker.flat.names, known, items, &mut sink);
                        known = maker.flat.names.len();
                    }
                    sink.row(record, 0, |column| maker.flat.cell(column));
                }
                Taken::Refused(why, text) => {
                    sink.refuse(record, 0, why, &text, &[Some(text.clone())], 0);
                }
            }
            if sink.ready() {
                hand.give_async(sink.take()).await?;
            }
        }
        some = walk.next().await?;
    }
    if !sink.is_empty() {
        hand.give_async(sink.take()).await?;
    }
    Ok(())
}

pub(super) async fn probe(outgoing: &Outgoing, feed: &KafkaFeed) -> Result<Sniffed> {
    let (mut walk, _) = Walk::open(outgoing, feed).await?;
    let mut maker = Maker::new(&[], &ReadOptions::default());
    let mut shapes: Vec<(Shape, usize)> = Vec::new();
    let mut read = 0;
    while read < LOOKED_AT
        && let Some((partition, messages)) = walk.next().await?
    {
        for message in messages.iter().take(LOOKED_AT - read) {
            if !matches!(maker.take(partition, message), Taken::Row) {
                continue;
            }
            read += 1;
            shapes.resize_with(maker.flat.names.len(), || (Shape::default(), 0));
            for (at, (shape, seen)) in shapes.iter_mut().enumerate() {
                if let Some(cell) = maker.flat.cell(at) {
                    *seen += 1;
                    shape.see(cell.text, false, read as u64);
                }
            }
        }
    }
    let shapes: Vec<Shape> = shapes
        .into_iter()
        .map(|(mut shape, seen)| {
            if seen < read {
                shape.see("", true, read as u64);
            }
            shape
        })
        .collect();
    Ok(sniffed("kafka", &maker.flat.names, &shapes, None))
}
