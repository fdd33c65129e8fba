//! Publication and slot: what makes the source keep its log for us, and from where.

use model::rail::RailBasis;
use model::{Error, Result};
use pgwire_replication::ReplicationClient;
use policy::port::{RailAddress, RailBinding, RailSlot, SlotState};

use super::place::{self, Session, cell, literal, quoted, refused, table};

/// The state of the slot and of the log behind it.
pub(super) async fn look(at: &RailAddress) -> Result<RailSlot> {
    look_by(&Session::open(at).await?, at).await
}

pub(super) async fn look_by(session: &Session, at: &RailAddress) -> Result<RailSlot> {
    let rows = session
        .ask(&format!(
            "SELECT (SELECT system_identifier FROM pg_control_system()),
               lpad(to_hex(pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint), 16, '0'),
               s.plugin, s.slot_type, s.database = current_database(), s.active_pid, s.wal_status,
               lpad(to_hex(pg_wal_lsn_diff(s.confirmed_flush_lsn, '0/0')::bigint), 16, '0'),
               greatest(pg_wal_lsn_diff(pg_current_wal_lsn(), s.restart_lsn), 0)::bigint
             FROM (SELECT 1) one LEFT JOIN pg_replication_slots s ON s.slot_name = {}",
            literal(&at.slot)
        ))
        .await?;
    let row = rows.first().ok_or_else(|| Error::internal("rail: no answer about the slot"))?;
    let state = match (cell(row, 2), cell(row, 3), cell(row, 4), cell(row, 5), cell(row, 6)) {
        ("", "", ..) => SlotState::Missing,
        ("pgoutput", "logical", "t", _, "lost") => SlotState::Lost("wal_status = lost".into()),
        ("pgoutput", "logical", "t", "", _) => SlotState::Ready,
        ("pgoutput", "logical", "t", pid, _) => SlotState::Busy(pid.to_owned()),
        (plugin, kind, ..) => {
            return Err(refused(&format!(
                "slot {} is {kind} {plugin} of another database, a logical pgoutput slot of this one is wanted",
                at.slot
            )));
        }
    };
    Ok(RailSlot {
        state,
        system: cell(row, 0).to_owned(),
        head: cell(row, 1).to_ascii_uppercase(),
        confirmed: cell(row, 7).to_ascii_uppercase(),
        held_bytes: cell(row, 8).parse().unwrap_or(0),
        basis: RailBasis::Slot,
        // A slot and its positions are one server's.
        heir: false,
    })
}

/// Makes the publication hold these tables.
pub(super) async fn publish(
    session: &Session,
    at: &RailAddress,
    tables: &[RailBinding],
) -> Result<()> {
    let name = literal(&at.publication);
    let present = session
        .ask(&format!(
            "SELECT p.puballtables::text, t.schemaname || '.' || t.tablename
             FROM pg_publication p LEFT JOIN pg_publication_tables t ON t.pubname = p.pubname
             WHERE p.pubname = {name}"
        ))
        .await?;
    let all = present.first().is_some_and(|row| cell(row, 0) == "true");
    let missing: Vec<&str> = tables
        .iter()
        .map(|t| t.place.as_str())
        .filter(|place| !present.iter().any(|row| cell(row, 1) == *place))
        .collect();
    let list = |places: &[&str]| places.iter().map(|p| table(p)).collect::<Vec<_>>().join(", ");
    if at.given {
        if present.is_empty() {
            return Err(refused(&format!("there is no publication {}", at.publication)));
        }
        if !all && !missing.is_empty() {
            return Err(refused(&format!(
                "publication {} does not hold {}",
                at.publication,
                missing.join(", ")
            )));
        }
        return Ok(());
    }
    let publication = quoted(&at.publication);
    if present.is_empty() {
        let places: Vec<&str> = tables.iter().map(|t| t.place.as_str()).collect();
        return session
            .tell(&format!(
                "CREATE PUBLICATION {publication} FOR TABLE {} WITH (publish_via_partition_root = true)",
                list(&places)
            ))
            .await;
    }
    if !all && !missing.is_empty() {
        return session
            .tell(&format!("ALTER PUBLICATION {publication} ADD TABLE {}", list(&missing)))
            .await;
    }
    Ok(())
}

/// A slot just made: from where it reads, and the snapshot that fits it as long as the session stays.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) start: u64,
    pub(super) snapshot: String,
}

pub(super) async fn make(log: &mut ReplicationClient, at: &RailAddress) -> Result<Made> {
    let sql =
        format!("CREATE_REPLICATION_SLOT {} LOGICAL pgoutput EXPORT_SNAPSHOT", quoted(&at.slot));
    let rows = log.simple_query(&sql).await.map_err(place::log_failed)?;
    let text = |at: usize| {
        let cell = rows.first().and_then(|row| row.get(at)).cloned().flatten();
        cell.and_then(|bytes| String::from_utf8(bytes.to_vec()).ok()).unwrap_or_default()
    };
    let start = pgwire_replication::Lsn::parse(&text(1))
        .map_err(|e| Error::internal("rail: a slot without a position").caused_by(e))?;
    Ok(Made { start: start.as_u64(), snapshot: text(2) })
}

/// Gives the slot up (ending a session that still reads from it), and the publication when `whole`.
pub(super) async fn release(at: &RailAddress, whole: bool) -> Result<()> {
    if at.given {
        return Ok(());
    }
    let session = Session::open(at).await?;
    let slot = literal(&at.slot);
    session
        .ask(&format!(
            "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots
             WHERE slot_name = {slot} AND active_pid IS NOT NULL"
        ))
        .await?;
    let mut tries = 0;
    loop {
        let dropped = session
            .ask(&format!(
                "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = {slot}"
            ))
            .await;
        match dropped {
            Ok(_) => break,
            // The session that held it is still ending.
            Err(error) if tries >= 20 => return Err(error),
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(100)).await,
        }
        tries += 1;
    }
    if whole {
        let publication = quoted(&at.publication);
        session.tell(&format!("DROP PUBLICATION IF EXISTS {publication}")).await?;
    }
    Ok(())
}
