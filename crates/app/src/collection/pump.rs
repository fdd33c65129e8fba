//! A stream that borrows (a part of a form that a door is reading) given on as one that borrows nothing, as `spool` wants it.

use std::pin::pin;

use bytes::Bytes;
use futures::stream::{self, BoxStream, Stream, StreamExt};
use model::Result;
use tokio::sync::mpsc;

/// Pieces that were read and that nobody took yet.
const PIECES_WAITING: usize = 8;

/// Gives `work` the pieces of `source` as a stream that borrows nothing, and reads `source` beside it: no more than a few pieces ahead,
/// and nothing after its first error, which `work` gets as its last piece. What `work` answers is the answer; one that stops reading
/// early (too large, no space) has the rest left unread.
pub async fn pump<T, S, F, Fut>(source: S, work: F) -> Result<T>
where
    S: Stream<Item = Result<Bytes>>,
    F: FnOnce(BoxStream<'static, Result<Bytes>>) -> Fut,
    Fut: Future<Output = Result<T>>,
{
    let (send, receive) = mpsc::channel::<Result<Bytes>>(PIECES_WAITING);
    let reader = stream::unfold(receive, |mut r| async move { r.recv().await.map(|x| (x, r)) });
    let pumping = async move {
        let mut source = pin!(source);
        while let Some(piece) = source.next().await {
            let last = piece.is_err();
            // When the room stops reading its answer says why.
            if send.send(piece).await.is_err() || last {
                return;
            }
        }
    };
    let (answer, ()) = tokio::join!(work(reader.boxed()), pumping);
    answer
}

#[cfg(test)]
mod tests {
    use model::Error;

    use super::*;

    /// More pieces than wait, borrowed from the caller.
    fn pieces(text: &[u8]) -> impl Stream<Item = Result<Bytes>> {
        stream::iter(text.chunks(1).map(|piece| Ok(Bytes::copy_from_slice(piece))))
    }

    async fn all(mut bytes: BoxStream<'static, Result<Bytes>>) -> Result<Vec<u8>> {
        let mut whole = Vec::new();
        while let Some(piece) = bytes.next().await {
            whole.extend_from_slice(&piece?);
        }
        Ok(whole)
    }

    #[tokio::test]
    async fn every_piece_arrives_once_and_in_order() {
        let text = b"more pieces than the channel keeps waiting".to_vec();
        assert_eq!(pump(pieces(&text), all).await.unwrap(), text);
        assert_eq!(pump(pieces(b""), all).await.unwrap(), b"");
    }

    #[tokio::test]
    async fn an_error_is_the_last_piece() {
        let broken = stream::once(async { Err(Error::invalid("上传中断", "broke off")) });
        let source = pieces(b"half").chain(broken).chain(pieces(b"never read"));
        let read = pump(source, |mut bytes| async move {
            let (mut good, mut bad) = (0, 0);
            while let Some(piece) = bytes.next().await {
                match piece {
                    Ok(_) => good += 1,
                    Err(_) => bad += 1,
                }
            }
            Ok((good, bad))
        });
        assert_eq!(read.await.unwrap(), (4, 1));
        let broken = stream::once(async { Err(Error::invalid("上传中断", "broke off")) });
        let error = pump(pieces(b"half").chain(broken), all).await.unwrap_err();
        assert_eq!(error.code(), model::Code::InvalidInput);
    }

    #[tokio::test]
    async fn a_room_that_stops_reading_ends_it() {
        let endless = stream::repeat_with(|| Ok(Bytes::from_static(b"x")));
        let full = pump(endless, |mut bytes| async move {
            bytes.next().await.transpose()?;
            Err::<(), Error>(Error::of(model::Code::TooLarge))
        });
        assert_eq!(full.await.unwrap_err().code(), model::Code::TooLarge);
    }
}
