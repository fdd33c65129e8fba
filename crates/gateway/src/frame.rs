//! What stands around every route: `nosniff`, and the receipt where a route has one and it is asked for (`evidence`).
//!
//! It is one layer, and whoever serves the door puts its own into the same ([`crate::router_within`]): each layer of a router costs
//! every call a box, and a copy of all that lies within it.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::extract::Request;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use futures::future::{BoxFuture, Either};
use tower::{Layer, Service};

use crate::{Door, evidence};

/// Puts what stands around every route around it.
#[derive(Clone)]
pub(crate) struct Frame {
    witness: Option<Door>,
}

impl Frame {
    /// For routes whose answers have no receipts.
    pub(crate) fn plain() -> Self {
        Self { witness: None }
    }

    /// For routes whose answers have a receipt when it is asked for.
    pub(crate) fn witnessing(door: Door) -> Self {
        Self { witness: Some(door) }
    }
}

impl<S> Layer<S> for Frame {
    type Service = Framed<S>;

    fn layer(&self, inner: S) -> Framed<S> {
        Framed { inner, witness: self.witness.clone() }
    }
}

/// A route with what stands around it.
#[derive(Clone)]
pub struct Framed<S> {
    inner: S,
    witness: Option<Door>,
}

impl<S> fmt::Debug for Framed<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Framed").field("witnessed", &self.witness.is_some()).finish_non_exhaustive()
    }
}

impl<S> Service<Request> for Framed<S>
where
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + Unpin + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Answering<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        match &self.witness {
            Some(door) if evidence::wanted(request.headers()) => {
                let answering = evidence::answered(door.clone(), request, self.inner.clone());
                Answering(Either::Right(Box::pin(answering)))
            }
            _ => Answering(Either::Left(self.inner.call(request))),
        }
    }
}

/// An answer on its way.
pub struct Answering<F>(Either<F, BoxFuture<'static, Result<Response, Infallible>>>);

impl<F> fmt::Debug for Answering<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answering").finish_non_exhaustive()
    }
}

impl<F: Future<Output = Result<Response, Infallible>> + Unpin> Future for Answering<F> {
    type Output = Result<Response, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Ok(mut response) = ready!(Pin::new(&mut self.0).poll(cx));
        // What a set holds is no page, whatever a browser makes of it.
        response
            .headers_mut()
            .insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        Poll::Ready(Ok(response))
    }
}
