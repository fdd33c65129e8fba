//! Evidence that anyone can check without the platform: signed statements, and the tree of the audit chain that they rest on.
//!
//! A statement is a JWS in compact form (RFC 7515 §3.1): `header.payload.signature`, each base64url without padding. Its header is
//! `{"alg":"…","kid":"…","typ":"…"}`; the signature is over the first two parts as text. `alg` is `SM2-SM3` (GB/T 32918.2, identity
//! [`IDENTITY`], r || s) or `EdDSA` (RFC 8037 §3.1, Ed25519), which programs know that were written for JWS elsewhere. A key signs by its
//! own algorithm alone: a statement that names another one than its key's is refused, whatever its signature. A [`Tree`] is the Merkle hash tree of RFC 6962 §2.1 with SM3 in the place of SHA-256; its leaves are the 32 bytes of
//! the hashes of audit records.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use ct_merkle::mem_backed_tree::MemoryBackedTree;
use ct_merkle::{InclusionProof, RootHash};
use model::restricted::SigningAlgorithm;
use model::{Error, Result};
use sm3::Sm3;
use sm3::digest::{Digest, Output};

use crate::hash::sm3_hex;
use crate::keys::KeyRing;
use crate::{detached, ed25519, sm2};

/// Identity of the signer in SM2.
pub const IDENTITY: &str = "qiantang evidence";
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

/// The algorithm of a name: `sm2` or `ed25519`, in letters of any size.
pub fn algorithm(name: &str) -> Result<SigningAlgorithm> {
    SigningAlgorithm::parse(name).ok_or_else(|| unknown(name))
}

/// What `alg` of a statement's header says.
fn jose(algorithm: SigningAlgorithm) -> &'static str {
    match algorithm {
        SigningAlgorithm::Sm2 => "SM2-SM3",
        SigningAlgorithm::Ed25519 => "EdDSA",
    }
}

fn unknown(name: &str) -> Error {
    let shown: String = name.chars().take(40).collect();
    Error::invalid(
        format!("不支持签名算法 `{shown}`：存证可用 sm2 或 ed25519"),
        format!("unknown signature algorithm `{shown}`: evidence is signed by sm2 or ed25519"),
    )
}

/// A key by which statements are checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    /// Sixteen hex digits of the key's SM3 hash.
    pub id: String,
    pub algorithm: SigningAlgorithm,
    /// Of SM2 the uncompressed point, 130 hex digits; of Ed25519 64.
    pub hex: String,
}

impl PublicKey {
    fn of(algorithm: SigningAlgorithm, hex: String) -> Self {
        let id = sm3_hex(hex.as_bytes()).chars().take(16).collect();
        Self { id, algorithm, hex }
    }

    /// The key as it was handed out: the name of its algorithm, and its hex digits.
    pub fn read(name: &str, text: &str) -> Result<Self> {
        let named = algorithm(name)?;
        let (found, hex) = detached::read_key(text)?;
        if found != named {
            return Err(Error::invalid(
                format!("公钥与所标算法不符：标为 {named}，实为 {found}"),
                format!(
                    "the public key is not of the algorithm it is said to be of: {named} is said, it is {found}"
                ),
            ));
        }
        Ok(Self::of(found, hex))
    }
}

/// Signs statements by keys derived from the master key, one of each algorithm.
#[derive(Debug)]
pub struct Notary {
    sm2: sm2::KeyPair,
    ed25519: ed25519::KeyPair,
    /// Of SM2 first.
    public: [PublicKey; 2],
    signing: SigningAlgorithm,
}

impl Notary {
    /// `signing` is what is signed by where nobody asked for one of the two.
    pub fn new(keys: &KeyRing, signing: SigningAlgorithm) -> Result<Self> {
        let sm2 = sm2::KeyPair::derived(keys, "evidence", IDENTITY)?;
        let ed25519 = ed25519::KeyPair::derived(keys, "evidence ed25519")?;
        let public = [
            PublicKey::of(SigningAlgorithm::Sm2, sm2.public_hex()),
            PublicKey::of(SigningAlgorithm::Ed25519, ed25519.public_hex()),
        ];
        Ok(Self { sm2, ed25519, public, signing })
    }

