//! The pack as one ZIP file: description, samples per resource, synthetic rows, and a page that says what is where.

use std::io::{Cursor, Write};

use model::{Error, Result};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::sample::{LANGUAGES, RUST_MANIFEST, sample};
use super::{Pack, as_csv, as_json, openapi};

/// Makes the file, with the gateway at `url`.
pub fn archive(pack: &Pack, url: &str) -> Result<Vec<u8>> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let described = serde_json::to_vec_pretty(&openapi(pack, url))
        .map_err(|e| Error::internal("cannot write JSON").caused_by(e))?;
    put(&mut zip, "README.md", read_me(pack, url).as_bytes())?;
    put(&mut zip, "openapi.json", &described)?;
    for resource in &pack.resources {
        let code = &resource.entry.draft.code;
        for language in &LANGUAGES {
            let text = sample(language, pack, resource, url);
            put(&mut zip, &format!("{code}/{}", language.file), text.as_bytes())?;
        }
        put(&mut zip, &format!("{code}/rust/Cargo.toml"), RUST_MANIFEST.as_bytes())?;
        put(&mut zip, &format!("{code}/sandbox.csv"), &as_csv(resource)?)?;
        put(&mut zip, &format!("{code}/sandbox.json"), &as_json(resource)?)?;
    }
    let broken = |e: zip::result::ZipError| Error::internal("cannot write ZIP").caused_by(e);
    Ok(zip.finish().map_err(broken)?.into_inner())
}

fn put(zip: &mut ZipWriter<Cursor<Vec<u8>>>, name: &str, bytes: &[u8]) -> Result<()> {
    zip.start_file(name, SimpleFileOptions::default())
        .map_err(|e| Error::internal("cannot write ZIP").caused_by(e))?;
    zip.write_all(bytes).map_err(|e| Error::internal("cannot write ZIP").caused_by(e))
}

fn read_me(pack: &Pack, url: &str) -> String {
    let mut text = format!(
        "# {}\n\n应用 application: {}\n\nkey: `{}`\n\n接口地址 gateway: {url}\n\n\
         密钥只在登记或更换时显示一次，运行样例时放入环境变量 `QT_SECRET`。\n\
         The secret is shown once, when the application is registered or its secret renewed; samples read it from \
         `QT_SECRET`.\n\n`sandbox.*` 是按数据项合成的样例行，不含真实数据。 Synthetic rows, no real data.\n",
        pack.name, pack.application.name, pack.application.key
    );
    for resource in &pack.resources {
        let draft = &resource.entry.draft;
        text.push_str(&format!(
            "\n## {} `{}`\n\n每日调用 calls per day: {} · 有效至 until: {}\n\n",
            draft.title,
            draft.code,
            resource.calls_per_day,
            resource.expires_at.as_deref().unwrap_or("长期 long term")
        ));
        for column in &resource.columns {
            let mask = column.mask.as_ref().map(|m| format!(" · 脱敏 mask {}", m.label()));
            text.push_str(&format!(
                "- `{}` {}{}\n",
                column.identifier,
                column.name_cn,
                mask.unwrap_or_default()
            ));
        }
        text.push('\n');
        for language in &LANGUAGES {
            text.push_str(&format!(
                "- {}: `{}` — `{}`\n",
                language.name, language.file, language.run
            ));
        }
    }
    text
}
