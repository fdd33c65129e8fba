//! Topics of Kafka in a build without the feature `kafka`: refused, with what to do.

use model::item::Item;
use model::parcel::Sniffed;
use model::{Code, Error, Result};
use policy::port::{KafkaFeed, ReadOptions, Reading};

use crate::outgoing::Outgoing;

#[expect(clippy::unused_async, reason = "the same as in a build with a client")]
pub(super) async fn read(
    _outgoing: &Outgoing,
    _feed: &KafkaFeed,
    _items: &[Item],
    _options: &ReadOptions,
) -> Result<Reading> {
    Err(absent())
}

#[expect(clippy::unused_async, reason = "the same as in a build with a client")]
pub(super) async fn probe(_outgoing: &Outgoing, _feed: &KafkaFeed) -> Result<Sniffed> {
    Err(absent())
}

fn absent() -> Error {
    Error::new(
        Code::UnsupportedFormat,
        "此构建不含 Kafka 客户端；请使用以特性 kafka 构建的版本（cargo build --features qiantang/kafka），或由消费程序落成 JSON 行文件后按文件归集，或经 HTTP 接口提供",
        "this build has no Kafka client: use one built with the feature `kafka` (cargo build --features qiantang/kafka), or let a consumer write JSON lines to files and collect those, or offer the messages by an HTTP interface",
    )
}
