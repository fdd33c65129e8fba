//! `qiantang sniff`: what is this file? Needs no data folder.

use std::path::PathBuf;
use std::process::ExitCode;

use model::code::{DataType, Domain, OpenType, ResourceKind, ShareType, SyncMode, UpdateCycle};
use model::entry::{EntryDraft, Profile};
use model::parcel::{Sniffed, SniffedColumn};
use model::{Error, Result};
use policy::port::Intake;

use super::{out, out_json, working};

/// Say what a file is, and draft an entry from it. 识别文件。
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples 示例:\n  qiantang sniff air.csv.gz --json --draft\n  qiantang sniff air.csv --draft --org ssthj --region 330000 --out draft.csv\n  qiantang catalogue import draft.csv --as provider"
)]
pub(crate) struct Args {
    file: PathBuf,
    /// Add a drafted catalogue entry: restricted and closed until a person says otherwise. 附目录草稿。
    #[arg(long)]
    draft: bool,
    /// Write the draft as a catalogue file (.csv or .xlsx) that `catalogue import` takes. 目录草稿文件。
    #[arg(long, value_name = "FILE", requires = "draft")]
    out: Option<PathBuf>,
    /// Owner of the drafted entry: id, credit code or name of an organisation. 数源单位。
    #[arg(long, value_name = "ORG", default_value = "", requires = "draft")]
    org: String,
    /// Region of the drafted entry, GB/T 2260. 行政区划。
    #[arg(long, value_name = "CODE", default_value = "", requires = "draft")]
    region: String,
    /// Code of the drafted entry; otherwise from the file name. 目录编码。
    #[arg(long, value_name = "CODE", requires = "draft")]
    code: Option<String>,
    /// Answer as JSON. 以 JSON 输出。
    #[arg(long)]
    pub(crate) json: bool,
}

pub(crate) async fn run(args: Args) -> Result<ExitCode> {
    let name = args.file.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let told = working("识别文件 looking at the file");
    let sniffed = ingest::Reader::new().sniff(&args.file, &name).await?;
    drop(told);
    let draft = args.draft.then(|| draft(&args, &name, &sniffed));
    if let (Some(file), Some(draft)) = (&args.out, &draft) {
        let format = super::catalogue::sheet_format(file)?;
        let bytes = app::catalogue::sheet_of(format, std::slice::from_ref(draft)).await?;
        std::fs::write(file, bytes).map_err(|e| {
            Error::invalid(
                format!("无法写入 {}：{e}", file.display()),
                format!("cannot write {}: {e}", file.display()),
            )
        })?;
    }
    if args.json {
        let mut value =
            serde_json::to_value(&sniffed).map_err(|e| Error::internal("JSON").caused_by(e))?;
        if let (Some(draft), Some(map)) = (&draft, value.as_object_mut()) {
            let draft =
                serde_json::to_value(draft).map_err(|e| Error::internal("JSON").caused_by(e))?;
            map.insert("draft".into(), draft);
        }
        return out_json(&value).map(|()| ExitCode::SUCCESS);
    }
    let or_dash = |o: &Option<String>| o.clone().unwrap_or_else(|| "-".into());
    out(&format!(
        "格式 format      {} {}\n编码 encoding    {}\n分隔 delimiter   {}\n引号 quote       {}\n前言 preamble    {} lines\n表头 header      {} rows\n尾注 footer      {} rows\n工作表 sheet     {}\n记录 records     {}",
        sniffed.format,
        sniffed.compression,
        sniffed.encoding,
        or_dash(&sniffed.delimiter),
        or_dash(&sniffed.quote),
        sniffed.preamble,
        sniffed.header_rows,
        sniffed.footer,
        or_dash(&sniffed.sheet),
        sniffed.records.map_or_else(|| "?".to_owned(), |n| n.to_string()),
    ));
    for column in &sniffed.columns {
        out(&format!(
            "  {:<24} {:<10} {}",
            column.name,
            column.data_type,
            column.examples.join(" | ")
        ));
    }
    for (zh, en) in &sniffed.notes {
        out(&format!("注意 note: {zh} / {en}"));
    }
    if let Some(draft) = draft {
        out(&format!("  draft {} {}", draft.code, draft.title));
        for item in &draft.items {
            out(&format!(
                "  draft {:<24} {:<10} {} {}",
                item.identifier, item.data_type, item.grade, item.name_cn
            ));
        }
        if draft.org.is_empty() || draft.region.is_empty() {
            out(
                "注意 note: 导入前请补全数源单位与行政区划（--org、--region） / fill in owner and region before the import (--org, --region)",
            );
        }
        if let Some(file) = &args.out {
            out(&format!(
                "目录草稿 draft: {}，请补全后导入 complete it, then: qiantang catalogue import {}",
                file.display(),
                file.display()
            ));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A whole entry from what was found. What nobody can know yet is the strictest that may be: shared on application,
/// not open; the words say that a person has to decide.
fn draft(args: &Args, name: &str, sniffed: &Sniffed) -> EntryDraft {
    let stem = name.split('.').next().unwrap_or_default();
    EntryDraft {
        code: args.code.clone().unwrap_or_else(|| code_of(stem)),
        title: if stem.is_empty() { "未命名目录".to_owned() } else { stem.to_owned() },
        title_en: String::new(),
        description: format!(
            "由文件 {name} 识别起草；提交审核前请改写为数据内容、统计口径与用途的说明。"
        ),
        org: args.org.clone(),
        region: args.region.clone(),
        domain: Domain::Other,
        tags: Vec::new(),
        kind: ResourceKind::Table,
        update_cycle: UpdateCycle::Irregular,
        sync_mode: SyncMode::Full,
        share_type: ShareType::Restricted,
        share_condition: "共享条件尚未确定，由数源单位审核".into(),
        share_basis: String::new(),
        open_type: OpenType::None,
        open_condition: String::new(),
        open_basis: "开放属性尚未确定，由数源单位核定".into(),
        raised_grade: None,
        time_range: String::new(),
        source_system: String::new(),
        licence: String::new(),
        attribution: String::new(),
        profile: Profile::default(),
        items: ingest::draft(sniffed),
    }
}

/// A code `[a-z][a-z0-9_]{1,49}` from a file name, Chinese by pinyin as identifiers are.
fn code_of(stem: &str) -> String {
    let column = SniffedColumn {
        name: stem.to_owned(),
        data_type: DataType::Text,
        nullable: true,
        examples: Vec::new(),
    };
    let named = Sniffed { columns: vec![column], ..Sniffed::default() };
    let identifier = ingest::draft(&named).pop().map(|i| i.identifier).unwrap_or_default();
    let mut code: String = identifier.trim_matches('_').chars().take(48).collect();
    let odd = !code.starts_with(|c: char| c.is_ascii_lowercase());
    if odd || code.len() < 2 || code.starts_with("dsc_") {
        code.insert_str(0, "t_");
    }
    code
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_from_file_names_are_codes() {
        for (stem, code) in [
            ("空气质量", "kongqizhiliang"),
            ("air-2024", "air_2024"),
            ("2024年报", "n2024_nianbao"),
            ("a", "t_a"),
            ("dsc_x", "x_dsc_x"),
            ("", "column_1"),
        ] {
            let got = code_of(stem);
            assert!(got.starts_with(code) || code.len() > 2 && got == code, "{stem}: {got}");
            assert!(
                (2..=50).contains(&got.len()) && got.starts_with(|c: char| c.is_ascii_lowercase())
            );
        }
        assert!(code_of(&"长".repeat(200)).len() <= 50);
    }
}
