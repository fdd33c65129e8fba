//! Words of evidence (存证): the receipt of one answer, the seal over a stretch of the audit chain, and its time stamp.

use serde::{Deserialize, Serialize};

/// What the platform states of one answer it gave to a call. Hashes are SM3, lower hex.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// Address of the platform that answered.
    pub platform: String,
    /// RFC 3339.
    pub at: String,
    pub request_id: String,
    /// Access key of the application that called.
    pub application: String,
    /// How it proved who it is: `hmac`, `oauth2`, `mtls`, `irs`. Empty in receipts from before there were others than the first.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub by: String,
    /// Of the call's canonical text: method, path, query, body hash, time stamp, nonce, as it was signed by `hmac`. Of the others the
    /// body hash is SHA-256, and time stamp and nonce are empty lines.
    pub request_hash: String,
    pub status: u16,
    pub content_type: String,
    /// Of the body as it was sent, before any compression on the way.
    pub answer_hash: String,
    pub answer_bytes: u64,
}

/// A signed checkpoint of the audit chain: the records `first..=last`, whose hashes are the leaves of a Merkle tree.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seal {
    /// From 1, without gaps.
    pub number: i64,
    pub first: i64,
    pub last: i64,
    /// Root of the tree, 64 hex digits.
    pub root: String,
    /// Hash of the last record, from which the chain goes on.
    pub head: String,
    /// Root of the seal before; empty in the first.
    pub previous: String,
    /// RFC 3339.
    pub at: String,
}

impl Seal {
    /// Records under the seal.
    #[must_use]
    pub fn count(&self) -> u64 {
        u64::try_from(self.last - self.first + 1).unwrap_or(0)
    }
}

/// A seal as it is kept: with its signed statement.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    pub seal: Seal,
    /// The seal as a signed statement.
    pub statement: String,
    /// The time stamp over the statement, when an authority gave one. It is kept beside the seal and may come later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stamp: Option<Stamp>,
}

/// Time stamp (RFC 3161) of an authority over a seal's statement: the statement was there at that time, whatever the platform says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// The token (DER) in base64.
    pub token: String,
    /// The time stamped, RFC 3339.
    pub at: String,
    /// Name of the authority's certificate.
    pub authority: String,
    /// Number the authority gave it, lower hex.
    pub serial: String,
    /// Policy it was given under, an object identifier.
    pub policy: String,
}

/// Proof that a record stands in the chain: the record, its path in the tree of the seal over it, and the seal's statement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    pub record: crate::audit::AuditRecord,
    /// From the leaf up, 64 hex digits a step.
    pub path: String,
    pub seal: String,
    /// Token of the time stamp over the seal (DER, base64), when there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stamp: Option<String>,
}
