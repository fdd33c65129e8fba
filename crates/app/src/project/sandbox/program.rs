//! Programs that members hand in: read and refused with the reason before they are kept, never changed afterwards.

use std::sync::Arc;

use guard::hash::sm3_hex;
use model::sandbox::SandboxProgram;
use model::{Code, Error, Op, Result};

use super::working;
use crate::project::keep::recorded;
use crate::{App, account};

/// Longest name, characters.
const NAME: usize = 60;

fn sealed(id: &str) -> String {
    format!("sandbox.program {id}")
}

/// Keeps a module, binary (`.wasm`) or text (`.wat`).
pub async fn add(
    app: &Arc<App>,
    op: &Op,
    id: &str,
    name: &str,
    module: Vec<u8>,
) -> Result<SandboxProgram> {
    let (_, permit) = working(app, op, id).await?;
    let name = name.trim();
    if name.is_empty() || name.chars().count() > NAME || name.chars().any(char::is_control) {
        return Err(Error::invalid(
            format!("程序名称为 1 至 {NAME} 字"),
            format!("a program has a name of 1 to {NAME} characters"),
        )
        .field("name", "请修改", "change it"));
    }
    let most = app.rules.sandbox.program.kept;
    if app.store.sandbox_programs(id, most).await?.len() as u64 >= u64::from(most) {
        return Err(Error::new(
            Code::QuotaUsedUp,
            format!("一个沙箱至多保存 {most} 个程序"),
            format!("a sandbox keeps {most} programs at most"),
        ));
    }
    app.projects.programs.check(module.clone()).await?;
    let program = SandboxProgram {
        id: op.new_id(),
        project: id.to_owned(),
        name: name.to_owned(),
        digest: sm3_hex(&module),
        bytes: module.len() as u64,
        created_at: op.stamp(),
        created_by: account::shown(app, op).await?,
    };
    let content = app.keys.vault().seal(&sealed(&program.id), &module)?;
    app.store.sandbox_program_insert(&permit, &program, &content).await?;
    let scope = format!("{} {} {} bytes", program.name, program.digest, program.bytes);
    recorded(app, op, "sandbox.program", id, &scope).await?;
    Ok(program)
}

/// A program of a sandbox with its bytes, which are what their digest says.
pub(super) async fn content(
    app: &App,
    project: &str,
    id: &str,
) -> Result<(SandboxProgram, Vec<u8>)> {
    let found = app.store.sandbox_program_get(id).await?;
    let (program, content) = found
        .filter(|(program, _)| program.project == project)
        .ok_or_else(|| Error::not_found("程序", "program", id))?;
    let module = app.keys.vault().open(&sealed(id), &content)?.to_vec();
    if sm3_hex(&module) != program.digest {
        return Err(Error::internal(format!("the program `{id}` is not what its digest says")));
    }
    Ok((program, module))
}