    /// Every key statements may be signed by, whichever is the usual one: what was signed before that was changed is still checked.
    #[must_use]
    pub fn keys(&self) -> &[PublicKey] {
        &self.public
    }

    /// What is signed by where nobody asked for one of the two.
    #[must_use]
    pub fn signing(&self) -> SigningAlgorithm {
        self.signing
    }

    /// The statement of a JSON text, signed by the usual algorithm.
    pub fn sign(&self, kind: StatementKind, payload: &str) -> Result<String> {
        self.sign_by(self.signing, kind, payload)
    }

    /// The statement of a JSON text, signed by this algorithm.
    pub fn sign_by(
        &self,
        algorithm: SigningAlgorithm,
        kind: StatementKind,
        payload: &str,
    ) -> Result<String> {
        let [of_sm2, of_ed25519] = &self.public;
        let public = match algorithm {
            SigningAlgorithm::Sm2 => of_sm2,
            SigningAlgorithm::Ed25519 => of_ed25519,
        };
        let header = format!(
            r#"{{"alg":"{}","kid":"{}","typ":"{}"}}"#,
            jose(algorithm),
            public.id,
            kind.as_str()
        );
        let signed = format!("{}.{}", BASE64URL.encode(header), BASE64URL.encode(payload));
        let signature = match algorithm {
            SigningAlgorithm::Sm2 => self.sm2.sign(signed.as_bytes())?,
            SigningAlgorithm::Ed25519 => self.ed25519.sign(signed.as_bytes()),
        };
        let signature = hex::decode(signature)
            .map_err(|e| Error::internal("signature of a statement").caused_by(e))?;
        Ok(format!("{signed}.{}", BASE64URL.encode(signature)))
    }
}

/// A statement whose signature fits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    pub kind: StatementKind,
    /// Its JSON text.
    pub payload: String,
    /// What it is signed by.
    pub algorithm: SigningAlgorithm,
}

/// Reads a statement signed by one of `keys`. Fails, saying which, when it is none, of an algorithm that is not known or not its key's,
/// signed by a key that is not among them, or altered.
pub fn read(statement: &str, keys: &[PublicKey]) -> Result<Checked> {
    let statement = statement.trim();
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
    let named = word("alg");
    let algorithm = SigningAlgorithm::ALL.iter().copied().find(|a| jose(*a) == named);
    let algorithm = algorithm.ok_or_else(|| unknown(named))?;
    let key = key_of(word("kid"), algorithm, keys)?;
    let signed = statement.rsplit_once('.').map_or("", |(signed, _)| signed);
    let signature = hex::encode(bytes(signature)?);
    let fits = match algorithm {
        SigningAlgorithm::Sm2 => sm2::verify(&key.hex, IDENTITY, signed.as_bytes(), &signature),
        SigningAlgorithm::Ed25519 => ed25519::verify(&key.hex, signed.as_bytes(), &signature),
    };
    if !fits {
        return Err(Error::invalid(
            "签名不符：声明被改动过，或不是该平台签发",
            "the signature does not fit: the statement was altered, or is not of this platform",
        ));
    }
    Ok(Checked { kind, payload: text(payload)?, algorithm })
}

/// The key of this id, which must be of the algorithm that the statement names.
fn key_of<'a>(
    id: &str,
    algorithm: SigningAlgorithm,
    keys: &'a [PublicKey],
) -> Result<&'a PublicKey> {
    let key = keys.iter().find(|key| key.id == id).ok_or_else(|| {
        let id: String = id.chars().take(40).collect();
        Error::invalid(
            format!("没有编号为 {id} 的公钥，无法核验；请取得签发平台的公钥（/evidence/keys）"),
            format!("there is no public key {id} to check it by: get the issuing platform's keys (/evidence/keys)"),
        )
    })?;
    if key.algorithm != algorithm {
        return Err(Error::invalid(
            format!("签名算法不符：声明标为 {algorithm}，编号为 {id} 的公钥却属 {}", key.algorithm),
            format!(
                "the algorithm does not fit: the statement says {algorithm}, the public key {id} is of {}",
                key.algorithm
            ),
        ));
    }
    Ok(key)
}

