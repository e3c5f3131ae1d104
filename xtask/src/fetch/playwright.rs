//! What reads a page as people do: Playwright for Python, which drives Debian's Chromium.

use std::path::PathBuf;

use anyhow::{Context as _, Result};

use super::python_packages;
use crate::shell::{Workspace, find_program};

/// Has a Node.js of its own in it, and no browser.
const REQUIREMENTS: [&str; 1] = ["playwright==1.65.2"];
/// A directory for each version.
const DIR: &str = "playwright-1.65.2";
const PART: &str = "playwright/__init__.py";

/// Fetches it once for all checkouts; a file of it in its directory.
pub(crate) fn find(workspace: &Workspace) -> Result<PathBuf> {
    find_program("chromium").context("no chromium to read the page with")?;
    python_packages(workspace, &REQUIREMENTS, DIR, PART)
}
