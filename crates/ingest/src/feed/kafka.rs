//! Topics of Kafka: named by the port, not read by this version.

use model::{Code, Error};

/// What is told to whoever asks for a topic.
pub(super) fn absent() -> Error {
    Error::new(
        Code::UnsupportedFormat,
        "本版本不读取 Kafka 主题；请由消费程序落成 JSON 行文件后按文件归集，或经 HTTP 接口提供",
        "this version reads no Kafka topics: let a consumer write JSON lines to files and collect those, or offer the messages by an HTTP interface",
    )
}
