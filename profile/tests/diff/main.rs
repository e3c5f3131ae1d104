//! Two sides of profiles: what is found, what is not, and how often chance is taken for a change.

mod changes;
mod drawing;
mod made;
mod simulation;
