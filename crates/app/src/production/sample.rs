//! Sample code in five languages. The files under `samples/` are whole programs with four marks in string constants;
//! what stands there is filled in from the pack. The secret is not: programs read it from `QT_SECRET`.

use policy::GrantColumn;

use super::{Pack, Resource};

/// A language of the samples.
#[derive(Clone, Copy, Debug)]
pub struct Language {
    pub id: &'static str,
    pub name: &'static str,
    /// Path inside the pack.
    pub file: &'static str,
    /// How it is run.
    pub run: &'static str,
    text: &'static str,
}

/// The languages, in the order they are shown.
pub const LANGUAGES: [Language; 5] = [
    Language {
        id: "curl",
        name: "curl",
        file: "call.sh",
        run: "QT_SECRET=… bash call.sh",
        text: include_str!("../../samples/call.sh"),
    },
    Language {
        id: "python",
        name: "Python",
        file: "client.py",
        run: "QT_SECRET=… python3 client.py",
        text: include_str!("../../samples/client.py"),
    },
    Language {
        id: "javascript",
        name: "JavaScript",
        file: "client.mjs",
        run: "QT_SECRET=… node client.mjs",
        text: include_str!("../../samples/client.mjs"),
    },
    Language {
        id: "java",
        name: "Java",
        file: "Client.java",
        run: "QT_SECRET=… java Client.java",
        text: include_str!("../../samples/Client.java"),
    },
    Language {
        id: "rust",
        name: "Rust",
        file: "rust/src/main.rs",
        run: "QT_SECRET=… cargo run",
        text: include_str!("../../samples/rust/src/main.rs"),
    },
];

/// The manifest of the Rust sample.
pub(super) const RUST_MANIFEST: &str = include_str!("../../samples/rust/Cargo.toml");

/// The sample of a language for a resource, calling the gateway at `url`.
#[must_use]
pub fn sample(language: &Language, pack: &Pack, resource: &Resource, url: &str) -> String {
    let path = format!("/api/v1/{}", resource.entry.draft.code);
    filled(language, url, &path, &query(&resource.columns), &pack.application.key)
}

/// The sample of a language for any call: path and query as they are signed.
#[must_use]
pub fn filled(language: &Language, url: &str, path: &str, query: &str, key: &str) -> String {
    language
        .text
        .replace("@HOST@", &plain(url.trim_end_matches('/')))
        .replace("@PATH@", path)
        .replace("@QUERY@", &bare(query))
        .replace("@KEY@", key)
}

/// A query without anything that could end a string constant or begin a substitution: what is beyond letters, digits and a few
/// signs is percent-encoded, as it would be in an address.
fn bare(query: &str) -> String {
    const ENDS: &percent_encoding::AsciiSet = &percent_encoding::NON_ALPHANUMERIC
        .remove(b'=')
        .remove(b'&')
        .remove(b',')
        .remove(b'.')
        .remove(b'-')
        .remove(b'_')
        .remove(b'%');
    percent_encoding::utf8_percent_encode(query, ENDS).to_string()
}

/// Five rows of the first granted columns.
fn query(columns: &[GrantColumn]) -> String {
    let names: Vec<&str> = columns.iter().take(3).map(|c| c.identifier.as_str()).collect();
    format!("select={}&limit=5", names.join(","))
}

/// An address without anything that could end a string constant or begin a substitution.
fn plain(url: &str) -> String {
    url.chars().filter(|c| c.is_ascii_alphanumeric() || ":/.-_[]".contains(*c)).collect()
}
