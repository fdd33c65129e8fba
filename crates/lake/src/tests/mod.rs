//! The lake against itself: real folders, real Delta tables, small and middling parcels.

mod compacting;
mod entries;
mod functions;
mod landing;
mod merging;
mod releasing;
mod transforming;
mod types;
