//! Passwords: Argon2id (RFC 9106), kept as PHC strings (`$argon2id$v=19$m=…,t=…,p=…$salt$hash`).

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use model::{Error, Result};

use crate::keys;

/// Cost of one hash. The default is OWASP's first choice (19 MiB, 2 passes); tests take [`Cost::TEST`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Memory in KiB, at least 8 per lane.
    pub memory_kib: u32,
    /// Passes over the memory.
    pub iterations: u32,
    pub lanes: u32,
}

impl Cost {
    /// Cheap, for tests only.
    pub const TEST: Cost = Cost { memory_kib: 64, iterations: 1, lanes: 1 };
}

impl Default for Cost {
    fn default() -> Self {
        Self { memory_kib: 19_456, iterations: 2, lanes: 1 }
    }
}

/// Longest password taken, in bytes: a longer one is refused before any work is done.
pub const MAX_PASSWORD_BYTES: usize = 1024;

/// PHC string of a new password with a random salt of 16 bytes. Takes tens of milliseconds: call it on a blocking thread.
pub fn hash(password: &str, cost: &Cost) -> Result<String> {
    if password.len() > MAX_PASSWORD_BYTES {
        return Err(Error::invalid(
            format!("口令过长，最多 {MAX_PASSWORD_BYTES} 字节"),
            format!("the password is too long, at most {MAX_PASSWORD_BYTES} bytes"),
        ));
    }
    let salt: [u8; 16] = keys::random()?;
    let phc: PasswordHash = engine(cost)?
        .hash_password_with_salt(password.as_bytes(), &salt)
        .map_err(|e| Error::internal(format!("argon2: {e}")))?;
    Ok(phc.to_string())
}

/// Whether the password is the one of the PHC string (its own cost is used). An unreadable PHC string is a defect.
pub fn verify(password: &str, phc: &str) -> Result<bool> {
    use argon2::password_hash::Error as Fault;
    if password.len() > MAX_PASSWORD_BYTES {
        return Ok(false);
    }
    let parsed = PasswordHash::new(phc)
        .map_err(|e| Error::internal(format!("stored password hash is unreadable: {e}")))?;
    match Argon2::default().verify_password(password.as_bytes(), &parsed) {
        Ok(()) => Ok(true),
        Err(Fault::PasswordInvalid) => Ok(false),
        Err(e) => Err(Error::internal(format!("argon2: {e}"))),
    }
}

/// Does the work of a verification for a user who does not exist, so that the answer takes the same time.
pub fn verify_nobody(password: &str, cost: &Cost) -> Result<bool> {
    let mut out = [0_u8; 32];
    let bytes = password.as_bytes();
    let bytes = bytes.get(..MAX_PASSWORD_BYTES).unwrap_or(bytes);
    engine(cost)?
        .hash_password_into(bytes, b"nobody has this salt", &mut out)
        .map_err(|e| Error::internal(format!("argon2: {e}")))?;
    Ok(false)
}

/// Whether a stored hash was made with another cost and should be renewed at the next sign-in.
#[must_use]
pub fn outdated(phc: &str, cost: &Cost) -> bool {
    let wanted = format!("m={},t={},p={}", cost.memory_kib, cost.iterations, cost.lanes);
    !(phc.starts_with("$argon2id$v=19$") && phc.split('$').any(|part| part == wanted))
}

fn engine(cost: &Cost) -> Result<Argon2<'static>> {
    let params = Params::new(cost.memory_kib, cost.iterations, cost.lanes, None)
        .map_err(|e| Error::internal(format!("argon2 cost {cost:?}: {e}")))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_right_password_and_no_other_is_accepted() {
        let phc = hash("钱塘 correct horse", &Cost::TEST).unwrap();
        assert!(phc.starts_with("$argon2id$v=19$m=64,t=1,p=1$"), "{phc}");
        assert!(verify("钱塘 correct horse", &phc).unwrap());
        assert!(!verify("钱塘 correct horsf", &phc).unwrap());
        assert!(!verify("", &phc).unwrap());
        assert!(!verify_nobody("x", &Cost::TEST).unwrap());
        assert_ne!(phc, hash("钱塘 correct horse", &Cost::TEST).unwrap(), "salted");
        assert!(!outdated(&phc, &Cost::TEST) && outdated(&phc, &Cost::default()));
    }

    /// RFC 9106 5.3 has a secret and associated data, which PHC strings of ours do not; this vector is the reference
    /// implementation's (`echo -n password | argon2 somesalt -id -t 2 -m 16 -p 1`).
    #[test]
    fn reference_vector() {
        let phc = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
        assert!(verify("password", phc).unwrap());
    }

    #[test]
    fn broken_input_is_an_error_not_a_panic() {
        assert!(verify("x", "not a phc string").is_err());
        assert!(hash(&"x".repeat(2000), &Cost::TEST).is_err());
        let phc = hash("x", &Cost::TEST).unwrap();
        assert!(!verify(&"x".repeat(2000), &phc).unwrap());
        assert!(hash("x", &Cost { memory_kib: 1, iterations: 0, lanes: 0 }).is_err());
    }
}
