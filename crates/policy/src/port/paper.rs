//! Port of the printing of papers: agreements as files that are kept for long (PDF/A).

use model::Result;

/// What a paper says, in the order in which it is printed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PaperSheet {
    pub title: String,
    /// Stands at the foot of every page beside its number.
    pub number: String,
    /// `zh-CN` or `en`.
    pub language: String,
    /// RFC 3339; written into the file as its date.
    pub at: String,
    pub parts: Vec<PaperPart>,
}

/// A piece of a paper.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PaperPart {
    /// A heading, on a new page where it says so.
    Heading { text: String, new_page: bool },
    /// A paragraph; lines are broken where they must be, and where the text has `\n`.
    Text(String),
    /// Facts: name and value.
    Facts(Vec<(String, String)>),
}

/// Prints papers. Called by `app::restricted`, in a task that may block; implemented by `paper`.
pub trait Paper: Send + Sync {
    /// The file's bytes (PDF/A-2b). Fails, saying what to configure, where there is no font to print by.
    fn print(&self, sheet: &PaperSheet) -> Result<Vec<u8>>;
}
