//! Exchange of files (数据交换) between an organisation and the platform: what was agreed, each file with its state, and
//! the receipt both sides can hold against each other.

use serde::{Deserialize, Serialize};

use crate::code::{SyncMode, code_list};

code_list! {
    /// Which way the files go.
    ExchangeWay {
        In = "in", "接收", "Incoming";
        Out = "out", "发送", "Outgoing";
    }
}
code_list! {
    /// What says that a file is whole.
    Completeness {
        Done = "done", "完成标志文件（X.done 或 X.ok）", "A done-file (X.done or X.ok)";
        Manifest = "manifest", "清单文件（文件、字节、行数、校验和）", "A manifest (file, bytes, rows, checksum)";
        Quiet = "quiet", "一段时间内不再变化", "It has not changed for a while";
    }
}
code_list! {
    /// How files are encrypted.
    ExchangeCipher {
        None = "none", "不加密", "Not encrypted";
        Sm4 = "sm4", "SM4-GCM（双方共用密钥）", "SM4-GCM (a key both sides hold)";
    }
}
code_list! {
    /// How files are signed, in a file beside them.
    ExchangeSignature {
        None = "none", "不签名", "Not signed";
        Minisign = "minisign", "Ed25519（minisign，X.minisig）", "Ed25519 (minisign, X.minisig)";
        Sm2 = "sm2", "SM2（X.sm2sig）", "SM2 (X.sm2sig)";
    }
}
code_list! {
    /// Format of files sent.
    ExchangeFormat {
        Csv = "csv", "CSV", "CSV";
        Jsonl = "jsonl", "JSON Lines", "JSON Lines";
    }
}
code_list! {
    /// Whether an exchange is watched.
    ExchangeWish {
        Run = "run", "运行", "Run";
        Pause = "pause", "暂停", "Pause";
    }
}
code_list! {
    /// Where a file stands.
    FileState {
        Seen = "seen", "等待完整", "Waiting to be whole";
        Fetched = "fetched", "已取回并核验", "Fetched and verified";
        Landing = "landing", "入湖中", "Landing";
        Settling = "settling", "回执与归档中", "Receipt and archive";
        Agreed = "agreed", "两方一致", "Both sides agree";
        Received = "received", "已接收（发送方未声明数量）", "Received (the sender stated no count)";
        Repeated = "repeated", "重复交付，无变化", "Delivered again, nothing changed";
        Differs = "differs", "两方不一致", "The sides differ";
        Failed = "failed", "未接收", "Refused";
        Retried = "retried", "已重新交付", "Handed in again";
        Writing = "writing", "生成中", "Being written";
        Sent = "sent", "已发送，等待回执", "Sent, waiting for its receipt";
        Overdue = "overdue", "回执逾期", "Its receipt is overdue";
    }
}

impl FileState {
    /// Whether the worker has something to do for it.
    #[must_use]
    pub fn at_work(self) -> bool {
        matches!(
            self,
            Self::Seen
                | Self::Fetched
                | Self::Landing
                | Self::Settling
                | Self::Writing
                | Self::Sent
                | Self::Overdue
        )
    }
    /// Whether it waits for a person.
    #[must_use]
    pub fn waits(self) -> bool {
        matches!(self, Self::Differs | Self::Failed | Self::Overdue)
    }
}

/// What is agreed of an exchange.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exchange {
    pub id: String,
    /// Organisation that owns the entry.
    pub org: String,
    /// Shown; unique within the organisation.
    pub name: String,
    pub way: ExchangeWay,
    /// The organisation on the other side, as people call it.
    pub peer: String,
    pub entry: String,
    pub entry_code: String,
    pub entry_title: String,
    /// `file:///srv/exchange/in/` or `s3://bucket/prefix/`.
    pub place: String,
    /// Which files, relative to the place: `*.csv`, `**/*.zip`.
    pub pattern: String,
    pub completeness: Completeness,
    /// For [`Completeness::Quiet`].
    pub quiet_seconds: u32,
    pub mode: SyncMode,
    pub cipher: ExchangeCipher,
    pub signature: ExchangeSignature,
    /// Public key of the signer.
    pub signer: String,
    pub format: ExchangeFormat,
    /// The approved share application by which rows go out.
    #[serde(default)]
    pub request: String,
    pub wish: ExchangeWish,
    pub created_at: String,
    pub created_by: String,
}

