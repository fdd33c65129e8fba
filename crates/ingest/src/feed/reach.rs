//! Where an outgoing connection may go: the one place that resolves a name before something is sent to it.

use std::net::SocketAddr;

use model::Result;

use super::gone;

/// Addresses of a host, resolved once: the connection goes to these and no others, so that a name that changes its
/// meaning between looking and connecting leads nowhere else.
pub(crate) async fn reach(host: &str, port: u16) -> Result<Vec<SocketAddr>> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let found =
        tokio::time::timeout(crate::query::PATIENCE, tokio::net::lookup_host((bare, port))).await;
    let unknown = || {
        gone(
            format!("无法解析主机名 `{bare}`，请检查地址与域名解析"),
            format!("the host `{bare}` cannot be resolved: check the address and name resolution"),
        )
    };
    let found: Vec<SocketAddr> = match found {
        Ok(Ok(found)) => found.collect(),
        Ok(Err(e)) => return Err(unknown().caused_by(e)),
        Err(_) => return Err(unknown().detail("timed out")),
    };
    if found.is_empty() {
        return Err(unknown());
    }
    Ok(found)
}
