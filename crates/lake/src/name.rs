//! Names in the lake: entry codes become folders, parcel ids become file names. Both come from outside, so both are
//! checked before a path is made of them.

use model::{Error, Result};

/// Longest code or parcel id that may become part of a path, in bytes.
const LONGEST: usize = 128;

/// Fails unless `code` may be a folder name (`[a-z0-9_]`).
pub(crate) fn check_code(code: &str) -> Result<()> {
    let fits = code.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    if fits && !code.is_empty() && code.len() <= LONGEST {
        return Ok(());
    }
    Err(Error::invalid(
        format!("目录编码 `{code}` 不能用作数据湖表名，只能使用小写字母、数字和下划线"),
        format!("the entry code `{code}` cannot name a lake table: use a-z, 0-9 and _"),
    ))
}

/// Fails unless `parcel` may begin a file name (`[A-Za-z0-9_-]`; no dot, which ends it).
pub(crate) fn check_parcel(parcel: &str) -> Result<()> {
    let fits = parcel.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if fits && !parcel.is_empty() && parcel.len() <= LONGEST {
        return Ok(());
    }
    Err(Error::invalid(
        format!(
            "数据包标识 `{parcel}` 只能使用字母、数字、下划线和连字符，且不超过 {LONGEST} 个字符"
        ),
        format!(
            "the parcel id `{parcel}` may hold letters, digits, _ and - only, at most {LONGEST}"
        ),
    ))
}

/// `<parcel>.<attempt>.<n>.parquet`: sorts in the order written, names its parcel, and never meets the files of an
/// earlier attempt.
pub(crate) fn data_file(parcel: &str, attempt: &str, number: usize) -> String {
    format!("{parcel}.{attempt}.{number:06}.parquet")
}

/// The parcel a data file belongs to.
pub(crate) fn parcel_of(path: &str) -> Option<&str> {
    path.strip_suffix(".parquet")?.split_once('.').map(|(parcel, _)| parcel)
}
