//! A paper as a file that is kept for long: its text, its signatures, and a page by which it is verified.

use std::sync::Arc;

use model::restricted::{PaperKind, PaperSigner, UseApplication, UsePaper, UseSignature};
use model::{Error, Op, Result};
use policy::port::{PaperPart, PaperSheet};

use super::look::visible;
use crate::{App, audit};

/// Prints a paper for one of its parties; `address`: where a paper is verified. Answers its number and the file's bytes.
pub async fn print(
    app: &App,
    op: &Op,
    id: &str,
    kind: PaperKind,
    address: &str,
) -> Result<(String, Vec<u8>)> {
    let application = visible(app, op, id).await?;
    let paper =
        application.paper(kind).ok_or_else(|| Error::not_found("文书", "paper", kind.as_str()))?;
    let sheet = sheet(&application, paper, address);
    let press = Arc::clone(&app.papers);
    let bytes = tokio::task::spawn_blocking(move || press.print(&sheet))
        .await
        .map_err(|e| Error::internal("the printing task ended").caused_by(e))??;
    let mut record = audit::event(op, "restricted.print", &paper.number);
    record.bytes = bytes.len() as u64;
    audit::record(app, record).await?;
    Ok((paper.number.clone(), bytes))
}

fn sheet(a: &UseApplication, paper: &UsePaper, address: &str) -> PaperSheet {
    let fact = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    // The title stands above; the text begins with it.
    let body = paper.text.splitn(3, '\n').nth(2).unwrap_or_default();
    let mut parts: Vec<PaperPart> = vec![PaperPart::Text(paper.title_en.clone())];
    parts.extend(
        body.split("\n\n")
            .map(str::trim)
            .filter(|p| !p.is_empty())
            .map(|p| PaperPart::Text(p.to_owned())),
    );
    parts.push(PaperPart::Heading { text: "签署 Signatures".to_owned(), new_page: false });
    for signer in PaperSigner::ALL {
        let name = format!("{} {}", signer.zh(), signer.en());
        match paper.by(*signer) {
            Some(s) => parts.push(PaperPart::Facts(signed(&name, s))),
            None => parts.push(PaperPart::Facts(vec![(name, "未签署 not signed".to_owned())])),
        }
    }
    parts.push(PaperPart::Heading { text: "核验页 Verification".to_owned(), new_page: true });
    parts.push(PaperPart::Facts(vec![
        fact("编号 Number", &paper.number),
        fact("模板版本 Template", &paper.version),
        fact("SM3", &paper.sm3),
        fact("SHA-256", &paper.sha256),
        fact("状态 State", &format!("{} {}", a.state.zh(), a.state.en())),
        fact("核验地址 Verify at", address),
    ]));
    parts.push(PaperPart::Text(
        "在核验地址输入编号和摘要，可查询本文书是否有效、是否仍在生效。摘要按文书正文（UTF-8 文本）计算，正文可在申请页面下载。\n\
         Enter number and digest at the address to learn whether this paper is genuine and still in force. The digest is over the text \
         of the paper (UTF-8), which the parties download from the page of the application."
            .to_owned(),
    ));
    let at = paper.signatures.last().map_or(&a.decided_at, |s| &s.at);
    PaperSheet {
        title: paper.title.clone(),
        number: paper.number.clone(),
        language: "zh-CN".to_owned(),
        at: at.clone(),
        parts,
    }
}

/// For whom it was signed, and by whom where that is somebody else.
fn signer(s: &UseSignature) -> String {
    if s.party == s.by_name { s.party.clone() } else { format!("{}（{}）", s.party, s.by_name) }
}

fn signed(name: &str, s: &UseSignature) -> Vec<(String, String)> {
    let mut facts = vec![
        (name.to_owned(), signer(s)),
        ("时间 At".to_owned(), s.at.clone()),
        ("方式 By".to_owned(), format!("{} {}", s.way.zh(), s.way.en())),
    ];
    for (name, value) in
        [("公钥 Key", &s.key), ("签名 Signature", &s.signature), ("扫描件 Scan SHA-256", &s.scan)]
    {
        if !value.is_empty() {
            facts.push((name.to_owned(), value.clone()));
        }
    }
    facts
}
