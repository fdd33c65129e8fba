//! Protection: masks, keys, ciphers, signatures, passwords and the hash chain. Functions: same input, same answer; `tls` reads the files it is
//! told of.
//!
//! Read in this order: where keys come from (`keys`), what leaves the house (`mask`, with `preserving` for FF1),
//! who may call (`signature`, `password`, `scram`, `callers`, `tls`, `addresses`), where we may call (`outgoing`), what a release would tell of persons (`anonymity`), what rests (`cipher`), what travels in files (`envelope`), what may be let out of a sandbox (`disclosure`) and by whom it was taken (`watermark`), what is proved later (`chain`, `evidence`, `timestamp`, `sm2`, `ed25519`, `hash`), what the identity provider signs (`identity`).
//! The algorithms are RustCrypto's, the crate `fpe`'s and ring's (Ed25519, X.509); nothing here is home-made cryptography. Chance enters
//! only in `keys::random`, `identity::generate`, `Vault::seal`, `password::hash` and `sm2::KeyPair::generate`.

pub mod addresses;
pub mod anonymity;
pub mod callers;
pub mod chain;
pub mod cipher;
pub mod convention;
pub mod detached;
pub mod disclosure;
pub mod ed25519;
pub mod envelope;
pub mod evidence;
pub mod hash;
pub mod identity;
pub mod keys;
pub mod mask;
pub mod outgoing;
pub mod password;
mod preserving;
pub mod print;
pub mod scram;
pub mod signature;
pub mod sm2;
pub mod timestamp;
pub mod tls;
pub mod watermark;

pub use callers::Callers;
pub use chain::ChainVerifier;
pub use cipher::Vault;
pub use keys::{KeyRing, MaskKey, SecretKey};
pub use mask::Masker;
pub use outgoing::OutgoingRules;
pub use signature::SignedRequest;
