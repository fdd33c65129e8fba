//! `bench load`: collecting a large file.

use super::Options;
use crate::Outcome;

pub(crate) fn run(_options: &Options) -> Outcome {
    Err("later".into())
}
