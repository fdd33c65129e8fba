//! Evidence that anyone can check without the platform: signed statements, and the tree of the audit chain that they rest on.
//!
//! A statement is a JWS in compact form (RFC 7515 §3.1): `header.payload.signature`, each base64url without padding. Its header is
//! `{"alg":"SM2-SM3","kid":"…","typ":"…"}`; the signature is SM2 (GB/T 32918.2, identity [`IDENTITY`]) over the first two parts as
//! text, r || s. A [`Tree`] is the Merkle hash tree of RFC 6962 §2.1 with SM3 in the place of SHA-256; its leaves are the 32 bytes of
//! the hashes of audit records.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use ct_merkle::mem_backed_tree::MemoryBackedTree;
use ct_merkle::{InclusionProof, RootHash};
use model::{Error, Result};
use sm3::Sm3;

use crate::hash::sm3_hex;
use crate::keys::KeyRing;
use crate::sm2::{self, KeyPair};

/// Identity of the signer in SM2.
pub const IDENTITY: &str = "qiantang evidence";
const ALGORITHM: &str = "SM2-SM3";
/// Longest statement that is read, in characters.
const LONGEST: usize = 64 * 1024;

/// What a statement is about (`typ` of its header).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatementKind {
    /// One answer to one call.
    Receipt,
    /// A stretch of the audit chain.
    Seal,
    /// What one turn of a delivery brought.
    Delivery,
    /// A paper that was signed on behalf of an organisation without a key.
    Paper,
}

impl StatementKind {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Receipt => "qt-receipt",
            Self::Seal => "qt-seal",
            Self::Delivery => "qt-delivery",
            Self::Paper => "qt-paper",
        }
    }
    fn parse(word: &str) -> Option<Self> {
        [Self::Receipt, Self::Seal, Self::Delivery, Self::Paper]
            .into_iter()
            .find(|kind| kind.as_str() == word)
    }
}

/// A key by which statements are checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    /// Sixteen hex digits of the key's SM3 hash.
    pub id: String,
    /// Uncompressed point, 130 hex digits.
    pub hex: String,
}

impl PublicKey {
    /// The key of 130 hex digits.
    #[must_use]
    pub fn of(hex: &str) -> Self {
        let id = sm3_hex(hex.as_bytes()).chars().take(16).collect();
        Self { id, hex: hex.to_owned() }
    }
}

/// Signs statements by a key derived from the master key.
#[derive(Clone, Debug)]
pub struct Notary {
    pair: KeyPair,
    public: PublicKey,
}

impl Notary {
    pub fn new(keys: &KeyRing) -> Result<Self> {
        let pair = KeyPair::derived(keys, "evidence", IDENTITY)?;
        let public = PublicKey::of(&pair.public_hex());
        Ok(Self { pair, public })
    }

    #[must_use]
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The statement of a JSON text.
    pub fn sign(&self, kind: StatementKind, payload: &str) -> Result<String> {
        let header = format!(
            r#"{{"alg":"{ALGORITHM}","kid":"{}","typ":"{}"}}"#,
            self.public.id,
            kind.as_str()
        );
        let signed = format!("{}.{}", BASE64URL.encode(header), BASE64URL.encode(payload));
        let signature = hex::decode(self.pair.sign(signed.as_bytes())?)
            .map_err(|e| Error::internal("SM2 signature").caused_by(e))?;
        Ok(format!("{signed}.{}", BASE64URL.encode(signature)))
    }
}

/// Reads a statement signed by one of `keys`: its kind and its JSON text. Fails, saying which, when it is none, of another
/// algorithm, signed by a key that is not among them, or altered.
pub fn read(statement: &str, keys: &[PublicKey]) -> Result<(StatementKind, String)> {
    let statement = statement.trim();
    let malformed = || {
        Error::invalid(
            "不是存证声明：应为三段以点分隔的 base64url 文本",
            "this is no statement of evidence: three base64url parts with dots between are expected",
        )
    };
    let mut parts = statement.split('.');
    let (Some(header), Some(payload), Some(signature), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(malformed());
    };
    if statement.len() > LONGEST {
        return Err(malformed());
    }
    let bytes = |part: &str| BASE64URL.decode(part).map_err(|_| malformed());
    let text = |part: &str| String::from_utf8(bytes(part)?).map_err(|_| malformed());
    let header: serde_json::Value =
        serde_json::from_str(&text(header)?).map_err(|_| malformed())?;
    let word =
        |name: &str| header.get(name).and_then(serde_json::Value::as_str).unwrap_or_default();
    let kind = StatementKind::parse(word("typ")).ok_or_else(malformed)?;
    if word("alg") != ALGORITHM {
        return Err(malformed());
    }
    let id = word("kid");
    let key = keys.iter().find(|key| key.id == id).ok_or_else(|| {
        Error::invalid(
            format!("没有编号为 {id} 的公钥，无法核验；请取得签发平台的公钥（/evidence/keys）"),
            format!("there is no public key {id} to check it by: get the issuing platform's keys (/evidence/keys)"),
        )
    })?;
    let signed = statement.rsplit_once('.').map_or("", |(signed, _)| signed);
    if !sm2::verify(&key.hex, IDENTITY, signed.as_bytes(), &hex::encode(bytes(signature)?)) {
        return Err(Error::invalid(
            "签名不符：声明被改动过，或不是该平台签发",
            "the signature does not fit: the statement was altered, or is not of this platform",
        ));
    }
    Ok((kind, text(payload)?))
}

