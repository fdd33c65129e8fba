//! Collecting by upload: the file is streamed into the inbox while it arrives, then a run starts (or is rehearsed).

use std::sync::Arc;

use app::collection::{Order, Spooled};
use app::{ReadOptions, Source};
use axum::Router;
use axum::extract::{DefaultBodyLimit, Multipart, Path, State};
use axum::routing::post;
use minijinja::context;
use model::code::SyncMode;
use model::{Error, Result};

use crate::console::done;
use crate::console::runs::columns;
use crate::form::{self, Posted};
use crate::view::value;
use crate::visit::Visit;
use crate::{Answer, Door};

pub(super) fn router() -> Router<Arc<Door>> {
    Router::new()
        .route("/console/entries/{id}/collect", post(collect).layer(DefaultBodyLimit::disable()))
}

async fn collect(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    mut multipart: Multipart,
) -> Answer {
    let entry = app::catalogue::get(&door.app, &visit.op, &id).await?;
    let most = door.app.rules.upload.max_bytes;
    let (posted, spooled) = form::upload(&visit, most, &mut multipart, |_, name, bytes| {
        let (app, op, id) = (&door.app, &visit.op, &entry.id);
        async move { app::collection::spool(app, op, id, base_name(&name), bytes).await }
    })
    .await?;
    let spooled = spooled.ok_or_else(|| {
        Error::invalid("请选择要上传的文件", "choose a file to upload").field(
            "file",
            "请选择文件",
            "choose a file",
        )
    })?;
    let order = order(&entry.id, &posted, spooled)?;
    if !posted.ticked("dry_run") {
        let run = app::collection::start(&door.app, &visit.op, order).await?;
        return done(&format!("/console/runs/{}", run.id), "started");
    }
    let (run, rejects) = app::collection::dry_run(&door.app, &visit.op, order).await?;
    let context = context! {
        entry => value(&entry), run => value(&run), rejects => value(&rejects),
        columns => columns(&entry, &visit),
    };
    door.page(&visit, "console/dry_run.html", context).await
}

/// The file's own name, whatever path a browser sends.
fn base_name(name: &str) -> &str {
    name.rsplit(['/', '\\']).next().unwrap_or(name)
}

fn order(entry: &str, posted: &Posted, spooled: Spooled) -> Result<Order> {
    let mode = SyncMode::parse(posted.get("mode")).unwrap_or(SyncMode::Full);
    let text = |name: &str| Some(posted.get(name).to_owned()).filter(|t| !t.is_empty());
    let delimiter = match posted.get("delimiter") {
        "" => None,
        "\\t" | "tab" => Some('\t'),
        one => {
            let mut chars = one.chars();
            match (chars.next(), chars.next()) {
                (Some(c), None) => Some(c),
                _ => {
                    return Err(Error::invalid(
                        format!("分隔符应为一个字符，现为 `{one}`（制表符请填 tab）"),
                        format!(
                            "the delimiter must be one character, not `{one}` (write tab for a tab)"
                        ),
                    ));
                }
            }
        }
    };
    let header_rows = match posted.get("header_rows") {
        "" => None,
        _ => Some(posted.number("header_rows")?),
    };
    Ok(Order {
        entry: entry.to_owned(),
        source: Source::File { path: spooled.path, name: spooled.name },
        mode,
        options: ReadOptions {
            encoding: text("encoding"),
            delimiter,
            sheet: text("sheet"),
            header_rows,
            operation_column: text("operation_column"),
            ..ReadOptions::default()
        },
    })
}
