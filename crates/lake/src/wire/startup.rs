//! Who is it: SCRAM-SHA-256 over the protocol, or the key of a certificate that was shown by TLS. Without a proof nothing else is
//! answered.
//!
//! A certificate decides, as with PostgreSQL's method `cert`: who shows one enters by it or is refused (28000), and is not asked for
//! a password after that. So it tells nothing of who has a password. Who shows none is asked for the password.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use futures::{Sink, SinkExt};
use guard::scram::{self, Exchange, Verifier};
use model::Actor;
use pgwire::api::auth::{
    DefaultServerParameterProvider, StartupHandler, finish_authentication, protocol_negotiation,
    save_startup_parameters_to_metadata,
};
use pgwire::api::{ClientInfo, METADATA_USER, PgWireConnectionState};
use pgwire::error::{PgWireError, PgWireResult};
use pgwire::messages::startup::{Authentication, PasswordMessageFamily};
use pgwire::messages::{PgWireBackendMessage, PgWireFrontendMessage};
use pgwire::tokio::tokio_rustls::rustls::pki_types::{CertificateDer, UnixTime};
use policy::port::{SqlCaller, SqlDesk, SqlKnock, SqlRoom};

use super::catalogue::VERSION;
use super::handler::Connection;
use super::session::Session;
use super::words::{fatal, of_house};

/// How far somebody is.
#[derive(Debug, Default)]
pub(super) enum Phase {
    #[default]
    Outside,
    Named(SqlKnock),
    Proving(SqlKnock, Exchange),
    Inside,
}

#[async_trait]
impl StartupHandler for Connection {
    async fn on_startup<C>(
        &self,
        client: &mut C,
        message: PgWireFrontendMessage,
    ) -> PgWireResult<()>
    where
        C: ClientInfo + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let mut phase = self.phase.lock().await;
        match message {
            PgWireFrontendMessage::Startup(startup) => {
                protocol_negotiation(client, &startup).await?;
                save_startup_parameters_to_metadata(client, &startup);
                let here = client.socket_addr().ip().to_canonical().is_loopback();
                if self.door.tls() && !client.is_secure() && !here {
                    return Err(fatal(
                        "28000",
                        "请使用 TLS 连接（sslmode=require 或更高）",
                        "connect by TLS (sslmode=require or more)",
                    ));
                }
                let user = client.metadata().get(METADATA_USER).cloned().unwrap_or_default();
                let source = client.socket_addr().ip().to_canonical().to_string();
                if let Some(caller) = self.by_key(client, &user, &source).await? {
                    self.admit(client, caller, None).await?;
                    *phase = Phase::Inside;
                    return Ok(());
                }
                let knock = self.door.desk.knock(&user, &source).await;
                let knock = knock.map_err(|e| ending(of_house(&e)))?;
                *phase = Phase::Named(knock);
                client.set_state(PgWireConnectionState::AuthenticationInProgress);
                let ask = Authentication::SASL(vec![scram::MECHANISM.to_owned()]);
                client.send(PgWireBackendMessage::Authentication(ask)).await?;
            }
            PgWireFrontendMessage::PasswordMessageFamily(message) => {
                match std::mem::take(&mut *phase) {
                    Phase::Named(knock) => {
                        *phase = begin(client, knock, message).await?;
                    }
                    Phase::Proving(knock, exchange) => {
                        self.prove(client, knock, &exchange, message).await?;
                        *phase = Phase::Inside;
                    }
                    Phase::Outside | Phase::Inside => return Err(out_of_turn()),
                }
            }
            _ => return Err(out_of_turn()),
        }
        Ok(())
    }
}

async fn begin<C>(
    client: &mut C,
    knock: SqlKnock,
    message: PasswordMessageFamily,
) -> PgWireResult<Phase>
where
    C: ClientInfo + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
    C::Error: Debug,
    PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
{
    let first = message.into_sasl_initial_response().map_err(|_| out_of_turn())?;
    if first.auth_method != scram::MECHANISM {
        return Err(fatal("28000", "只支持 SCRAM-SHA-256", "SCRAM-SHA-256 only"));
    }
    let data = first.data.unwrap_or_default();
    let verifier = Verifier::from_text(&knock.verifier).map_err(|e| ending(of_house(&e)))?;
    let begun = Exchange::begin(verifier, &data);
    let (exchange, answer) = begun.map_err(|e| ending(of_house(&e)))?;
    let answer = Authentication::SASLContinue(answer.into());
    client.send(PgWireBackendMessage::Authentication(answer)).await?;
    Ok(Phase::Proving(knock, exchange))
}

