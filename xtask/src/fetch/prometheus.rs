//! Prometheus' own client for Python, for its parsers.

use std::path::PathBuf;

use anyhow::Result;

use super::python_packages;
use crate::shell::Workspace;

/// The version that tests were written against.
const REQUIREMENT: &str = "prometheus-client==0.26.0";
const DIR: &str = "prometheus-client-0.26.0";
const PART: &str = "prometheus_client/parser.py";

/// Fetches it once for all checkouts; a file of it in its directory.
pub(crate) fn find(workspace: &Workspace) -> Result<PathBuf> {
    python_packages(workspace, &[REQUIREMENT], DIR, PART)
}
