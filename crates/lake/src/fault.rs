//! Errors of the engines below, turned into the house's one error: what the caller may read, and the cause for the log.

use arrow::error::ArrowError;
use datafusion::error::DataFusionError;
use deltalake_core::DeltaTableError;
use deltalake_core::kernel::transaction::{CommitConflictError, TransactionError};
use model::{Code, Error};
use parquet::errors::ParquetError;

use crate::transform::words::root;

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

/// The lake's folder or bucket itself is out of reach.
pub(crate) fn gone(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::new(
        Code::StoreUnavailable,
        "数据湖目录无法访问，请检查磁盘、挂载与权限",
        "the lake's folder cannot be reached: check disk, mount and permissions",
    )
    .caused_by(cause)
}

/// Data files of a table that its log names and that are not there, or cannot be read. Without them there is no answer: rows that are
/// left out look like rows that never were.
pub(crate) fn unread(code: &str) -> Error {
    Error::new(
        Code::StoreUnavailable,
        format!(
            "数据表 `{code}` 的数据文件缺失或无法读取，本次读取未完成；请稍后重试，如持续出现请检查数据湖存储"
        ),
        format!(
            "data files of the table `{code}` are missing or cannot be read, so that it was not read to its end: try again later; if it lasts, check the lake's storage"
        ),
    )
}

/// A failure while rows of the table `code` are read: one of its files is told by the table's name.
pub(crate) fn reading(code: &str, what: &str, error: DataFusionError) -> Error {
    if known(&error).is_none() && of_file(&error) {
        return unread(code).detail(format!("lake: {what}")).caused_by(error);
    }
    plan(what, error)
}

/// The same on its way through a plan, which may read other tables, too.
pub(crate) fn within(code: &str, error: DataFusionError) -> DataFusionError {
    if known(&error).is_none() && of_file(&error) {
        return DataFusionError::External(Box::new(reading(code, "reading files", error)));
    }
    error
}

/// An error of the house that went through a plan.
fn known(error: &DataFusionError) -> Option<&Error> {
    match root(error) {
        DataFusionError::External(cause) => cause.downcast_ref::<Error>(),
        _ => None,
    }
}

/// Whether a file could not be read; what a condition on its rows failed with comes out of the same reader.
fn of_file(error: &DataFusionError) -> bool {
    match error.find_root() {
        DataFusionError::ObjectStore(_) => true,
        DataFusionError::ParquetError(cause) => match cause.as_ref() {
            ParquetError::External(inner) => !inner.is::<ArrowError>(),
            ParquetError::ArrowError(_) => false,
            _ => true,
        },
        DataFusionError::ArrowError(cause, _) => {
            matches!(cause.as_ref(), ArrowError::ParquetError(_))
        }
        _ => false,
    }
}

/// A failure of a query plan or its execution. What the house itself said inside the plan is said as it was.
pub(crate) fn plan(what: &str, error: DataFusionError) -> Error {
    let told = known(&error).map(|said| {
        Error::new(said.code(), said.zh(), said.en())
            .with_reasons(said.reasons().to_vec())
            .detail(format!("lake: {what}: {}", said.operator_text()))
    });
    if let Some(told) = told {
        return told.caused_by(error);
    }
    if of_file(&error) {
        return unavailable(what, error);
    }
    match error.find_root() {
        DataFusionError::ResourcesExhausted(_) => Error::new(
            Code::StoreUnavailable,
            "查询所需内存超出数据湖的限额，请缩小查询范围或稍后重试",
            "the query needs more memory than the lake may use: narrow it or try again later",
        )
        .detail(format!("lake: {what}"))
        .caused_by(error),
        DataFusionError::IoError(_) => unavailable(what, error),
        _ => Error::internal(format!("lake: {what}")).caused_by(error),
    }
}

/// A failure while writing Parquet.
pub(crate) fn parquet(error: ParquetError) -> Error {
    Error::internal("lake: writing Parquet").caused_by(error)
}

/// A failure while building Arrow columns.
pub(crate) fn arrow(error: ArrowError) -> Error {
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

    #[test]
    fn a_file_is_told_by_its_table_and_a_condition_by_what_it_said() {
        let path = || "folder/lake/person/a.parquet".to_owned();
        let missing = || object_store::Error::NotFound { path: path(), source: "gone".into() };
        for files in [
            DataFusionError::ObjectStore(Box::new(missing())),
            DataFusionError::ParquetError(Box::new(ParquetError::External(Box::new(missing())))),
            DataFusionError::ParquetError(Box::new(ParquetError::General(path()))),
            DataFusionError::ObjectStore(Box::new(missing())).context("while counting"),
        ] {
            let told = plan("counting", within("person", files));
            assert_eq!(told.code(), Code::StoreUnavailable, "{told:?}");
            assert!(told.zh().contains("`person`") && told.en().contains("`person`"), "{told:?}");
            assert!(!told.en().contains("folder"), "{told:?}");
            assert!(
                told.operator_text().contains("gone") || told.operator_text().contains("a.parq")
            );
        }
        // A condition that the reader was given: what it failed with is no fault of a file.
        let condition = ArrowError::DivideByZero;
        let condition = ParquetError::External(Box::new(condition));
        let other =
            reading("person", "reading", DataFusionError::ParquetError(Box::new(condition)));
        assert_eq!(other.code(), Code::Internal);
        // The house's own words stay, whatever goes on around them.
        let ours = Error::new(Code::RateLimited, "慢一点", "slower").with_reasons(vec!["r".into()]);
        let ours = DataFusionError::External(Box::new(ours)).context("planning");
        let told = reading("person", "reading", within("person", ours));
        assert_eq!((told.code(), told.zh(), told.en()), (Code::RateLimited, "慢一点", "slower"));
        assert_eq!(told.reasons(), ["r"]);
    }
}