impl Connection {
    async fn prove<C>(
        &self,
        client: &mut C,
        knock: SqlKnock,
        exchange: &Exchange,
        message: PasswordMessageFamily,
    ) -> PgWireResult<()>
    where
        C: ClientInfo + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let desk = &self.door.desk;
        let last = message.into_sasl_response().map_err(|_| out_of_turn())?;
        let proved = exchange.finish(&last.data).ok().flatten();
        let Some(answer) = proved.filter(|_| knock.who.is_some()) else {
            return Err(ending(of_house(&desk.turn_away(&knock).await)));
        };
        let caller = desk.enter(&knock).await.map_err(|e| ending(of_house(&e)))?;
        self.admit(client, caller, Some(Authentication::SASLFinal(answer.into()))).await
    }

    /// Who has shown a certificate, which must be theirs; `None`: none was shown.
    async fn by_key<C>(
        &self,
        client: &C,
        user: &str,
        source: &str,
    ) -> PgWireResult<Option<SqlCaller>>
    where
        C: ClientInfo + Send + Sync,
    {
        let Some(callers) = &self.door.callers else { return Ok(None) };
        let shown: Option<&[CertificateDer<'static>]> = client.client_certificates();
        let Some((chain, own)) = shown.and_then(|chain| Some((chain, chain.first()?))) else {
            return Ok(None);
        };
        let thumbprint = guard::hash::sha256_hex(own.as_ref());
        // The time by which the handshake of every door measures certificates.
        let fit = callers.until(chain, UnixTime::now());
        let entered = self.door.desk.enter_by_key(user, source, &thumbprint, fit).await;
        entered.map(Some).map_err(|e| ending(of_house(&e)))
    }

    /// Opens the session of somebody who has proved who they are; `last` is the last word of the proof, if it has one.
    async fn admit<C>(
        &self,
        client: &mut C,
        caller: SqlCaller,
        last: Option<Authentication>,
    ) -> PgWireResult<()>
    where
        C: ClientInfo + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let desk = &self.door.desk;
        let user = match &caller.actor {
            Actor::Application { key, .. } => key.clone(),
            other => other.id().to_owned(),
        };
        let seat = self.door.seat(caller.actor.id())?;
        let (places, memory) = (seat.places(), seat.memory());
        let room: Arc<dyn SqlRoom> = Arc::<dyn SqlDesk>::clone(desk);
        let session = Session::new(&self.door.lake, room, caller, &user, places, memory)
            .map_err(|e| ending(of_house(&e)))?;
        for (name, value) in client.metadata() {
            if matches!(name.as_str(), "user" | "database" | "options" | "replication") {
                continue;
            }
            // What a client wishes and may not set stays as it is, except the encoding: it would read other texts.
            if let Err(e) = session.settings.set(name, Some(value.clone()))
                && name == "client_encoding"
            {
                return Err(ending(e));
            }
        }
        session.look().await.map_err(ending)?;
        let parameters = parameters(&session, &user);
        self.open(session, seat);
        if let Some(last) = last {
            client.send(PgWireBackendMessage::Authentication(last)).await?;
        }
        let (pid, secret) = self.door.register(self, client.protocol_version())?;
        client.set_pid_and_secret_key(pid, secret);
        finish_authentication(client, &parameters).await
    }
}

fn parameters(session: &Session, user: &str) -> DefaultServerParameterProvider {
    let get = |name: &str| session.settings.get(name).unwrap_or_default();
    let mut told = DefaultServerParameterProvider::default();
    VERSION.clone_into(&mut told.server_version);
    told.is_superuser = false;
    told.default_transaction_read_only = true;
    told.time_zone = get("timezone");
    told.date_style = get("datestyle");
    told.interval_style = get("intervalstyle");
    told.application_name = Some(get("application_name"));
    told.session_authorization = Some(user.to_owned());
    told
}

fn out_of_turn() -> PgWireError {
    fatal("08P01", "认证消息顺序有误", "a message out of turn while signing in")
}

/// Whatever goes wrong while signing in ends the connection.
fn ending(error: PgWireError) -> PgWireError {
    match error {
        PgWireError::UserError(mut info) => {
            "FATAL".clone_into(&mut info.severity);
            PgWireError::UserError(info)
        }
        other => other,
    }
}
