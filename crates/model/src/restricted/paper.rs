//! The papers that are signed (安全承诺书, 开放利用协议) and their signatures. A paper keeps the text and the version of the template it
//! was signed with; what is signed is the digest of its text.

use serde::{Deserialize, Serialize};

use crate::code::code_list;

code_list! {
    /// Which paper.
    PaperKind {
        Undertaking = "undertaking", "安全承诺书", "Security undertaking";
        Agreement = "agreement", "开放利用协议", "Agreement on the use of open data";
    }
}

code_list! {
    /// Who signs.
    PaperSigner {
        Applicant = "applicant", "申请人", "Applicant";
        Counterparty = "counterparty", "对方", "Counterparty";
    }
}

code_list! {
    /// How it was signed.
    SignWay {
        Key = "key", "密钥签名", "By key";
        Seal = "seal", "扫描签章", "Scanned seal";
        Platform = "platform", "平台存证密钥代签", "By the platform's evidence key";
    }
}

code_list! {
    /// Kind of a signing key.
    SigningAlgorithm {
        Sm2 = "sm2", "SM2", "SM2";
        Ed25519 = "ed25519", "Ed25519", "Ed25519";
    }
}

/// A public key by which somebody signs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SigningKey {
    /// `org:…` or `account:…`
    pub holder: String,
    pub algorithm: SigningAlgorithm,
    /// In hex: 130 digits (`04` x y) of SM2, 64 of Ed25519.
    pub public: String,
    pub at: String,
    pub by: String,
    pub by_name: String,
}

/// A signature under a paper.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UseSignature {
    pub signer: PaperSigner,
    pub way: SignWay,
    /// For whom.
    pub party: String,
    pub org: String,
    pub by: String,
    pub by_name: String,
    pub at: String,
    /// Of a key.
    pub algorithm: Option<SigningAlgorithm>,
    /// Public key in hex.
    pub key: String,
    /// Signature in hex, or the platform's statement.
    pub signature: String,
    /// SHA-256 of the scan, of a seal.
    pub scan: String,
}

/// A paper of an application.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsePaper {
    pub kind: PaperKind,
    /// The application's number and the paper's letters.
    pub number: String,
    /// Version of the template.
    pub version: String,
    pub title: String,
    pub title_en: String,
    /// The whole text: what is signed, byte by byte (UTF-8).
    pub text: String,
    /// Digests of the text in hex.
    pub sm3: String,
    pub sha256: String,
    pub signatures: Vec<UseSignature>,
}

/// What the platform signs for an organisation that has no key of its own, after one of its people ordered it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaperStatement {
    pub number: String,
    pub sm3: String,
    pub sha256: String,
    /// For whom, and who ordered it.
    pub party: String,
    pub by_name: String,
    pub at: String,
}

impl UsePaper {
    /// The signature of one of the parties.
    #[must_use]
    pub fn by(&self, signer: PaperSigner) -> Option<&UseSignature> {
        self.signatures.iter().find(|s| s.signer == signer)
    }

    /// The digest that a key of this kind signs: its 64 hex digits as text.
    #[must_use]
    pub fn digest(&self, algorithm: SigningAlgorithm) -> &str {
        match algorithm {
            SigningAlgorithm::Sm2 => &self.sm3,
            SigningAlgorithm::Ed25519 => &self.sha256,
        }
    }
}

impl PaperKind {
    /// What stands behind the application's number.
    #[must_use]
    pub fn letters(self) -> &'static str {
        match self {
            PaperKind::Undertaking => "CN",
            PaperKind::Agreement => "XY",
        }
    }
}
