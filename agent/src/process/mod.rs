//! Which process was which image, with which mappings, at which time. Pure: events in, state and changes out.

mod files;
mod image;
pub mod plan;
mod processes;

pub use files::{FileId, FileKey, Files};
pub use image::{Backing, Image, ImageId, Mapping, Mappings};
pub use processes::{Effect, Interest, Processes, Snapshot};
