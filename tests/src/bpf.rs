//! What the kernel holds of BPF: programs and maps, by ID, and whose they are.
//!
//! Other agents may run on this host, so what is left of ours is told by what no process holds.

use std::{collections::BTreeSet, fs, process::Command};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::{paths, wait};

/// IDs of programs and maps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Objects {
    /// Programs.
    pub programs: BTreeSet<u64>,
    /// Maps.
    pub maps: BTreeSet<u64>,
    /// Attachments, counted.
    pub n_links: usize,
}

impl Objects {
    /// All there are.
    ///
    /// # Errors
    /// If bpftool is missing or fails.
    pub fn all() -> Result<Self> {
        Ok(Self { programs: listed("prog")?, maps: listed("map")?, n_links: 0 })
    }

    /// Those that a process has open.
    #[must_use]
    pub fn held_by(pid: u32) -> Self {
        let mut objects = Self::default();
        for entry in fs::read_dir(format!("/proc/{pid}/fdinfo")).into_iter().flatten().flatten() {
            let text = fs::read_to_string(entry.path()).unwrap_or_default();
            let is_link = text.contains("link_id:");
            objects.n_links += usize::from(is_link);
            for line in text.lines() {
                let id = |prefix| line.strip_prefix(prefix)?.trim().parse::<u64>().ok();
                objects.programs.extend(id("prog_id:"));
                objects.maps.extend(id("map_id:"));
            }
        }
        objects
    }

    /// Whether a process has a program attached to a raw tracepoint of this name.
    #[must_use]
    pub fn has_link_to(pid: u32, tracepoint: &str) -> bool {
        let entries = fs::read_dir(format!("/proc/{pid}/fdinfo")).into_iter().flatten().flatten();
        let texts = entries.map(|entry| fs::read_to_string(entry.path()).unwrap_or_default());
        texts.into_iter().any(|text| {
            text.lines().any(|line| line.strip_prefix("tp_name:").is_some_and(|it| it.trim() == tracepoint))
        })
    }

    /// Kernel memory of the maps that a process has open, as the kernel says it.
    #[must_use]
    pub fn map_bytes(pid: u32) -> u64 {
        let mut maps = std::collections::BTreeMap::new();
        for entry in fs::read_dir(format!("/proc/{pid}/fdinfo")).into_iter().flatten().flatten() {
            let text = fs::read_to_string(entry.path()).unwrap_or_default();
            let field =
                |name| text.lines().find_map(|line| line.strip_prefix(name))?.trim().parse::<u64>().ok();
            // A map can be open more than once.
            maps.extend(field("map_id:").zip(field("memlock:")));
        }
        maps.values().sum()
    }

    fn held_by_anyone() -> Self {
        let mut objects = Self::default();
        for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            let held = Self::held_by(pid);
            objects.programs.extend(held.programs);
            objects.maps.extend(held.maps);
        }
        objects
    }

    /// Waits until none of these is in the kernel: it frees objects a grace period after their last reference has gone.
    ///
    /// # Errors
    /// If one still is, after all that time.
    pub fn wait_until_gone(&self) -> Result<()> {
        let mut left = (Vec::new(), Vec::new());
        let gone = wait::until("programs and maps are gone", wait::PATIENCE, || {
            let all = Self::all()?;
            left.0 = self.programs.intersection(&all.programs).copied().collect();
            left.1 = self.maps.intersection(&all.maps).copied().collect();
            Ok((left.0.is_empty() && left.1.is_empty()).then_some(()))
        });
        gone.with_context(|| format!("left in the kernel: programs {:?}, maps {:?}", left.0, left.1))
    }

    /// Fails if, since `self` was taken, programs or maps have come that no process holds.
    ///
    /// # Errors
    /// If there are such for all that time.
    pub fn nothing_left_since(&self) -> Result<()> {
        let mut left = Self::default();
        let clean = wait::until("nothing new without an owner", wait::PATIENCE, || {
            let all = Self::all()?;
            // After the list: what was created since cannot be on it.
            let held = Self::held_by_anyone();
            let orphans = |all: &BTreeSet<u64>, before: &BTreeSet<u64>, held: &BTreeSet<u64>| {
                all.iter().filter(|id| !before.contains(id) && !held.contains(id)).copied().collect()
            };
            left.programs = orphans(&all.programs, &self.programs, &held.programs);
            left.maps = orphans(&all.maps, &self.maps, &held.maps);
            Ok((left.programs.is_empty() && left.maps.is_empty()).then_some(()))
        });
        clean.with_context(|| format!("left in the kernel: {left:?}"))
    }
}

fn listed(kind: &str) -> Result<BTreeSet<u64>> {
    let bpftool = paths::find("bpftool", "bpftool")?;
    let output = Command::new(bpftool).args(["-j", kind, "show"]).output().context("cannot start bpftool")?;
    let messages = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "bpftool {kind} show: {messages}");
    let list: Vec<Value> = serde_json::from_slice(&output.stdout).context("bpftool printed no list")?;
    // A map that went away while it was looked at has no ID.
    Ok(list.iter().filter_map(|object| object.get("id")?.as_u64()).collect())
}
