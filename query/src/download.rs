//! A question as a profile of its own, in the forms that other tools read.

use std::collections::HashMap;

use ahash::RandomState;
use profile::{
    BuildId, Frame, FrameHandle, KERNEL_MAPPING, Mapping, MappingHandle, Meta, Profile, ValueType,
    encode::{EncodeError, folded, json, pprof, speedscope, svg},
};

use crate::{
    engine::{Answer, Engine},
    error::Error,
    names::{Columns, FrameText, Kind, UNKNOWN, each_frame},
    question::Question,
    scan::Scan,
    selector::Op,
    stacks::stacks,
    sums::sums,
};

/// A form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For `go tool pprof`, gzipped.
    Pprof,
    /// A line for each stack.
    Folded,
    /// A drawing.
    Svg,
    /// For speedscope.app.
    Speedscope,
    /// The report of the agent.
    Json,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Pprof, Self::Folded, Self::Svg, Self::Speedscope, Self::Json];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.row().0
    }

    /// What the file ends with.
    #[must_use]
    pub const fn ending(self) -> &'static str {
        self.row().1
    }

    /// What it is, for HTTP.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        self.row().2
    }

    const fn row(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Pprof => ("pprof", "pb.gz", "application/octet-stream"),
            Self::Folded => ("folded", "folded", "text/plain; charset=utf-8"),
            Self::Svg => ("svg", "svg", "image/svg+xml"),
            Self::Speedscope => ("speedscope", "speedscope.json", "application/json"),
            Self::Json => ("json", "json", "application/json"),
        }
    }

    /// Of a name.
    ///
    /// # Errors
    /// If it is none.
    pub fn parse(name: &str) -> Result<Self, Error> {
        let names = Self::ALL.map(Self::name).join(", ");
        let wrong = || Error::Parameter { name: "format", what: format!("is none of {names}") };
        Self::ALL.into_iter().find(|format| format.name() == name).ok_or_else(wrong)
    }

    fn write(self, profile: &Profile) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        let written = match self {
            Self::Pprof => pprof::write(profile, &mut bytes),
            Self::Folded => folded::write(profile, &mut bytes),
            Self::Svg => svg::write(profile, &mut bytes),
            Self::Speedscope => speedscope::write(profile, &mut bytes),
            Self::Json => json::write(profile, &mut bytes),
        };
        match written {
            Ok(()) => Ok(bytes),
            Err(error @ (EncodeError::TooLarge { .. } | EncodeError::SumTooLarge { .. })) => {
                Err(Error::TooMuch { what: error.to_string() })
            }
            Err(error) => Err(Error::Internal { what: error.to_string() }),
        }
    }
}

/// A profile while its frames are found.
struct Filled {
    profile: Profile,
    mappings: HashMap<(String, String), MappingHandle, RandomState>,
}

impl Filled {
    fn mapping(&mut self, path: &str, build_id: &str) -> MappingHandle {
        let key = (path.to_owned(), build_id.to_owned());
        if let Some(known) = self.mappings.get(&key) {
            return *known;
        }
        let name = self.profile.intern(path);
        let mapping =
            self.profile.mapping(Mapping::file(name, hex(build_id).and_then(|id| BuildId::new(&id))));
        self.mappings.insert(key, mapping);
        mapping
    }

    fn frame(&mut self, text: &FrameText<'_>) -> FrameHandle {
        let kind = text.kind();
        if kind == Kind::Missing {
            return self.profile.reason(text.function);
        }
        let address = text.address.unsigned_abs();
        let frame = match (kind, text.mapping) {
            (Kind::Kernel, "") => Frame::kernel(self.mapping(KERNEL_MAPPING, ""), address),
            (Kind::Kernel, path) => Frame::kernel(self.mapping(path, text.build_id), address),
            (_, "") => Frame::jit(address),
            (_, path) => Frame::native(self.mapping(path, text.build_id), address),
        };
        let frame = if text.is_inlined { frame.inlined() } else { frame };
        let frame = match text.function {
            "" => frame,
            function => frame.named(self.profile.intern(function)),
        };
        let frame = match text.file {
            "" => frame,
            file => frame.at(self.profile.intern(file), u32::try_from(text.line).unwrap_or(0)),
        };
        self.profile.frame(frame)
    }
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digits = |at: usize| text.get(at..at.saturating_add(2));
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(digits(at)?, 16).ok()).collect()
}

/// Whose it is, if the selector names one: a service, otherwise what was selected.
fn subject(question: &Question) -> String {
    let is_named = |name: &str| {
        let found = question.selector.matchers().iter().find(|it| it.name() == name && it.op() == Op::Is);
        found.map(|matcher| matcher.value().to_owned())
    };
    is_named("service").or_else(|| is_named("host")).unwrap_or_else(|| question.selector.to_string())
}

async fn profile(scan: &Scan, question: &Question) -> Result<Profile, Error> {
    let ranges = [question.range];
    let sums = sums(scan, question, None).await?;
    let stacks = stacks(scan, &ranges, &sums).await?;
    let subject = subject(question);
    let meta = Meta {
        start_unix_ns: question.range.from_unix_ns,
        duration_ns: question.range.duration_ns(),
        command: question.selector.to_string(),
        event: question.what.kind.clone(),
        host: question.tenant.clone(),
        ..Meta::default()
    };
    let value_type =
        ValueType { kind: question.what.kind.clone().into(), unit: question.what.unit.clone().into() };
    let mut filled = Filled { profile: Profile::new([value_type], meta), mappings: HashMap::default() };
    let unknown = filled.profile.reason(UNKNOWN);
    let mut handles = vec![unknown; stacks.ids.len()];
    let each = |place: usize, text: &FrameText<'_>| {
        let frame = filled.frame(text);
        if let Some(handle) = handles.get_mut(place) {
            *handle = frame;
        }
    };
    each_frame(scan, &ranges, &stacks.ids, Columns::All, each).await?;
    let mut profile = filled.profile;
    let process = profile.process(0, &subject);
    let thread = profile.thread(process, 0, &subject);
    let add = |profile: &mut Profile, stack, value: i64| {
        let wrong = |error: profile::WrongValueCount| Error::Internal { what: error.to_string() };
        profile.add(stack, thread, &[value]).map_err(wrong)
    };
    for (frames, [value, _]) in stacks.iter() {
        let handle = |frame: &u32| usize::try_from(*frame).ok().and_then(|at| handles.get(at)).copied();
        let root_first: Vec<FrameHandle> =
            frames.iter().rev().map(|it| handle(it).unwrap_or(unknown)).collect();
        let stack = profile.stack(root_first);
        add(&mut profile, stack, value)?;
    }
    for (n, [value, _], what) in [
        (stacks.n_unknown, stacks.unknown, "are not in the store"),
        (sums.n_rest, sums.rest, "have little in them"),
    ] {
        if n > 0 {
            let reason = profile.reason(&format!("[{n} stacks that {what}]"));
            let stack = profile.stack([reason]);
            add(&mut profile, stack, value)?;
        }
    }
    Ok(profile)
}

impl Engine {
    /// The samples of a question as a file.
    ///
    /// # Errors
    /// If there is none.
    pub async fn download(&self, question: &Question, format: Format) -> Result<Answer<Vec<u8>>, Error> {
        self.answer(&question.tenant, |scan| {
            let question = question.clone();
            async move { format.write(&profile(&scan, &question).await?) }
        })
        .await
    }
}
