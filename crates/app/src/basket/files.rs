//! Files that go with a form (附件): taken in by kind and size ([`upload`]), shown to the parties and given to nobody else.

use bytes::Bytes;
use futures::stream::BoxStream;
use model::basket::{Attachment, Bundle};
use model::{Code, Error, Op, Result};
use policy::{Action, Permit};

use super::hold::permit;
use super::look::target;
use crate::upload::{self, content, forget};
use crate::{App, audit};

/// Files that wait in the caller's basket.
pub async fn files(app: &App, op: &Op) -> Result<Vec<Attachment>> {
    permit(app, op).await?;
    app.store.attachments_waiting(op.actor.id()).await
}

/// Takes a file in: with a form of one's organisation that is under way, or without one into the basket. Its content tells
/// its kind, and its name gets the end of that.
pub async fn attach(
    app: &App,
    op: &Op,
    bundle: Option<&str>,
    name: &str,
    bytes: BoxStream<'static, Result<Bytes>>,
) -> Result<Attachment> {
    let (permit, there) = match bundle {
        None => (permit(app, op).await?, app.store.attachments_waiting(op.actor.id()).await?),
        Some(id) => {
            let bundle = super::bundle(app, op, id).await?;
            let permit = audit::permit(app, op, Action::ApprovalFollow, &target(&bundle)).await?;
            open(&bundle)?;
            (permit, bundle.files)
        }
    };
    let file = receive(app, op, bundle, there.len(), name, bytes).await?;
    if let Err(e) = kept(app, op, &permit, &file).await {
        forget(app, &file.id).await;
        return Err(e);
    }
    Ok(file)
}

/// Writes a file into the inbox beside `there` others of its form; the caller keeps what is known of it, or forgets it.
pub(crate) async fn receive(
    app: &App,
    op: &Op,
    bundle: Option<&str>,
    there: usize,
    name: &str,
    bytes: BoxStream<'static, Result<Bytes>>,
) -> Result<Attachment> {
    let rules = &app.rules.basket.attachment;
    if there >= rules.most {
        return Err(Error::new(
            Code::RuleBroken,
            format!("附件最多 {} 个", rules.most),
            format!("{} files at most", rules.most),
        )
        .field("file", "请先移除不用的附件", "take away a file that is not needed first"));
    }
    let taken = upload::take_in(app, op, rules.bytes, &rules.kinds, name, bytes).await?;
    Ok(Attachment {
        id: taken.id,
        bundle: bundle.map(str::to_owned),
        owner: op.actor.id().to_owned(),
        owner_name: op.actor.name().to_owned(),
        name: taken.name,
        media: taken.media.to_owned(),
        bytes: taken.bytes,
        checksum: taken.checksum,
        at: op.stamp(),
    })
}

async fn kept(app: &App, op: &Op, permit: &Permit, file: &Attachment) -> Result<()> {
    let mut event = audit::event(op, "basket.attach", &file.id);
    event.request = file.bundle.clone().unwrap_or_default();
    event.scope = format!("{} {} {}", file.media, file.bytes, file.checksum);
    audit::record(app, event).await?;
    app.store.attachment_insert(permit, file).await
}

/// A form whose parts are all decided takes no more files.
fn open(bundle: &Bundle) -> Result<()> {
    if bundle.parts.iter().any(|p| !p.phase.over()) {
        return Ok(());
    }
    Err(Error::new(
        Code::WrongState,
        "各项均已办结，不能再加附件",
        "every part is decided: no more files are taken",
    ))
}

/// Takes a file out of the caller's basket; one that was filed stays with its form.
pub async fn detach(app: &App, op: &Op, id: &str) -> Result<()> {
    let permit = permit(app, op).await?;
    if !app.store.attachment_remove(&permit, id, op.actor.id()).await? {
        return Err(Error::not_found("申请篮中的附件", "file of your basket", id));
    }
    forget(app, id).await;
    audit::record(app, audit::event(op, "basket.detach", id)).await
}

/// A file with its content as a stream, for whoever may see the form it belongs to (while it waits: for its owner).
pub async fn attachment(
    app: &App,
    op: &Op,
    id: &str,
) -> Result<(Attachment, BoxStream<'static, std::io::Result<Bytes>>)> {
    let unknown = || Error::not_found("附件", "file", id);
    let file = app.store.attachment_get(id).await?.ok_or_else(unknown)?;
    match &file.bundle {
        None if file.owner == op.actor.id() => {}
        None => return Err(unknown()),
        Some(bundle) => match super::bundle(app, op, bundle).await {
            Ok(_) => {}
            Err(e) if e.kind() == model::Kind::NotFound => return Err(unknown()),
            Err(e) => return Err(e),
        },
    }
    let pieces = content(app, &file.id).await?;
    let mut event = audit::event(op, "basket.attachment", &file.id);
    event.request = file.bundle.clone().unwrap_or_default();
    event.scope = file.checksum.clone();
    audit::record(app, event).await?;
    Ok((file, pieces))
}
