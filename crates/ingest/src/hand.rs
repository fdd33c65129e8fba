//! The hand-over of chunks from a reading thread to the stream, with back pressure and a clean stop.

use std::panic::{AssertUnwindSafe, catch_unwind};

use futures::StreamExt;
use futures::stream::BoxStream;
use model::{Error, Result};
use policy::port::Chunk;
use tokio::sync::mpsc;

use crate::content::bad_file;

/// Chunks that wait for the consumer: memory stays bounded by them.
const WAITING: usize = 2;

/// The reading side.
#[derive(Debug)]
pub(crate) struct Hand {
    sender: mpsc::Sender<Result<Chunk>>,
}

impl Hand {
    /// Gives a chunk, waiting while the consumer is busy. An error means that nobody listens any more.
    pub(crate) fn give(&self, chunk: Chunk) -> Result<()> {
        self.sender.blocking_send(Ok(chunk)).map_err(|_| gone())
    }
    /// Answers whether nobody listens any more, for engines that can be stopped within one step.
    pub(crate) fn watch(&self) -> impl Fn() -> bool + Send + 'static {
        let sender = self.sender.downgrade();
        move || sender.upgrade().is_none_or(|s| s.is_closed())
    }
    /// The same from an asynchronous reader.
    pub(crate) async fn give_async(&self, chunk: Chunk) -> Result<()> {
        self.sender.send(Ok(chunk)).await.map_err(|_| gone())
    }
}

fn gone() -> Error {
    Error::internal("the consumer of a reading went away")
}

/// Runs a reading on a thread of its own and gives its chunks as a stream.
pub(crate) fn on_thread(
    work: impl FnOnce(&Hand) -> Result<()> + Send + 'static,
) -> BoxStream<'static, Result<Chunk>> {
    let (sender, receiver) = mpsc::channel(WAITING);
    let hand = Hand { sender };
    tokio::task::spawn_blocking(move || {
        if let Err(error) = guarded(|| work(&hand)) {
            // Nobody listening is no error worth telling.
            let _ = hand.sender.blocking_send(Err(error));
        }
    });
    stream(receiver)
}

/// Runs an asynchronous reading as a task and gives its chunks as a stream.
pub(crate) fn on_task<F>(work: impl FnOnce(Hand) -> F) -> BoxStream<'static, Result<Chunk>>
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    let (sender, receiver) = mpsc::channel(WAITING);
    let last = sender.clone();
    let work = work(Hand { sender });
    tokio::spawn(async move {
        if let Err(error) = work.await {
            let _ = last.send(Err(error)).await;
        }
    });
    stream(receiver)
}

fn stream(receiver: mpsc::Receiver<Result<Chunk>>) -> BoxStream<'static, Result<Chunk>> {
    futures::stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|chunk| (chunk, receiver))
    })
    .boxed()
}

/// Runs a parser of foreign files so that even a defect in it ends as an error of that file.
pub(crate) fn guarded<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result,
        Err(panic) => {
            let detail = panic
                .downcast_ref::<String>()
                .cloned()
                .or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()))
                .unwrap_or_default();
            Err(bad_file(
                "文件结构损坏，无法解析；请用原来的软件重新保存后上传",
                "the structure of the file is broken and cannot be parsed; save it again with the program that made it",
            )
            .detail(detail))
        }
    }
}
