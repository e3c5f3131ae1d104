//! Stacks of real programs, recorded once and walked for ever after: registers, the words of stack that the walk
//! reads, the files it passes through, and their rules at the addresses it visits. No program is needed to walk
//! them again.
//!
//! `data/NAME.capture` is a recording, `data/NAME.frames` beside it the frames that another unwinder found at the
//! same moment: DWARF's own evaluation of the whole description ([`opinion`]), with all registers, over the
//! program's memory. `cargo xtask capture` makes both.

pub mod capture;
pub mod live;
pub mod opinion;
pub mod trace;
pub mod walk;
