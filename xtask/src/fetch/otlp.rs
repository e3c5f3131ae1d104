//! What a receiver of OTLP is made of in Python: gRPC and OpenTelemetry's own stubs.

use std::path::PathBuf;

use anyhow::Result;

use super::python_packages;
use crate::shell::Workspace;

/// The versions that tests were written against: the stubs speak the protocol of the agent's messages.
const REQUIREMENTS: [&str; 3] =
    ["opentelemetry-proto==1.45.2", "grpcio==1.85.1", "googleapis-common-protos==1.76.0"];
/// A directory for each set of versions.
const DIR: &str = "otlp-1.45.2";
const PART: &str = "grpc/__init__.py";

/// Fetches them once for all checkouts; a file of gRPC in their directory.
pub(crate) fn find(workspace: &Workspace) -> Result<PathBuf> {
    python_packages(workspace, &REQUIREMENTS, DIR, PART)
}
