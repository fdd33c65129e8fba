//! Posted forms: pairs of names and values, believed only with the visitor's form token.

use std::sync::Arc;

use app::collection;
use axum::extract::multipart::{Multipart, MultipartError};
use axum::extract::{Form, FromRequest, Request};
use futures::TryStreamExt;
use futures::stream::BoxStream;
use model::{Code, Error, Result};

use crate::Door;
use crate::fault::Fault;
use crate::visit::Visit;

/// A posted form whose token was right.
#[derive(Clone, Debug, Default)]
pub(crate) struct Posted(Vec<(String, String)>);

impl Posted {
    /// First value of a field, trimmed; empty when the field is not there.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(k, _)| k == name).map_or("", |(_, v)| v.trim())
    }
    /// First value exactly as typed (passwords).
    pub(crate) fn raw(&self, name: &str) -> &str {
        self.0.iter().find(|(k, _)| k == name).map_or("", |(_, v)| v)
    }
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(k, v)| k == name && !v.trim().is_empty()).map(|(_, v)| v.trim())
    }
    /// Whether a check box is ticked.
    pub(crate) fn ticked(&self, name: &str) -> bool {
        matches!(self.get(name), "on" | "true" | "1")
    }
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(k, _)| k.as_str())
    }
    /// Fields with their values as typed, in order.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(k, v)| (k.as_str(), v.as_str()))
    }
    /// A whole number, or an error naming the field.
    pub(crate) fn number<T: std::str::FromStr>(&self, name: &str) -> Result<T> {
        self.get(name).parse().map_err(|_| {
            Error::invalid(
                format!("应为整数，现为 `{}`", self.get(name)),
                format!("a whole number is wanted, not `{}`", self.get(name)),
            )
            .field(name, "请填写整数", "enter a whole number")
        })
    }
    #[cfg(test)]
    pub(crate) fn of(pairs: &[(&str, &str)]) -> Self {
        Self(pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect())
    }
}

impl FromRequest<Arc<Door>> for Posted {
    type Rejection = Fault;
    async fn from_request(request: Request, state: &Arc<Door>) -> Result<Self, Fault> {
        let visit = visit_of(&request)?;
        let Form(pairs) =
            Form::<Vec<(String, String)>>::from_request(request, state).await.map_err(|e| {
                let error = if e.status().as_u16() == 413 {
                    Error::of(Code::TooLarge)
                } else {
                    Error::invalid("表单无法读取", "the form cannot be read")
                };
                Fault(error.detail(e.body_text()))
            })?;
        let posted = Self(pairs);
        visit.check_csrf(Some(posted.raw("csrf")))?;
        Ok(posted)
    }
}

fn visit_of(request: &Request) -> Result<Visit, Fault> {
    request
        .extensions()
        .get::<Visit>()
        .cloned()
        .ok_or_else(|| Fault(Error::internal("a form outside the visit middleware")))
}

/// Longest small field of a multipart form in bytes (pasted text included).
const LONGEST_FIELD: usize = 8 * 1024 * 1024;

/// The bytes of an uploaded file.
pub(crate) type Bytes = BoxStream<'static, Result<bytes::Bytes>>;

/// Bytes of all small fields of a multipart form together, and of what stands between them.
const LARGEST_FIELDS: usize = 2 * LONGEST_FIELD;

/// Reads a multipart form: small fields first (the token before all others), then the file named `file`, which is
/// streamed into `work` together with its name. The token is checked before anything is kept. A request that says itself that it is
/// larger than a file of `most` bytes with its fields is refused before any of it is read; one that does not say is cut off by `work`.
/// Answers the fields and what `work` answered, if a file was chosen.
pub(crate) async fn upload<T, F, Fut>(
    visit: &Visit,
    most: u64,
    multipart: &mut Multipart,
    work: F,
) -> Result<(Posted, Option<T>)>
where
    F: FnOnce(Posted, String, Bytes) -> Fut,
    Fut: Future<Output = Result<T>>,
{
    if visit.length.is_some_and(|told| told > most.saturating_add(LARGEST_FIELDS as u64)) {
        return Err(too_large(most));
    }
    let (mut posted, mut taken) = (Posted::default(), 0_usize);
    while let Some(mut field) = multipart.next_field().await.map_err(broken)? {
        let name = field.name().unwrap_or_default().to_owned();
        if name != "csrf" {
            visit.check_csrf(Some(posted.raw("csrf")))?;
        }
        if name == "file" {
            let file = field.file_name().unwrap_or_default().to_owned();
            if file.is_empty() {
                continue;
            }
            let bytes = field.map_err(broken);
            let answer = collection::pump(bytes, |bytes| work(posted.clone(), file, bytes)).await?;
            return Ok((posted, Some(answer)));
        }
        let mut text = Vec::new();
        while let Some(piece) = field.chunk().await.map_err(broken)? {
            taken = taken.saturating_add(piece.len());
            if text.len() + piece.len() > LONGEST_FIELD || taken > LARGEST_FIELDS {
                return Err(Error::of(Code::TooLarge));
            }
            text.extend_from_slice(&piece);
        }
        // A field without a byte costs its name and its place.
        taken = taken.saturating_add(name.len() + 64);
        posted.0.push((name, String::from_utf8_lossy(&text).into_owned()));
    }
    visit.check_csrf(Some(posted.raw("csrf")))?;
    Ok((posted, None))
}

/// An upload larger than a file of `most` bytes.
fn too_large(most: u64) -> Error {
    let size = match (most >> 30, most >> 20) {
        (0, 0) => format!("{most} B"),
        (0, mega) => format!("{mega} MB"),
        (giga, _) => format!("{giga} GB"),
    };
    Error::new(
        Code::TooLarge,
        format!("上传的文件超过上限 {size}，未读取；请拆分后分批上传"),
        format!(
            "the file is larger than the limit of {size} and was not read: split it and upload the parts"
        ),
    )
}

fn broken(error: MultipartError) -> Error {
    Error::invalid(
        "上传中断或格式有误，请重新上传",
        "the upload broke off or is malformed, send it again",
    )
    .detail(error.body_text())
}
