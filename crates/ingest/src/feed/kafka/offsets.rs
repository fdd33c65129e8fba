//! Positions of a topic: the next offset of each partition, as `0:120,1:98`.

use std::collections::BTreeMap;

use model::{Code, Error, Result};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Offsets {
    next: BTreeMap<i32, i64>,
}

impl Offsets {
    pub(super) fn parse(text: &str) -> Result<Self> {
        let mut next = BTreeMap::new();
        for pair in text.split(',').filter(|pair| !pair.is_empty()) {
            let read = pair.split_once(':').and_then(|(partition, offset)| {
                Some((partition.parse().ok()?, offset.parse().ok()?))
            });
            let (partition, offset) =
                read.ok_or_else(|| Error::internal("the position of a topic"))?;
            next.insert(partition, offset);
        }
        Ok(Self { next })
    }

    pub(super) fn text(&self) -> String {
        let pairs: Vec<String> =
            self.next.iter().map(|(p, offset)| format!("{p}:{offset}")).collect();
        pairs.join(",")
    }

    pub(super) fn of(&self, partition: i32) -> Option<i64> {
        self.next.get(&partition).copied()
    }

    pub(super) fn set(&mut self, partition: i32, offset: i64) {
        self.next.insert(partition, offset);
    }

    /// Fails when a partition that was read is no longer there.
    pub(super) fn within(
        &self,
        topic: &str,
        partitions: &std::collections::BTreeSet<i32>,
    ) -> Result<()> {
        match self.next.keys().find(|partition| !partitions.contains(partition)) {
            None => Ok(()),
            Some(partition) => Err(anew(topic, *partition)),
        }
    }
}

/// Offsets to read: from one on and before another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) from: i64,
    pub(super) to: i64,
}

/// What is to be read of a partition that holds offsets from `first` to before `end`.
pub(super) fn span(
    topic: &str,
    partition: i32,
    from: Option<i64>,
    first: i64,
    end: i64,
) -> Result<Span> {
    match from {
        None => Ok(Span { from: first, to: end }),
        Some(from) if from > end => Err(anew(topic, partition)),
        Some(from) if from < first => Err(lost(topic, partition, from, Some(first))),
        Some(from) => Ok(Span { from, to: end }),
    }
}

/// Messages are gone before they were read.
pub(super) fn lost(topic: &str, partition: i32, from: i64, first: Option<i64>) -> Error {
    let (zh, en) = match first {
        Some(first) => (
            format!("偏移量 {from} 至 {} 的消息", first - 1),
            format!("the messages from offset {from} to {}", first - 1),
        ),
        None => (format!("偏移量 {from} 起的消息"), format!("messages from offset {from} on")),
    };
    Error::new(
        Code::RuleBroken,
        format!(
            "Kafka 主题 `{topic}` 第 {partition} 分区{zh}已过保留期被清除，尚未读到；管道停在原位置。请延长该主题的保留期，由上游补发缺失的消息；确认后以同一文件、另一名称新建管道，从现存最早的消息继续"
        ),
        format!(
            "{en} of partition {partition} of the topic `{topic}` were removed by retention before they were read; the pipeline stays where it stood. Lengthen the topic's retention and have what is missing sent again; then make a new pipeline of the same file under another name, which begins at the earliest message there is"
        ),
    )
    .with_reasons(vec!["kafka.offset-out-of-range".to_owned()])
}

/// The topic is another one than was read.
fn anew(topic: &str, partition: i32) -> Error {
    Error::new(
        Code::RuleBroken,
        format!(
            "Kafka 主题 `{topic}` 第 {partition} 分区的末尾在已读位置之前，或分区已不存在：该主题已被重建；管道停在原位置。请核对后以同一文件、另一名称新建管道，从头读取"
        ),
        format!(
            "partition {partition} of the topic `{topic}` ends before the position that was read, or is gone: the topic was made anew. The pipeline stays where it stood; check, then make a new pipeline of the same file under another name, which reads from the beginning"
        ),
    )
    .with_reasons(vec!["kafka.topic-made-anew".to_owned()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_read_as_they_are_written() {
        let offsets = Offsets::parse("0:120,10:7,2:98").unwrap();
        assert_eq!(offsets.text(), "0:120,2:98,10:7");
        assert_eq!((offsets.of(10), offsets.of(1)), (Some(7), None));
        assert_eq!(Offsets::parse("").unwrap(), Offsets::default());
        assert!(Offsets::parse("0:x").is_err() && Offsets::parse("0").is_err());
    }

    #[test]
    fn nothing_is_passed_over() {
        let of = |from, first, end| span("t", 3, from, first, end);
        assert_eq!(of(None, 5, 9).unwrap(), Span { from: 5, to: 9 });
        assert_eq!(of(Some(7), 5, 9).unwrap(), Span { from: 7, to: 9 });
        assert_eq!(of(Some(9), 5, 9).unwrap(), Span { from: 9, to: 9 });
        let lost = of(Some(2), 5, 9).unwrap_err();
        assert!(lost.en().contains("from offset 2 to 4 of partition 3"), "{lost}");
        assert!(of(Some(10), 5, 9).unwrap_err().zh().contains("重建"));
        let offsets = Offsets::parse("0:1,4:1").unwrap();
        assert!(offsets.within("t", &[0, 4, 5].into()).is_ok());
        assert!(offsets.within("t", &[0].into()).unwrap_err().en().contains("partition 4"));
    }
}
