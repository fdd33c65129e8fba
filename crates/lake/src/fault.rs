//! Errors of the engines below, turned into the house's one error: what the caller may read, and the cause for the log.

use datafusion::error::DataFusionError;
use deltalake_core::DeltaTableError;
use model::{Code, Error};

/// A failure of the Delta log or the object store while doing `what` (operator's words).
pub(crate) fn delta(what: &str, error: DeltaTableError) -> Error {
    match error {
        DeltaTableError::ObjectStore { .. } | DeltaTableError::Io { .. } => {
            unavailable(what, error)
        }
        other => Error::internal(format!("lake: {what}")).caused_by(other),
    }
}

/// A failure of the object store.
pub(crate) fn storage(what: &str, error: object_store::Error) -> Error {
    unavailable(what, error)
}

fn unavailable(what: &str, error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(
        Code::StoreUnavailable,
        "数据湖存储暂不可用，请检查存储目录的空间与权限后重试",
        "the lake's storage cannot be used now: check space and permissions of its folder, then try again",
    )
    .detail(format!("lake: {what}"))
    .caused_by(error)
}

/// A failure of a query plan or its execution.
pub(crate) fn plan(what: &str, error: DataFusionError) -> Error {
    match error.find_root() {
        DataFusionError::ResourcesExhausted(_) => Error::new(
            Code::StoreUnavailable,
            "查询所需内存超出数据湖的限额，请缩小查询范围或稍后重试",
            "the query needs more memory than the lake may use: narrow it or try again later",
        )
        .detail(format!("lake: {what}"))
        .caused_by(error),
        DataFusionError::ObjectStore(_) | DataFusionError::IoError(_) => unavailable(what, error),
        _ => Error::internal(format!("lake: {what}")).caused_by(error),
    }
}

/// A failure while writing Parquet.
pub(crate) fn parquet(error: parquet::errors::ParquetError) -> Error {
    Error::internal("lake: writing Parquet").caused_by(error)
}

/// A failure while building Arrow columns.
pub(crate) fn arrow(error: arrow::error::ArrowError) -> Error {
    Error::internal("lake: building columns").caused_by(error)
}
