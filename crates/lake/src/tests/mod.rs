//! The lake against itself: real folders, real Delta tables, small and middling parcels.

mod changing;
mod compacting;
mod entries;
mod functions;
mod landing;
mod merging;
mod missing;
mod pieces;
mod releasing;
mod sharing;
mod transforming;
mod types;