fn malformed() -> Error {
    Error::invalid(
        "不是存证声明：应为三段以点分隔的 base64url 文本",
        "this is no statement of evidence: three base64url parts with dots between are expected",
    )
}

/// The tree of a stretch of the audit chain, kept in memory while proofs are made.
#[derive(Debug, Default)]
pub struct Tree(MemoryBackedTree<Sm3, [u8; 32]>);

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

/// The root of a stretch of which nothing is to be proved: of what lies behind, it keeps one hash for each whole tree
/// (RFC 9162, 2.1.1), so that a record costs about two hashes and next to no memory.
#[derive(Debug, Default)]
pub struct Roots {
    /// Roots of whole trees with their heights, the highest first.
    whole: Vec<(u32, Output<Sm3>)>,
    leaves: u64,
}

impl Roots {
    /// Puts the hash of a record (64 hex digits) behind the others.
    pub fn push(&mut self, hash: &str) -> Result<()> {
        let mut root = Sm3::new_with_prefix([0_u8]).chain_update(leaf(hash)?).finalize();
        let mut height = 0;
        while let Some((_, left)) = self.whole.pop_if(|(whole, _)| *whole == height) {
            (root, height) = (parent(&left, &root), height + 1);
        }
        self.whole.push((height, root));
        self.leaves += 1;
        Ok(())
    }
    #[must_use]
    pub fn len(&self) -> u64 {
        self.leaves
    }
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.leaves == 0
    }
    /// Hash of the root, 64 hex digits; that of nothing is the hash of nothing.
    #[must_use]
    pub fn root(&self) -> String {
        let roots = self.whole.iter().rev().map(|(_, root)| *root);
        hex::encode(
            roots.reduce(|right, left| parent(&left, &right)).unwrap_or_else(|| Sm3::digest([])),
        )
    }
}

