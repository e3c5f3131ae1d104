//! Frames as what a flamegraph shows of them: a name, the package that has the code, a kind. Frames that look the same are one.

use std::{collections::HashMap, sync::Arc};

use ahash::RandomState;
use arrow_array::BooleanArray;
use datafusion::prelude::col;
use futures::TryStreamExt as _;
use layout::Table;

use crate::{
    chosen::{self, IdSet},
    column::{Id, any, ids, integers, texts},
    error::Error,
    range::TimeRange,
    scan::Scan,
};

/// What kind of code a frame is. The number is that in answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    /// Code of a file.
    Native,
    /// Code of the kernel.
    Kernel,
    /// Code that is part of that of the next frame.
    Inlined,
    /// Code of an interpreter, or that was made while it ran.
    Interpreted,
    /// No code: says why something is not there.
    Missing,
}

impl Kind {
    /// Their names, in the order of their numbers.
    pub(crate) const NAMES: [&'static str; 5] = ["native", "kernel", "inlined", "interpreted", "missing"];

    /// Its number.
    pub(crate) const fn number(self) -> u8 {
        match self {
            Self::Native => 0,
            Self::Kernel => 1,
            Self::Inlined => 2,
            Self::Interpreted => 3,
            Self::Missing => 4,
        }
    }
}

/// A frame as it is shown: places of texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Label {
    pub(crate) name: u32,
    pub(crate) package: u32,
    pub(crate) kind: Kind,
}

/// Texts, each once, by number.
#[derive(Debug, Default)]
pub(crate) struct Interned {
    pub(crate) texts: Vec<String>,
    numbers: HashMap<String, u32, RandomState>,
}

impl Interned {
    fn number(&mut self, text: &str) -> u32 {
        if let Some(known) = self.numbers.get(text) {
            return *known;
        }
        let number = u32::try_from(self.texts.len()).unwrap_or(u32::MAX);
        self.texts.push(text.to_owned());
        self.numbers.insert(text.to_owned(), number);
        number
    }
}

/// What frames are called.
#[derive(Debug, Default)]
pub(crate) struct Names {
    pub(crate) names: Interned,
    pub(crate) packages: Interned,
    /// Each label once.
    pub(crate) labels: Vec<Label>,
    numbers: HashMap<Label, u32, RandomState>,
    /// By the number of a frame.
    of_frame: Vec<u32>,
}

impl Names {
    /// The number of a label.
    pub(crate) fn label(&mut self, name: &str, package: &str, kind: Kind) -> u32 {
        let label = Label { name: self.names.number(name), package: self.packages.number(package), kind };
        let next = u32::try_from(self.labels.len()).unwrap_or(u32::MAX);
        let number = *self.numbers.entry(label).or_insert(next);
        if number == next {
            self.labels.push(label);
        }
        number
    }

    /// The label of a frame.
    pub(crate) fn of_frame(&self, frame: u32) -> u32 {
        let place = usize::try_from(frame).unwrap_or(usize::MAX);
        self.of_frame.get(place).copied().unwrap_or_default()
    }

    /// A label by its number.
    pub(crate) fn at(&self, label: u32) -> Option<Label> {
        self.labels.get(usize::try_from(label).ok()?).copied()
    }
}

/// What of a frame its name is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FrameText<'a> {
    pub(crate) function: &'a str,
    pub(crate) mapping: &'a str,
    pub(crate) kind: &'a str,
    pub(crate) address: i64,
    pub(crate) is_inlined: bool,
    /// Empty and zero where they are not asked for.
    pub(crate) file: &'a str,
    pub(crate) line: i64,
    pub(crate) build_id: &'a str,
}

impl FrameText<'_> {
    /// The last part of the path of its file.
    fn package(&self) -> &str {
        self.mapping.rsplit('/').find(|part| !part.is_empty()).unwrap_or(self.mapping)
    }

    pub(crate) fn kind(&self) -> Kind {
        let is_reason = self.mapping.is_empty() && self.function.starts_with('[') && self.function != JIT;
        match self.kind {
            "kernel" => Kind::Kernel,
            _ if self.mapping.starts_with("[kernel") => Kind::Kernel,
            _ if is_reason => Kind::Missing,
            _ if self.is_inlined => Kind::Inlined,
            "" if self.mapping.is_empty() && (self.function.is_empty() || self.function == JIT) => {
                Kind::Interpreted
            }
            "" | "native" => Kind::Native,
            _ => Kind::Interpreted,
        }
    }

    fn label(&self, names: &mut Names) -> u32 {
        let package = self.package();
        match (self.function, package) {
            ("", "") => names.label(JIT, "", self.kind()),
            ("", package) => {
                let name = format!("{package}+{:#x}", self.address.unsigned_abs());
                names.label(&name, package, self.kind())
            }
            (function, package) => names.label(function, package, self.kind()),
        }
    }
}

/// Code in memory that neither a file nor a symbol explains.
const JIT: &str = "[jit]";
/// Stands for a frame that the store does not have.
pub(crate) const UNKNOWN: &str = "[this frame is not in the store]";

