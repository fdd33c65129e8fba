//! Recall on real catalogue records: questions written by hand and the records that answer them.

use std::collections::HashMap;
use std::path::Path;

use model::search::{SearchDoc, SearchItem, SearchQuery};
use policy::port::Search;
use serde::Deserialize;
use serde_json::json;

use super::say;

#[derive(Deserialize)]
struct Book {
    question: Vec<Asked>,
}

#[derive(Deserialize)]
struct Asked {
    text: String,
    ids: Vec<u32>,
}

/// The least mean recall among the first ten.
const LIMIT: f64 = 0.9;

pub(crate) fn run(data: &Path, questions: &Path) {
    let Some(file) = csv_in(data) else {
        say(&format!(
            "缺少数据：{} 中没有 CSV 文件（需要 catalogue_opendata_zh，编号、資料名稱、資料集描述 等列）\nthe data are missing: no CSV file in {} (catalogue_opendata_zh is needed)",
            data.display(),
            data.display()
        ));
        std::process::exit(1);
    };
    let text = std::fs::read_to_string(questions).unwrap();
    let book: Book = toml::from_str(&text).unwrap();
    let docs = docs(&file);
    say(&format!("{} records, {} questions", docs.len(), book.question.len()));
    let index = search::Index::in_memory().unwrap();
    index.rebuild(&mut docs.chunks(200).map(|c| Ok(c.to_vec()))).unwrap();
    let mut sum = 0.0;
    for q in &book.question {
        let page = index
            .search(&SearchQuery {
                text: q.text.clone(),
                filters: vec![("ledger".into(), "data".into())],
                audience: vec!["public".into()],
                limit: 10,
                ..SearchQuery::default()
            })
            .unwrap();
        let got: Vec<&str> = page.hits.iter().map(|h| h.doc.id.as_str()).collect();
        let hit = q.ids.iter().filter(|id| got.contains(&id.to_string().as_str())).count();
        let most = q.ids.len().min(10);
        #[expect(clippy::cast_precision_loss, reason = "small numbers")]
        let recall = hit as f64 / most as f64;
        sum += recall;
        if hit < most {
            say(&format!("{:<24} {hit}/{most}  found {got:?} wanted {:?}", q.text, q.ids));
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let recall = sum / book.question.len() as f64;
    say(&json!({ "questions": book.question.len(), "records": docs.len(), "recall_at_10": recall, "limit": LIMIT, "pass": recall >= LIMIT }).to_string());
}

fn csv_in(folder: &Path) -> Option<std::path::PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .ok()?
        .filter_map(|e| Some(e.ok()?.path()))
        .filter(|p| p.extension().is_some_and(|e| e == "csv"))
        .collect();
    files.sort();
    files.into_iter().next()
}

fn docs(file: &Path) -> Vec<SearchDoc> {
    let mut reader = csv::Reader::from_path(file).unwrap();
    let header: Vec<String> = reader
        .headers()
        .unwrap()
        .iter()
        .map(|h| h.trim_start_matches('\u{feff}').to_owned())
        .collect();
    reader
        .records()
        .map(|record| {
            let record = record.unwrap();
            let row: HashMap<&str, &str> =
                header.iter().map(String::as_str).zip(record.iter()).collect();
            let get = |name: &str| row.get(name).copied().unwrap_or_default().to_owned();
            let items = get("主要欄位")
                .split(['、', ',', '，', ';', '；'])
                .filter(|t| !t.trim().is_empty())
                .enumerate()
                .map(|(n, t)| SearchItem {
                    identifier: format!("c{n}"),
                    name_cn: t.trim().to_owned(),
                    ..SearchItem::default()
                })
                .collect();
            SearchDoc {
                id: get("編號"),
                ledger: "data".into(),
                code: get("編號"),
                title: get("資料名稱"),
                description: get("資料集描述"),
                org_name: get("資料集提供機關"),
                tags: get("標籤/關鍵字")
                    .split(['、', ',', '，', ';'])
                    .map(|t| t.trim().to_owned())
                    .filter(|t| !t.is_empty())
                    .collect(),
                items,
                audience: vec!["public".into()],
                ..SearchDoc::default()
            }
        })
        .collect()
}
