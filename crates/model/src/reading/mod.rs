//! Reading of texts: what people write into cells, as values, by one set of rules for every channel.
//!
//! The intake reads files and answers of databases with it, the transformation of a pipeline its results: the same
//! text means the same everywhere, and a value that does not fit is refused with the same words. Pure functions.

pub mod cell;
pub mod moment;
pub mod number;
pub mod promise;
pub mod typing;
pub mod why;