/// Finds what frames are called.
pub(crate) async fn names(scan: &Scan, ranges: &[TimeRange], frames: &[Id]) -> Result<Names, Error> {
    let mut it = Names::default();
    let unknown = it.label(UNKNOWN, "", Kind::Missing);
    it.of_frame = vec![unknown; frames.len()];
    let each = |place: usize, text: &FrameText<'_>| {
        let label = text.label(&mut it);
        if let Some(of_frame) = it.of_frame.get_mut(place) {
            *of_frame = label;
        }
    };
    each_frame(scan, ranges, frames, Columns::Names, each).await?;
    Ok(it)
}

/// What is read of frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Columns {
    /// What names are made of.
    Names,
    /// Source and build ID as well.
    All,
}

/// Finds frames: each with its place in `frames`, once.
pub(crate) async fn each_frame(
    scan: &Scan,
    ranges: &[TimeRange],
    frames: &[Id],
    wanted: Columns,
    mut each: impl FnMut(usize, &FrameText<'_>),
) -> Result<(), Error> {
    if frames.is_empty() {
        return Ok(());
    }
    // Several collectors may have written the same frame, and one collector on two days.
    let mut places: HashMap<Id, usize, RandomState> = frames.iter().copied().zip(0..).collect();
    let ids_wanted: Arc<IdSet> = Arc::new(frames.iter().copied().collect());
    let mut columns = vec!["frame", "function", "mapping", "kind", "address", "is_inlined"];
    if wanted == Columns::All {
        columns.extend(["file", "line", "build_id"]);
    }
    let table = scan.table_of_ids(Table::Frames, ranges, ids_wanted.len()).await?;
    let chosen = table.filter(chosen::is_wanted("frame", ids_wanted))?;
    let mut batches = chosen.select(columns.into_iter().map(col))?.execute_stream().await?;
    while let Some(batch) = batches.try_next().await? {
        let frames = ids(&batch, "frame")?;
        let [functions, mappings, kinds] = ["function", "mapping", "kind"].map(|name| texts(&batch, name));
        let (functions, mappings, kinds) = (functions?, mappings?, kinds?);
        let more = match wanted {
            Columns::Names => None,
            Columns::All => {
                Some((texts(&batch, "file")?, integers(&batch, "line")?.values(), texts(&batch, "build_id")?))
            }
        };
        let addresses = integers(&batch, "address")?.values();
        let inlined: &BooleanArray = any(&batch, "is_inlined")?;
        for ((row, address), is_inlined) in (0..frames.len()).zip(addresses).zip(inlined.values()) {
            let Some(place) = places.remove(&frames.at(row)) else { continue };
            let (file, line, build_id) = more.as_ref().map_or(("", 0, ""), |(files, lines, build_ids)| {
                (files.at(row), lines.get(row).copied().unwrap_or_default(), build_ids.at(row))
            });
            let text = FrameText {
                function: functions.at(row),
                mapping: mappings.at(row),
                kind: kinds.at(row),
                address: *address,
                is_inlined,
                file,
                line,
                build_id,
            };
            each(place, &text);
        }
    }
    if !places.is_empty() {
        scan.warn(format!("{} frames are not in the store", places.len()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_called_by_its_function_or_by_where_it_lies() {
        let text = |function, mapping, kind| FrameText {
            function,
            mapping,
            kind,
            address: 0x4a210,
            is_inlined: false,
            file: "",
            line: 0,
            build_id: "",
        };
        let mut names = Names::default();
        for (frame, name, package, kind) in [
            (text("main", "/usr/sbin/nginx", "native"), "main", "nginx", Kind::Native),
            (text("", "/usr/sbin/nginx", ""), "nginx+0x4a210", "nginx", Kind::Native),
            (
                text("tcp_sendmsg", "[kernel.kallsyms]", "kernel"),
                "tcp_sendmsg",
                "[kernel.kallsyms]",
                Kind::Kernel,
            ),
            (text("", "", ""), "[jit]", "", Kind::Interpreted),
            (text("[jit]", "", ""), "[jit]", "", Kind::Interpreted),
            (text("[truncated: no room]", "", ""), "[truncated: no room]", "", Kind::Missing),
            (text("f", "", "cpython"), "f", "", Kind::Interpreted),
            (text("f", "", ""), "f", "", Kind::Native),
            (FrameText { is_inlined: true, ..text("g", "/a/b/", "") }, "g", "b", Kind::Inlined),
        ] {
            let number = frame.label(&mut names);
            let label = names.at(number).expect("is there");
            let of = |table: &Interned, at: u32| table.texts[at as usize].clone();
            let found = (of(&names.names, label.name), of(&names.packages, label.package), label.kind);
            assert_eq!(found, (name.to_owned(), package.to_owned(), kind), "{frame:?}");
        }
        let before = names.labels.len();
        text("main", "/opt/nginx", "native").label(&mut names);
        assert_eq!(names.labels.len(), before, "what looks the same is one");
    }
}
