//! An error in one line.

use std::{error::Error, iter::successors};

/// An error with what led to it.
pub(crate) fn causes(error: &dyn Error) -> String {
    let chain = successors(Some(error), |&error| error.source());
    chain.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
