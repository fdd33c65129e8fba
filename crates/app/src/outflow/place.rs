//! Where a receiver stands, as it is written there.
//!
//! ```text
//! v1:<version>:<shape>           it holds this version of the lake
//! s1:<version>:<shape>:<mark>    in a first delivery of this version, up to this mark (sealed: it is made of a row's key)
//! ```

use guard::Vault;
use model::Result;

/// A position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Level { version: i64, shape: String },
    Filling { version: i64, shape: String, after: String },
}

fn context(flow: &str) -> String {
    format!("outflow:{flow}")
}

impl Place {
    /// Reads a position; one that nobody here wrote is none.
    pub(super) fn of_text(vault: &Vault, flow: &str, text: &str) -> Option<Self> {
        let mut parts = text.splitn(4, ':');
        let kind = parts.next()?;
        let version = parts.next()?.parse().ok()?;
        let shape = parts.next()?.to_owned();
        match (kind, parts.next()) {
            ("v1", None) => Some(Self::Level { version, shape }),
            ("s1", Some(sealed)) => {
                let bytes = vault.open(&context(flow), sealed).ok()?;
                let after = std::str::from_utf8(&bytes).ok()?.to_owned();
                Some(Self::Filling { version, shape, after })
            }
            _ => None,
        }
    }

    pub(super) fn text(&self, vault: &Vault, flow: &str) -> Result<String> {
        Ok(match self {
            Self::Level { version, shape } => format!("v1:{version}:{shape}"),
            Self::Filling { version, shape, after } => {
                let sealed = vault.seal(&context(flow), after.as_bytes())?;
                format!("s1:{version}:{shape}:{sealed}")
            }
        })
    }

    pub(super) fn shape(&self) -> &str {
        match self {
            Self::Level { shape, .. } | Self::Filling { shape, .. } => shape,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_read_as_written_and_marks_are_sealed() {
        let vault = guard::KeyRing::from_bytes(&[7; 32]).unwrap().vault();
        let level = Place::Level { version: 12, shape: "ab".into() };
        assert_eq!(level.text(&vault, "f").unwrap(), "v1:12:ab");
        let filling = Place::Filling { version: 3, shape: "ab".into(), after: "5d41402a".into() };
        let text = filling.text(&vault, "f").unwrap();
        assert!(text.starts_with("s1:3:ab:") && !text.contains("5d41402a"), "{text}");
        for place in [level, filling] {
            let text = place.text(&vault, "f").unwrap();
            assert_eq!(Place::of_text(&vault, "f", &text), Some(place));
        }
        assert_eq!(Place::of_text(&vault, "g", &text), None, "of another flow");
        for bad in ["", "v1", "v1:x:ab", "v2:1:ab", "s1:1:ab", "v1:1:ab:c"] {
            assert_eq!(Place::of_text(&vault, "f", bad), None, "{bad}");
        }
    }
}