/// What is needed to make one.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct ExchangeNew {
    pub name: String,
    pub way: Option<ExchangeWay>,
    pub peer: String,
    /// Entry id or code.
    pub entry: String,
    pub place: String,
    pub pattern: String,
    pub completeness: Option<Completeness>,
    pub quiet_seconds: Option<u32>,
    pub mode: Option<SyncMode>,
    pub cipher: Option<ExchangeCipher>,
    /// Key of encrypted files, 64 hex digits; empty to have one made for incoming files.
    pub key: String,
    pub signature: Option<ExchangeSignature>,
    pub signer: String,
    pub format: Option<ExchangeFormat>,
    pub request: String,
    /// Options of an object store; the secret ones among them are sealed.
    pub options: Vec<(String, String)>,
}

impl std::fmt::Debug for ExchangeNew {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ExchangeNew").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What the platform finds of an exchange.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ExchangeFigures {
    /// When the place was last looked at.
    pub looked_at: Option<String>,
    /// Why it does not go on, in both languages; empty when it does.
    pub zh: String,
    pub en: String,
    pub files: u64,
    pub rows: u64,
    /// Version of the entry that was sent last.
    pub sent_version: Option<i64>,
}

/// What one side says of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Count {
    pub rows: Option<u64>,
    pub bytes: Option<u64>,
    pub sha256: Option<String>,
    pub sm3: Option<String>,
}

impl Count {
    /// Whether the side said how many rows and which content.
    #[must_use]
    pub fn whole(&self) -> bool {
        self.rows.is_some() && (self.sha256.is_some() || self.sm3.is_some())
    }

    /// What differs, by name with both sides: only what both say is compared.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Vec<(&'static str, String, String)> {
        let number = |n: &Option<u64>| n.map(|n| n.to_string());
        let lower = |t: &Option<String>| t.as_ref().map(|t| t.to_ascii_lowercase());
        [
            ("rows", number(&self.rows), number(&other.rows)),
            ("bytes", number(&self.bytes), number(&other.bytes)),
            ("sha256", lower(&self.sha256), lower(&other.sha256)),
            ("sm3", lower(&self.sm3), lower(&other.sm3)),
        ]
        .into_iter()
        .filter_map(|(name, a, b)| Some((name, a?, b?)))
        .filter(|(_, a, b)| a != b)
        .collect()
    }
}

/// A file of an exchange.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExchangeFile {
    pub id: String,
    pub exchange: String,
    /// Path in the place.
    pub path: String,
    pub state: FileState,
    /// What it becomes when receipt and archive are done.
    pub outcome: Option<FileState>,
    /// Changes with the content, as far as the place knows.
    pub mark: String,
    pub bytes: u64,
    /// When this content was first seen.
    pub seen_at: String,
    pub updated_at: String,
    /// What the sender says, and what the receiver found.
    pub sender: Count,
    pub receiver: Count,
    pub landed: u64,
    pub quarantined: u64,
    pub run: Option<String>,
    /// The copy in the inbox while it is needed.
    pub copy: Option<String>,
    pub version: Option<i64>,
    /// Where it lies now, and its receipt.
    pub archived: Option<String>,
    pub receipt: Option<String>,
    /// Day by which the receipt should be there.
    pub due: Option<String>,
    pub zh: String,
    pub en: String,
}

/// Something that happened and somebody should know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExchangeIncident {
    pub id: String,
    pub exchange: String,
    pub file: Option<String>,
    pub zh: String,
    pub en: String,
    pub at: String,
    /// Waits for a person.
    pub open: bool,
}

/// The receipt, as written for the other side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// `qiantang.receipt/1`
    pub kind: String,
    pub id: String,
    pub exchange: String,
    pub file: String,
    /// State word: `agreed`, `received`, `repeated`, `differs`, `failed`.
    pub outcome: String,
    pub sender: Count,
    pub receiver: Count,
    pub landed: u64,
    pub quarantined: u64,
    pub entry: String,
    #[serde(default)]
    pub version: Option<i64>,
    pub at: String,
    pub zh: String,
    pub en: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_both_sides_say_is_compared() {
        let sender = Count { rows: Some(3), sha256: Some("AB".into()), ..Count::default() };
        let same = Count { rows: Some(3), bytes: Some(9), sha256: Some("ab".into()), sm3: None };
        assert!(sender.differences(&same).is_empty() && sender.whole());
        let less = Count { rows: Some(2), ..same };
        assert_eq!(sender.differences(&less), [("rows", "3".to_owned(), "2".to_owned())]);
        assert!(!Count { rows: Some(3), ..Count::default() }.whole());
    }
}
