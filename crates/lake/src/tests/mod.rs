//! The lake against itself: real folders, real Delta tables, small and middling parcels.

mod changing;
mod compacting;
mod entries;
mod landing;
mod merging;
mod releasing;
mod types;