/// The tree of a stretch of the audit chain, kept in memory while proofs are made.
#[derive(Debug, Default)]
pub struct Tree(MemoryBackedTree<Sm3, Vec<u8>>);

impl Tree {
    /// Puts the hash of a record (64 hex digits) behind the others.
    pub fn push(&mut self, hash: &str) -> Result<()> {
        self.0.push(leaf(hash)?);
        Ok(())
    }
    #[must_use]
    pub fn len(&self) -> u64 {
        self.0.len()
    }
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    /// Hash of the root, 64 hex digits.
    #[must_use]
    pub fn root(&self) -> String {
        hex::encode(self.0.root().as_bytes())
    }
    /// The path from leaf `index` to the root as one text of hex digits; `None` when there is no such leaf.
    #[must_use]
    pub fn path(&self, index: u64) -> Option<String> {
        let at = usize::try_from(index).ok().filter(|_| index < self.0.len())?;
        Some(hex::encode(self.0.prove_inclusion(at).as_bytes()))
    }
}

/// Whether a record's hash is leaf `index` of the tree of `count` leaves with this root. Texts that cannot be read prove nothing.
#[must_use]
pub fn proves(root: &str, count: u64, index: u64, hash: &str, path: &str) -> bool {
    let Ok(leaf) = leaf(hash) else { return false };
    let (Ok(root), Ok(path)) = (hex::decode(root), hex::decode(path)) else { return false };
    let Ok(root) = <[u8; 32]>::try_from(root) else { return false };
    let Ok(proof) = InclusionProof::<Sm3>::try_from_bytes(path) else { return false };
    if index >= count {
        return false;
    }
    RootHash::<Sm3>::new(root.into(), count).verify_inclusion(&leaf, index, &proof).is_ok()
}

fn leaf(hash: &str) -> Result<Vec<u8>> {
    let bytes = hex::decode(hash).ok().filter(|bytes| bytes.len() == 32);
    bytes.ok_or_else(|| Error::internal(format!("`{hash}` is no hash of a record")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notary(n: u8) -> Notary {
        Notary::new(&KeyRing::from_bytes(&[n; 32]).unwrap()).unwrap()
    }

    #[test]
    fn a_statement_is_read_by_its_key_and_no_letter_may_change() {
        let (ours, theirs) = (notary(1), notary(2));
        let statement = ours.sign(StatementKind::Receipt, r#"{"rows":3}"#).unwrap();
        let keys = [theirs.public().clone(), ours.public().clone()];
        let (kind, payload) = read(&statement, &keys).unwrap();
        assert_eq!((kind, payload.as_str()), (StatementKind::Receipt, r#"{"rows":3}"#));
        assert!(read(&statement, &keys[..1]).unwrap_err().en().contains("no public key"));
        for at in 0..statement.len() {
            let mut other: Vec<u8> = statement.bytes().collect();
            other[at] = if other[at] == b'A' { b'B' } else { b'A' };
            let other = String::from_utf8(other).unwrap();
            assert!(read(&other, &keys).is_err(), "letter {at}");
        }
        // Signed by another under the first one's name.
        let forged = theirs.sign(StatementKind::Receipt, r#"{"rows":4}"#).unwrap();
        let renamed = PublicKey { id: theirs.public().id.clone(), hex: ours.public().hex.clone() };
        assert!(read(&forged, &[renamed]).unwrap_err().en().contains("does not fit"));
        for text in ["", "a.b", "a.b.c.d", "....", "e30.e30.e30"] {
            assert!(read(text, &keys).is_err(), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn every_leaf_is_proved_and_nothing_else(count in 1_u64..70, pick in 0_u64..70) {
            let hashes: Vec<String> = (0..count).map(|n| sm3_hex(&n.to_be_bytes())).collect();
            let mut tree = Tree::default();
            for hash in &hashes {
                tree.push(hash).unwrap();
            }
            let index = pick % count;
            let hash = &hashes[index as usize];
            let (root, path) = (tree.root(), tree.path(index).unwrap());
            assert!(proves(&root, count, index, hash, &path));
            assert!(!proves(&root, count, index, &sm3_hex(b"other"), &path));
            assert!(count == 1 || !proves(&root, count, (index + 1) % count, hash, &path));
            assert!(!proves(&sm3_hex(b"other"), count, index, hash, &path));
            assert!(tree.path(count).is_none());
        }
    }
}
