//! By which of its two keys the platform signs evidence: receipts of answers, seals over the audit chain, receipts of deliveries.

use app::evidence::algorithm;
use model::Result;
use model::restricted::SigningAlgorithm;
use serde::{Deserialize, Serialize};

use super::Config;

/// Both keys come from the master key and are handed out always, so that this may be changed at any time.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EvidencePart {
    /// `sm2` or `ed25519`: what is signed by where nobody asked for one of them (`Prefer: evidence=ed25519`).
    pub signing: String,
}

impl Default for EvidencePart {
    fn default() -> Self {
        Self { signing: SigningAlgorithm::Sm2.as_str().into() }
    }
}

impl Config {
    /// What evidence is signed by.
    pub fn signing(&self) -> Result<SigningAlgorithm> {
        algorithm(&self.evidence.signing).map_err(|e| {
            model::Error::invalid(
                format!("配置项 evidence.signing：{}", e.zh()),
                format!("configuration key evidence.signing: {}", e.en()),
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_signed_by_is_one_of_two() {
        let mut config = Config::default();
        assert_eq!(config.signing().unwrap(), SigningAlgorithm::Sm2);
        config.evidence.signing = "ed25519".into();
        config.check().unwrap();
        assert_eq!(config.signing().unwrap(), SigningAlgorithm::Ed25519);
        config.evidence.signing = "rsa".into();
        let e = config.check().unwrap_err();
        assert!(e.en().contains("evidence.signing") && e.en().contains("`rsa`"), "{e}");
        assert!(e.zh().contains("evidence.signing") && e.zh().contains("不支持"), "{}", e.zh());
    }
}
