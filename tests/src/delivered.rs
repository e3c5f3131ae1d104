//! What the sink of a directory has written: profiles, with what stands on them and how much is in them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Read as _,
    path::Path,
};

use anyhow::{Context as _, Result, ensure};
use flate2::read::GzDecoder;
use prost::Message as _;
use proto::pprof::Profile;

/// A profile.
#[derive(Clone, Debug, Default)]
pub struct Delivered {
    /// `cpu`, `faults` or `alloc`.
    pub event: String,
    /// Samples in it.
    pub n_samples: u64,
    /// What stands on it.
    pub labels: BTreeMap<String, String>,
    /// Of whom samples are.
    pub pids: BTreeSet<u32>,
    /// Names of all functions in it.
    pub functions: BTreeSet<String>,
}

impl Delivered {
    /// All that are there now; none if there is no directory yet.
    ///
    /// # Errors
    /// If one of them is no profile.
    pub fn all_in(dir: &Path) -> Result<Vec<Self>> {
        let entries = fs::read_dir(dir).into_iter().flatten().flatten();
        let names = entries.filter(|entry| entry.file_name().to_string_lossy().ends_with(".pb.gz"));
        names.map(|entry| Self::read(&entry.path())).collect()
    }

    fn read(path: &Path) -> Result<Self> {
        let file = fs::File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
        let mut bytes = Vec::new();
        GzDecoder::new(file).read_to_end(&mut bytes).context("not gzip")?;
        let profile = Profile::decode(bytes.as_slice()).context("not pprof")?;
        Self::of(&profile).with_context(|| format!("{} is not what it should be", path.display()))
    }

    fn of(profile: &Profile) -> Result<Self> {
        let text = |at: i64| profile.string_table.get(usize::try_from(at).ok()?).map(String::as_str);
        let kinds: Vec<&str> = profile.sample_type.iter().filter_map(|kind| text(kind.r#type)).collect();
        ensure!(kinds.first() == Some(&"samples"), "the first value is none of samples: {kinds:?}");
        let event = match kinds.last() {
            Some(&"cpu") => "cpu",
            Some(kind) if kind.starts_with("rss_") => "faults",
            _ => "alloc",
        };
        let values = profile.sample.iter().filter_map(|sample| sample.value.first());
        let pids = profile.sample.iter().flat_map(|sample| &sample.label);
        let pids = pids.filter(|label| text(label.key) == Some("pid"));
        let comments = profile.comment.iter().filter_map(|at| text(*at)?.split_once('='));
        Ok(Self {
            event: event.to_owned(),
            n_samples: values.filter_map(|value| u64::try_from(*value).ok()).sum(),
            labels: comments.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            pids: pids.filter_map(|label| u32::try_from(label.num).ok()).collect(),
            functions: profile.function.iter().filter_map(|it| Some(text(it.name)?.to_owned())).collect(),
        })
    }

    /// Whose it is.
    #[must_use]
    pub fn service(&self) -> &str {
        self.label("service.name")
    }

    /// The value of a label; empty without one.
    #[must_use]
    pub fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }
}

/// Samples by event.
#[must_use]
pub fn totals<'a>(profiles: impl IntoIterator<Item = &'a Delivered>) -> BTreeMap<String, u64> {
    let mut totals = BTreeMap::new();
    for profile in profiles {
        *totals.entry(profile.event.clone()).or_default() += profile.n_samples;
    }
    totals
}
