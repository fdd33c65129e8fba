//! Files that go with a fill; they lie where the files of applications lie, under the task's name.

use bytes::Bytes;
use futures::stream::BoxStream;
use model::basket::Attachment;
use model::{Code, Error, Op, Result};
use policy::{Action, Permit};

use super::look::known;
use crate::basket::receive;
use crate::upload::{content, forget};
use crate::{App, audit};

/// Name under which the files of a task are kept.
pub(super) fn bundle(task: &str) -> String {
    format!("report-{task}")
}

async fn writable(app: &App, op: &Op, id: &str) -> Result<Permit> {
    let (task, permit) = known(app, op, id, Action::ReportFill).await?;
    if task.state.writable() {
        return Ok(permit);
    }
    Err(Error::new(
        Code::WrongState,
        "任务已提交，附件不能再改",
        "the task is handed in: its files cannot be changed",
    ))
}

/// Takes a file in; its content tells its kind.
pub async fn attach(
    app: &App,
    op: &Op,
    task: &str,
    name: &str,
    bytes: BoxStream<'static, Result<Bytes>>,
) -> Result<Attachment> {
    let permit = writable(app, op, task).await?;
    let bundle = bundle(task);
    let there = app.store.attachments_of(&bundle).await?.len();
    let file = receive(app, op, Some(&bundle), there, name, bytes).await?;
    let kept = async {
        let mut event = audit::event(op, "report.attach", task);
        event.scope = format!("{} {} {}", file.media, file.bytes, file.checksum);
        audit::record(app, event).await?;
        app.store.attachment_insert(&permit, &file).await
    };
    if let Err(e) = kept.await {
        forget(app, &file.id).await;
        return Err(e);
    }
    Ok(file)
}

/// Takes a file away before the task is handed in.
pub async fn detach(app: &App, op: &Op, task: &str, id: &str) -> Result<()> {
    let permit = writable(app, op, task).await?;
    if !app.store.attachment_drop(&permit, id, &bundle(task)).await? {
        return Err(Error::not_found("附件", "file", id));
    }
    forget(app, id).await;
    audit::record(app, audit::event(op, "report.detach", task)).await
}

/// A file with its content, for whoever may see the task.
pub async fn attachment(
    app: &App,
    op: &Op,
    task: &str,
    id: &str,
) -> Result<(Attachment, BoxStream<'static, std::io::Result<Bytes>>)> {
    known(app, op, task, Action::ReportRead).await?;
    let own = bundle(task);
    let file = app.store.attachment_get(id).await?.filter(|f| f.bundle.as_ref() == Some(&own));
    let file = file.ok_or_else(|| Error::not_found("附件", "file", id))?;
    let pieces = content(app, &file.id).await?;
    let mut event = audit::event(op, "report.attachment", task);
    event.scope = file.checksum.clone();
    audit::record(app, event).await?;
    Ok((file, pieces))
}
