//! Messages of the logical replication protocol (pgoutput, version 1), as the chapter "Logical Replication Message
//! Formats" of PostgreSQL's documentation lays them out. Transport, begin and commit are the client library's.

use bytes::{Buf, Bytes};
use model::{Error, Result};

/// One column value of a changed row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Datum {
    Null,
    /// A large value that did not change is not sent.
    Unchanged,
    Text(Bytes),
}

impl Datum {
    /// The text; `None` for null, unchanged, and bytes that are no UTF-8 (the session asks for UTF-8, so there are none).
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Datum::Text(bytes) => std::str::from_utf8(bytes).ok(),
            Datum::Null | Datum::Unchanged => None,
        }
    }
}

pub(super) type Tuple = Vec<Datum>;

/// A table as the log describes it before its first change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Relation {
    pub(super) id: u32,
    pub(super) place: String,
    /// `d` primary key, `f` whole row, `i` an index, `n` nothing.
    pub(super) identity: u8,
    pub(super) columns: Vec<RelationColumn>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RelationColumn {
    /// Part of the replica identity.
    pub(super) key: bool,
    pub(super) name: String,
    pub(super) type_id: u32,
    pub(super) modifier: i32,
}

/// What the old row was sent as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Old {
    Key(Tuple),
    Whole(Tuple),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Message {
    Relation(Relation),
    Insert {
        relation: u32,
        new: Tuple,
    },
    Update {
        relation: u32,
        old: Option<Old>,
        new: Tuple,
    },
    Delete {
        relation: u32,
        old: Old,
    },
    Truncate {
        relations: Vec<u32>,
    },
    /// Types and origins, which say nothing a row needs.
    Other,
}

/// Reads one message.
pub(super) fn message(mut data: Bytes) -> Result<Message> {
    let kind = byte(&mut data)?;
    Ok(match kind {
        b'R' => Message::Relation(relation(&mut data)?),
        b'I' => {
            let relation = int(&mut data)?;
            expect(&mut data, b'N')?;
            Message::Insert { relation, new: tuple(&mut data)? }
        }
        b'U' => {
            let relation = int(&mut data)?;
            let mut mark = byte(&mut data)?;
            let old = match mark {
                b'K' => Some(Old::Key(tuple(&mut data)?)),
                b'O' => Some(Old::Whole(tuple(&mut data)?)),
                _ => None,
            };
            if old.is_some() {
                mark = byte(&mut data)?;
            }
            if mark != b'N' {
                return Err(broken());
            }
            Message::Update { relation, old, new: tuple(&mut data)? }
        }
        b'D' => {
            let relation = int(&mut data)?;
            let old = match byte(&mut data)? {
                b'K' => Old::Key(tuple(&mut data)?),
                b'O' => Old::Whole(tuple(&mut data)?),
                _ => return Err(broken()),
            };
            Message::Delete { relation, old }
        }
        b'T' => {
            let count = int(&mut data)?;
            byte(&mut data)?;
            let relations = (0..count).map(|_| int(&mut data)).collect::<Result<_>>()?;
            Message::Truncate { relations }
        }
        b'Y' | b'O' | b'M' | b'B' | b'C' => Message::Other,
        other => {
            return Err(Error::internal(format!("rail: unknown message `{}`", char::from(other))));
        }
    })
}

fn broken() -> Error {
    Error::internal("rail: a message of the replication protocol is malformed")
}

fn byte(data: &mut Bytes) -> Result<u8> {
    data.try_get_u8().map_err(|_| broken())
}

fn int(data: &mut Bytes) -> Result<u32> {
    data.try_get_u32().map_err(|_| broken())
}

fn short(data: &mut Bytes) -> Result<u16> {
    data.try_get_u16().map_err(|_| broken())
}

fn expect(data: &mut Bytes, mark: u8) -> Result<()> {
    if byte(data)? == mark { Ok(()) } else { Err(broken()) }
}

fn word(data: &mut Bytes) -> Result<String> {
    let end = data.iter().position(|b| *b == 0).ok_or_else(broken)?;
    let text = data.split_to(end);
    data.advance(1);
    String::from_utf8(text.to_vec()).map_err(|_| broken())
}

fn relation(data: &mut Bytes) -> Result<Relation> {
    let id = int(data)?;
    let (schema, table) = (word(data)?, word(data)?);
    // The catalogue's own schema is sent as nothing.
    let schema = if schema.is_empty() { "pg_catalog".to_owned() } else { schema };
    let identity = byte(data)?;
    let columns = (0..short(data)?)
        .map(|_| {
            let key = byte(data)? & 1 == 1;
            let name = word(data)?;
            let type_id = int(data)?;
            let modifier = data.try_get_i32().map_err(|_| broken())?;
            Ok(RelationColumn { key, name, type_id, modifier })
        })
        .collect::<Result<_>>()?;
    Ok(Relation { id, place: format!("{schema}.{table}"), identity, columns })
}

fn tuple(data: &mut Bytes) -> Result<Tuple> {
    (0..short(data)?)
        .map(|_| {
            Ok(match byte(data)? {
                b'n' => Datum::Null,
                b'u' => Datum::Unchanged,
                b't' => {
                    let length = usize::try_from(int(data)?).map_err(|_| broken())?;
                    if length > data.remaining() {
                        return Err(broken());
                    }
                    Datum::Text(data.split_to(length))
                }
                // Binary values are never asked for.
                _ => return Err(broken()),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Vec<u8> {
        let length = u32::try_from(text.len()).unwrap().to_be_bytes();
        [&b"t"[..], &length, text.as_bytes()].concat()
    }

    fn row(cells: &[Vec<u8>]) -> Vec<u8> {
        let count = u16::try_from(cells.len()).unwrap().to_be_bytes();
        [&count[..], &cells.concat()].concat()
    }

    #[test]
    fn changes_are_read_and_damage_is_told() {
        let (one, gap) = (text("1"), b"u".to_vec());
        let update =
            [&b"U\0\0\0\x07K"[..], &row(&[one, b"n".to_vec()]), b"N", &row(&[text("2"), gap])]
                .concat();
        let read = message(Bytes::from(update.clone())).unwrap();
        let cell = |t: &'static str| Datum::Text(Bytes::from_static(t.as_bytes()));
        assert_eq!(
            read,
            Message::Update {
                relation: 7,
                old: Some(Old::Key(vec![cell("1"), Datum::Null])),
                new: vec![cell("2"), Datum::Unchanged],
            }
        );
        for end in 0..update.len() {
            assert!(message(Bytes::copy_from_slice(&update[..end])).is_err(), "{end}");
        }
        let relation =
            [&b"R\0\0\0\x07public\0t\0d\0\x01\x01id\0\0\0\0\x17\xff\xff\xff\xff"[..]].concat();
        let Message::Relation(relation) = message(Bytes::from(relation)).unwrap() else {
            panic!("no relation")
        };
        assert_eq!((relation.place.as_str(), relation.identity), ("public.t", b'd'));
        assert_eq!(relation.columns[0].name, "id");
        assert!(relation.columns[0].key && relation.columns[0].type_id == 23);
        let truncate = b"T\0\0\0\x02\0\0\0\0\x07\0\0\0\x08";
        assert_eq!(
            message(Bytes::from_static(truncate)).unwrap(),
            Message::Truncate { relations: vec![7, 8] }
        );
    }
}