fn parent(left: &Output<Sm3>, right: &Output<Sm3>) -> Output<Sm3> {
    Sm3::new_with_prefix([1_u8]).chain_update(left).chain_update(right).finalize()
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

fn leaf(hash: &str) -> Result<[u8; 32]> {
    let mut bytes = [0; 32];
    let read = hex::decode_to_slice(hash, &mut bytes);
    read.map_err(|_| Error::internal(format!("`{hash}` is no hash of a record")))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notary(n: u8) -> Notary {
        Notary::new(&KeyRing::from_bytes(&[n; 32]).unwrap(), SigningAlgorithm::Sm2).unwrap()
    }

    #[test]
    fn a_statement_is_read_by_its_key_and_no_letter_may_change() {
        let (ours, theirs) = (notary(1), notary(2));
        let both = [theirs.keys(), ours.keys()].concat();
        for algorithm in SigningAlgorithm::ALL.iter().copied() {
            let sign =
                |by: &Notary, text: &str| by.sign_by(algorithm, StatementKind::Receipt, text);
            let statement = sign(&ours, r#"{"rows":3}"#).unwrap();
            let checked = read(&statement, &both).unwrap();
            let payload = r#"{"rows":3}"#.to_owned();
            assert_eq!(checked, Checked { kind: StatementKind::Receipt, payload, algorithm });
            let e = read(&statement, theirs.keys()).unwrap_err();
            assert!(e.en().contains("no public key"), "{e}");
            for at in 0..statement.len() {
                let mut other: Vec<u8> = statement.bytes().collect();
                other[at] = if other[at] == b'A' { b'B' } else { b'A' };
                let other = String::from_utf8(other).unwrap();
                assert!(read(&other, &both).is_err(), "{algorithm}: letter {at}");
            }
            // Signed by another under the first one's name.
            let forged = sign(&theirs, r#"{"rows":4}"#).unwrap();
            let of = |notary: &Notary| {
                notary.keys().iter().find(|k| k.algorithm == algorithm).unwrap().clone()
            };
            let renamed = PublicKey { id: of(&theirs).id, ..of(&ours) };
            assert!(read(&forged, &[renamed]).unwrap_err().en().contains("does not fit"));
        }
        for text in ["", "a.b", "a.b.c.d", "....", "e30.e30.e30"] {
            assert!(read(text, &both).is_err(), "{text}");
        }
    }

    /// The header of a statement says what it is signed by, and is believed only where the key is of that kind.
    #[test]
    fn an_algorithm_is_not_taken_for_another() {
        let ours = notary(1);
        let labelled = |statement: &str, alg: &str| {
            let (head, rest) = statement.split_once('.').unwrap();
            let head = String::from_utf8(BASE64URL.decode(head).unwrap()).unwrap();
            let mut head: serde_json::Value = serde_json::from_str(&head).unwrap();
            head["alg"] = alg.into();
            format!("{}.{rest}", BASE64URL.encode(head.to_string()))
        };
        for algorithm in SigningAlgorithm::ALL.iter().copied() {
            let statement = ours.sign_by(algorithm, StatementKind::Receipt, "{}").unwrap();
            for alg in ["none", "HS256", "ES256", "", "sm2"] {
                let e = read(&labelled(&statement, alg), ours.keys()).unwrap_err();
                assert!(e.en().contains("unknown signature algorithm"), "{alg}: {e}");
                assert!(e.zh().contains("不支持签名算法"), "{alg}: {}", e.zh());
            }
            let other = match algorithm {
                SigningAlgorithm::Sm2 => "EdDSA",
                SigningAlgorithm::Ed25519 => "SM2-SM3",
            };
            let e = read(&labelled(&statement, other), ours.keys()).unwrap_err();
            assert!(e.en().contains("the algorithm does not fit"), "{e}");
        }
    }

    #[test]
    fn what_is_signed_by_without_being_asked_is_chosen_and_both_keys_are_handed_out() {
        let ring = KeyRing::from_bytes(&[1; 32]).unwrap();
        for signing in SigningAlgorithm::ALL.iter().copied() {
            let notary = Notary::new(&ring, signing).unwrap();
            let statement = notary.sign(StatementKind::Seal, "{}").unwrap();
            // The keys are the same, whichever is the usual one.
            assert_eq!(notary.keys(), notary_keys());
            assert_eq!(read(&statement, notary.keys()).unwrap().algorithm, signing);
            for key in notary.keys() {
                assert_eq!(PublicKey::read(key.algorithm.en(), &key.hex).unwrap(), *key);
                let upper = key.hex.to_uppercase();
                assert_eq!(PublicKey::read(key.algorithm.as_str(), &upper).unwrap(), *key);
            }
        }
        let keys = notary_keys();
        let swapped = PublicKey::read("Ed25519", &keys[0].hex).unwrap_err();
        assert!(swapped.en().contains("sm2") && swapped.zh().contains("不符"), "{swapped}");
        assert!(PublicKey::read("SM2", "12").is_err());
        assert!(PublicKey::read("RSA", &keys[0].hex).unwrap_err().en().contains("`RSA`"));
    }

    fn notary_keys() -> Vec<PublicKey> {
        notary(1).keys().to_vec()
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
            let mut roots = Roots::default();
            assert!(roots.is_empty() && hashes.iter().all(|hash| roots.push(hash).is_ok()));
            assert_eq!((roots.root(), roots.len()), (root.clone(), count), "the same without its leaves");
            assert!(proves(&root, count, index, hash, &path));
            assert!(!proves(&root, count, index, &sm3_hex(b"other"), &path));
            assert!(count == 1 || !proves(&root, count, (index + 1) % count, hash, &path));
            assert!(!proves(&sm3_hex(b"other"), count, index, hash, &path));
            assert!(tree.path(count).is_none());
        }
    }
}
