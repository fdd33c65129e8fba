//! The SQL door on threads of its own: a statement that takes all processors for minutes leaves the other doors theirs.

use std::io;

use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Serves until `stop`; statements still running are then ended.
pub(super) fn spawn(
    serving: &mut JoinSet<io::Result<()>>,
    door: lake::SqlDoor,
    listener: TcpListener,
    stop: CancellationToken,
) -> model::Result<()> {
    let failed = |e: io::Error| model::Error::internal("threads of the SQL door").caused_by(e);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .thread_name("sql")
        // Statements are planned one expression within the other; the system gives a page when it is touched.
        .thread_stack_size(32 << 20)
        .enable_all()
        .build()
        .map_err(failed)?;
    // A listener belongs to the threads that it was made on.
    let listener = listener.into_std().map_err(failed)?;
    let served = runtime.spawn(async move {
        let listener = TcpListener::from_std(listener)?;
        door.serve(listener, stop.cancelled_owned()).await;
        io::Result::Ok(())
    });
    serving.spawn(async move {
        let done = served.await.map_err(io::Error::other).and_then(|done| done);
        runtime.shutdown_background();
        done
    });
    Ok(())
}
