//! `qiantang matrix`: the permission matrix of the shipped or given policies.

use std::path::PathBuf;
use std::process::ExitCode;

use model::Result;
use policy::Policy;

use super::out;

/// Print who may do what. 打印权限矩阵。
#[derive(Debug, clap::Args)]
#[command(after_help = "Example 示例: qiantang matrix")]
pub(crate) struct Args {
    /// Folder with policies in place of the shipped ones. 策略目录。
    #[arg(long, value_name = "DIR")]
    policies: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let policy = match &args.policies {
        Some(folder) => Policy::load(folder)?,
        None => Policy::shipped()?,
    };
    out(&policy::matrix(&policy));
    Ok(ExitCode::SUCCESS)
}
