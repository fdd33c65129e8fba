//! Tests of the channels as their users see them: files in, what they are and what becomes of their records out.

mod bench;
mod corpus;
mod databases;
mod dialects;
mod making;
mod reading;
mod support;
