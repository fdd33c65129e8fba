//! What the functions of one session have made and somebody still holds. A column lives as long as whoever was handed it; so the
//! room is given back without anybody telling it.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use arrow::array::{Array, ArrayRef};
use datafusion::common::{DataFusionError, Result as PlanResult};
use datafusion::logical_expr::ColumnarValue;

use super::growth::{self, Growth, Need};
use super::{CALL, UNDER_WAY};
use crate::transform::words::Refusal;

/// The room of a session.
#[derive(Debug)]
pub(crate) struct Room {
    most: usize,
    held: Mutex<Vec<(Weak<dyn Array>, usize)>>,
}

impl Room {
    /// Room beside a pool of so many bytes: what sorts and joins hold of columns is counted there, too.
    pub(crate) fn beside(pool: usize) -> Arc<Self> {
        Arc::new(Self { most: pool.saturating_add(UNDER_WAY), held: Mutex::default() })
    }

    /// Bytes that may still be made.
    fn left(&self) -> usize {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.retain(|(column, _)| column.strong_count() > 0);
        let sum = held.iter().map(|(_, bytes)| bytes).sum::<usize>();
        self.most.saturating_sub(sum)
    }

    /// Refuses a call that would make too much. Nothing is made yet.
    pub(super) fn ask(&self, name: &str, growth: Growth, need: Need) -> PlanResult<()> {
        if need.longest > growth.longest() as u128 {
            return Err(long(name, need.longest, growth.longest()));
        }
        let most = self.left().min(CALL);
        if need.all > most as u128 {
            return Err(much(name, need.all, most));
        }
        Ok(())
    }

    /// Counts what a call has made; refuses what came out larger than it may.
    pub(super) fn take(&self, name: &str, most: usize, made: &ColumnarValue) -> PlanResult<()> {
        let column = match made {
            ColumnarValue::Scalar(value) => {
                let bytes = growth::weigh_scalar(value);
                return match bytes > most {
                    true => Err(long(name, bytes as u128, most)),
                    false => Ok(()),
                };
            }
            ColumnarValue::Array(column) => column,
        };
        let bytes = growth::weigh(column);
        let longest = if bytes > most { growth::longest(column) } else { 0 };
        if longest > most {
            return Err(long(name, longest as u128, most));
        }
        let room = self.left().min(CALL);
        if bytes > room {
            return Err(much(name, bytes as u128, room));
        }
        self.keep(column, bytes);
        Ok(())
    }

    fn keep(&self, column: &ArrayRef, bytes: usize) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.push((Arc::downgrade(column), bytes));
    }
}

fn long(name: &str, bytes: u128, most: usize) -> DataFusionError {
    Refusal {
        zh: format!(
            "函数 `{name}` 的一个值约 {bytes} 字节，至多 {most} 字节：请减小次数、长度或范围；逐行的序列请写 FROM generate_series(…)"
        ),
        en: format!(
            "a value of the function `{name}` would have about {bytes} bytes, at most {most} are made: ask for fewer or shorter ones; a series row by row is FROM generate_series(…)"
        ),
    }
    .into()
}

fn much(name: &str, bytes: u128, most: usize) -> DataFusionError {
    Refusal {
        zh: format!(
            "函数 `{name}` 一次要生成约 {bytes} 字节，现可生成 {most} 字节：请先筛选、截取（left、substr）或减少列"
        ),
        en: format!(
            "the function `{name}` would make about {bytes} bytes at once, {most} may be made now: filter first, cut values (left, substr) or ask for fewer columns"
        ),
    }
    .into()
}
