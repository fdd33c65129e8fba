//! `qiantang matrix`: the permission matrix of the shipped or given policies.

use std::path::PathBuf;
use std::process::ExitCode;

use model::Result;
use policy::Policy;

use super::{out, out_json};

/// Print who may do what. 打印权限矩阵。
#[derive(Debug, clap::Args)]
#[command(after_help = "Example 示例: qiantang matrix")]
pub(crate) struct Args {
    /// Folder with policies in place of the shipped ones. 策略目录。
    #[arg(long, value_name = "DIR")]
    policies: Option<PathBuf>,
    /// Answer as JSON: one object per action, a word per person. 以 JSON 输出。
    #[arg(long)]
    pub(crate) json: bool,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let policy = match &args.policies {
        Some(folder) => Policy::load(folder)?,
        None => Policy::shipped()?,
    };
    let table = policy::matrix(&policy);
    if !args.json {
        out(&table);
        return Ok(ExitCode::SUCCESS);
    }
    let mut lines = table.lines().map(cells);
    let people = lines.next().unwrap_or_default();
    for line in lines {
        let row: serde_json::Map<String, serde_json::Value> = people
            .iter()
            .zip(&line)
            .map(|(person, may)| ((*person).to_owned(), (*may).into()))
            .collect();
        out_json(&row)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Cells of a line; they stand at least two spaces apart.
fn cells(line: &str) -> Vec<&str> {
    line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_table_has_a_word_for_everybody() {
        let table = policy::matrix(&Policy::shipped().unwrap());
        let wide: Vec<usize> = table.lines().map(|l| cells(l).len()).collect();
        assert!(wide.len() > 20 && wide.iter().all(|n| *n == wide[0]), "{wide:?}");
    }
}
