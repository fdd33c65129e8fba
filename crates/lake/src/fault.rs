//! Errors of the engines below, turned into the house's one error: what the caller may read, and the cause for the log.

use datafusion::error::DataFusionError;
use deltalake_core::DeltaTableError;
use deltalake_core::kernel::transaction::{CommitConflictError, TransactionError};
use model::{Code, Error};

/// A failure of the Delta log or the object store while doing `what` (operator's words).
pub(crate) fn delta(what: &str, error: DeltaTableError) -> Error {
    match error {
        DeltaTableError::ObjectStore { .. }
        | DeltaTableError::Io { .. }
        | DeltaTableError::Transaction {
            source: TransactionError::ObjectStore { .. } | TransactionError::LogStoreError { .. },
        } => unavailable(what, error),
        other => Error::internal(format!("lake: {what}")).caused_by(other),
    }
}

/// A commit that did not take place: `Stale` when another process wrote the table meanwhile (trying again helps),
/// else what really failed.
pub(crate) fn commit(error: DeltaTableError) -> Error {
    if !outrun(&error) {
        return delta("committing", error);
    }
    Error::new(
        Code::Stale,
        "该数据表正被其他进程写入，本次写入未生效，请重试",
        "another process wrote this table meanwhile; nothing of this was written, try again",
    )
    .caused_by(error)
}

/// Whether somebody else's commit came first.
fn outrun(error: &DeltaTableError) -> bool {
    use CommitConflictError as Conflict;
    match error {
        DeltaTableError::VersionAlreadyExists(_)
        | DeltaTableError::ObjectStore {
            source:
                object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. },
        } => true,
        DeltaTableError::Transaction { source } => match source {
            // We never retry a commit, so that the attempts are used up by the first commit of another.
            TransactionError::VersionAlreadyExists(_) | TransactionError::MaxCommitAttempts(_) => {
                true
            }
            TransactionError::CommitConflict(conflict) => matches!(
                conflict,
                Conflict::ConcurrentAppend
                    | Conflict::ConcurrentDeleteRead
                    | Conflict::ConcurrentDeleteDelete
                    | Conflict::MetadataChanged
                    | Conflict::ConcurrentTransaction
                    | Conflict::ProtocolChanged(_)
            ),
            _ => false,
        },
        _ => false,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_another_writer_makes_a_commit_stale() {
        let transaction = |source| DeltaTableError::Transaction { source };
        for theirs in [
            DeltaTableError::VersionAlreadyExists(3),
            transaction(TransactionError::MaxCommitAttempts(0)),
            transaction(TransactionError::CommitConflict(CommitConflictError::ConcurrentAppend)),
        ] {
            assert_eq!(commit(theirs).code(), Code::Stale);
        }
        let full =
            || object_store::Error::Generic { store: "disk", source: "no space left".into() };
        for storage in [
            DeltaTableError::ObjectStore { source: full() },
            DeltaTableError::Io { source: std::io::Error::other("no space left") },
            transaction(TransactionError::ObjectStore { source: full() }),
        ] {
            assert_eq!(commit(storage).code(), Code::StoreUnavailable);
        }
        let broken = transaction(TransactionError::CommitConflict(CommitConflictError::NoMetadata));
        assert_eq!(commit(broken).code(), Code::Internal);
        assert_eq!(commit(DeltaTableError::NotInitialized).code(), Code::Internal);
    }
}
