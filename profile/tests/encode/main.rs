//! What the encoders write: goldens of one small profile, and properties of any.

mod fixture;
mod golden;
mod hostile;
mod otlp;
mod pprof;
