//! The Model Context Protocol for assistants (streamable HTTP, without sessions, so that any process answers any call): find open data,
//! learn what its columns mean, read rows within what is open. `tools` names the tools and runs them.

mod tools;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use model::Op;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, Implementation, ListToolsResult,
    PaginatedRequestParams, ServerCapabilities, ServerConfig,
};
use rmcp::service::RequestContext;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ErrorData, RoleServer, ServerHandler};

use crate::caller::anybody;
use crate::{Door, answer};

pub(crate) fn router() -> Router<Door> {
    Router::new().route("/mcp", post(call))
}

/// Largest message in bytes.
const LARGEST: usize = 256 * 1024;

async fn call(State(door): State<Door>, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    let op = match anybody(&parts, &door).await {
        Ok(op) => op,
        Err(refusal) => return refusal.into_response(),
    };
    parts.extensions.insert(op.clone());
    // The caller is nobody whatever it is called by: neither host nor origin opens anything.
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .with_max_request_body_bytes(LARGEST)
        .disable_allowed_hosts();
    let server = move || Ok(Server { door: door.clone() });
    let service =
        StreamableHttpService::new(server, Arc::new(NeverSessionManager::default()), config);
    let response = service.handle(Request::from_parts(parts, body)).await;
    answer::told_by(response.map(Body::new), &op)
}

/// What answers one message.
struct Server {
    door: Door,
}

const INSTRUCTIONS: &str = "浙江省公共数据开放目录。先用 search_datasets 找数据集，用 list_items 看字段含义，再用 query_rows 取行；queryable 为 true 的数据集可直接取行，\
                            其余受限开放，须在平台申请。/ Open public data of a province. Find data sets with search_datasets, learn the columns with \
                            list_items, then read rows with query_rows. Data sets with queryable = true can be read at once; others are open under \
                            conditions and must be applied for on the platform.";

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(Implementation::new("qiantang", env!("CARGO_PKG_VERSION")))
            .with_instructions(INSTRUCTIONS)
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(tools::all()))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let parts = context.extensions.get::<Parts>();
        let Some(op) = parts.and_then(|parts| parts.extensions.get::<Op>()) else {
            return Err(ErrorData::internal_error("the call has no caller", None));
        };
        let arguments = request.arguments.unwrap_or_default();
        let running = Box::pin(tools::run(&self.door, op, &request.name, arguments));
        match tokio::time::timeout(crate::rows::LONGEST, running).await {
            Ok(result) => result.map(Into::into),
            Err(_) => {
                let error = crate::rows::too_slow(&self.door, op, &request.name).await;
                Ok(tools::refused(&format!("{} / {}", error.zh(), error.en())).into())
            }
        }
    }
}
