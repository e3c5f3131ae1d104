//! Why an object cannot be tied to its sources.

use std::{io, path::PathBuf};

/// What went wrong while computing or checking a stamp.
#[derive(Debug, thiserror::Error)]
pub enum StampError {
    /// An input could not be read.
    #[error("cannot read `{path}`")]
    Read {
        /// The file or directory, relative to the workspace root where possible.
        path: PathBuf,
        /// The reason given by the OS.
        #[source]
        source: io::Error,
    },
    /// The stamp lacks one of its lines.
    #[error("stamp has no `{field}` line")]
    MissingField {
        /// Name of the line.
        field: &'static str,
    },
    /// A package that the object is built from is not locked.
    #[error("package `{package}` is not in Cargo.lock")]
    NotLocked {
        /// Package name, with its version if the reference carried one.
        package: String,
    },
    /// The sources are not those that the object was built from.
    #[error("kernel sources changed since the object was built (recorded {recorded}, found {found})")]
    SourcesChanged {
        /// Hash in the stamp.
        recorded: String,
        /// Hash of the sources as they are.
        found: String,
    },
    /// The object is not the one that the stamp was written for.
    #[error("object is not the one its stamp names (recorded {recorded}, found {found})")]
    ObjectChanged {
        /// Hash in the stamp.
        recorded: String,
        /// Hash of the object as it is.
        found: String,
    },
}
