//! Growth by stack: over time in a bounded [`Timeline`], whether it goes on ([`Course`]), and the [`GrowthReport`] on
//! the stretch of time that a verdict rests on. [`top_stacks`] is what every report on growth goes by.

mod course;
mod report;
mod stacks;
mod text;
mod timeline;

pub use course::{Course, course};
pub use report::{GrownStack, GrowthReport};
pub use stacks::{TopFrame, TopStack, top_stacks};
pub(crate) use text::{largest, stack_text, write_growth};
pub use timeline::{Slice, Timeline};
