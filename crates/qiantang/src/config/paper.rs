//! The font by which papers of restricted opening are printed as PDF/A.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use model::{Error, Result};
use serde::{Deserialize, Serialize};

/// Without `font` the one is used that was embedded at build time; without that one papers are printed from the page only.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PaperPart {
    /// A TrueType or OpenType file with Chinese letters.
    pub font: Option<PathBuf>,
}

impl PaperPart {
    /// Paths in the file are relative to it.
    pub(super) fn relative_to(&mut self, base: &Path) {
        self.font = self.font.take().map(|file| base.join(file));
    }

    /// What prints papers.
    pub fn press(&self) -> Result<paper::Press> {
        let Some(file) = &self.font else {
            return Ok(paper::Press::new(portal::paper_font().map(Cow::Borrowed)));
        };
        let bytes = std::fs::read(file).map_err(|e| {
            let shown = file.display();
            Error::invalid(
                format!("配置项 paper.font：无法读取字体文件 {shown}"),
                format!("configuration key paper.font: the font file {shown} cannot be read"),
            )
            .caused_by(e)
        })?;
        Ok(paper::Press::new(Some(Cow::Owned(bytes))))
    }
}
