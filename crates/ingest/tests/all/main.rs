//! Tests of the channels as their users see them: files in, what they are and what becomes of their records out.

#[cfg(test)]
mod bench;
#[cfg(test)]
mod corpus;
#[cfg(test)]
mod databases;
#[cfg(test)]
mod dialects;
#[cfg(test)]
mod feeds;
#[cfg(test)]
mod making;
#[cfg(test)]
mod reading;
#[cfg(test)]
mod support;
#[cfg(all(test, feature = "kafka"))]
mod topics;
