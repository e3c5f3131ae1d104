//! Another reader of the collector's files: ClickHouse's engine, as a package of Python.

use std::path::PathBuf;

use anyhow::Result;

use super::python_packages;
use crate::shell::Workspace;

/// What it says to need besides is for tables of Python; 300 MB that nobody asks it for.
const REQUIREMENTS: [&str; 3] = ["--no-deps", "chdb==4.4.0", "chdb-core==26.9.0"];
/// A directory for each set of versions.
const DIR: &str = "chdb-4.4.0";
const PART: &str = "chdb/__init__.py";

/// Fetches it once for all checkouts; a file of it in its directory.
pub(crate) fn find(workspace: &Workspace) -> Result<PathBuf> {
    python_packages(workspace, &REQUIREMENTS, DIR, PART)
}
