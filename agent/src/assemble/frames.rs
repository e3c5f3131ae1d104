//! Every frame that occurs, named once.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use profile::{BuildId, Frame, FrameHandle, KERNEL_MAPPING, Mapping, MappingHandle, Profile};

use super::Collected;
use crate::{
    aggregate::{Aggregate, KernelStack, Key, UserFrame},
    process::{FileId, ImageId},
    symbolize::{Reason, Resolved, Symbol, Symbolizer},
};

/// Every distinct frame, named; several profile frames where functions were inlined, outermost first.
#[derive(Default)]
pub(super) struct Frames {
    file: HashMap<(FileId, u64), Vec<FrameHandle>>,
    jit: HashMap<(ImageId, u64), Vec<FrameHandle>>,
    kernel: HashMap<u64, Vec<FrameHandle>>,
    /// Frames without a name, by why.
    pub(super) nameless: BTreeMap<&'static str, u64>,
}

impl Frames {
    /// Names what occurs, each file's offsets in one go.
    pub(super) fn resolve(
        profile: &mut Profile,
        collected: Collected<'_>,
        symbolizer: &mut Symbolizer,
    ) -> Self {
        let Collected { aggregate, objects, functions, processes, jit, .. } = collected;
        let mut frames = Self::default();

        for (file, offsets) in file_offsets(aggregate) {
            let object = objects.get(&file);
            let resolved = match object {
                Some(object) => symbolizer.file_frames(object, &offsets),
                None => vec![Resolved::Missing(Reason::FileUnreadable); offsets.len()],
            };
            let path = processes.files().path(file).map(|path| path.to_string_lossy()).unwrap_or_default();
            let path = profile.intern(&path);
            let build_id = object.and_then(|object| BuildId::new(object.build_id.as_ref()?.as_bytes()));
            let mapping = profile.mapping(Mapping::file(path, build_id));
            for (offset, resolved) in offsets.into_iter().zip(resolved) {
                frames.note(&resolved);
                // Without a name, a function is called by where it begins, so that its samples fall together.
                let place = match resolved {
                    Resolved::Missing(_) => {
                        functions.get(&file).and_then(|functions| functions.start_of(offset))
                    }
                    Resolved::Symbols(_) => None,
                };
                let bare = Frame::native(mapping, place.unwrap_or(offset));
                frames.file.insert((file, offset), named(profile, bare, resolved));
            }
        }

        let addresses: Vec<u64> = kernel_addresses(aggregate).into_iter().collect();
        let kernel = kernel_mapping(profile);
        for (address, resolved) in addresses.iter().zip(symbolizer.kernel_frames(&addresses)) {
            frames.note(&resolved);
            let named = named(profile, Frame::kernel(kernel, *address), resolved);
            frames.kernel.insert(*address, named);
        }

        for (image, addresses) in jit_addresses(aggregate) {
            let addresses: Vec<u64> = addresses.into_iter().collect();
            let resolved = match jit.get(&image) {
                Some(process) => symbolizer.jit_frames(process, &addresses),
                None => vec![Resolved::Missing(Reason::UnknownJit); addresses.len()],
            };
            for (address, resolved) in addresses.into_iter().zip(resolved) {
                frames.note(&resolved);
                let named = named(profile, Frame::jit(address), resolved);
                frames.jit.insert((image, address), named);
            }
        }
        frames
    }

    fn note(&mut self, resolved: &Resolved) {
        if let Resolved::Missing(reason) = resolved {
            *self.nameless.entry(reason.sentence()).or_default() += 1;
        }
    }

    /// The frames of one counted stack. A reason stands where the frames that it explains are missing: on the
    /// root's side of its half.
    pub(super) fn root_to_leaf(
        &self,
        profile: &mut Profile,
        aggregate: &Aggregate,
        key: &Key,
    ) -> Vec<FrameHandle> {
        let mut path = Vec::new();
        if let Some(stack) = key.user.and_then(|index| aggregate.user_stacks().get(index as usize)) {
            if !stack.fault.is_complete() {
                path.push(profile.reason(&format!("[truncated: {}]", stack.fault.sentence())));
            }
            for frame in stack.frames.iter().rev() {
                match frame {
                    UserFrame::File { file, offset } => {
                        path.extend(self.file.get(&(*file, *offset)).into_iter().flatten());
                    }
                    UserFrame::Jit { address } => {
                        path.extend(self.jit.get(&(key.image, *address)).into_iter().flatten());
                    }
                    UserFrame::Unmapped { .. } => path.push(profile.reason("[address in no known mapping]")),
                }
            }
        }
        if let Some(stack) = key.kernel.and_then(|index| aggregate.kernel_stacks().get(index as usize)) {
            if !stack.fault.is_complete() {
                path.push(profile.reason(&format!("[truncated: {}]", stack.fault.sentence())));
            }
            path.extend(self.kernel_leaf_to_root(stack).rev());
        }
        path
    }

    /// The frames of a kernel stack.
    pub(super) fn kernel_leaf_to_root(
        &self,
        stack: &KernelStack,
    ) -> impl DoubleEndedIterator<Item = FrameHandle> {
        let of_address = |address| self.kernel.get(address).into_iter().flatten().rev().copied();
        stack.addresses.iter().flat_map(of_address)
    }
}

pub(super) fn file_offsets(aggregate: &Aggregate) -> HashMap<FileId, Vec<u64>> {
    let mut offsets: HashMap<FileId, Vec<u64>> = HashMap::new();
    for frame in aggregate.user_stacks().iter().flat_map(|stack| &stack.frames) {
        if let UserFrame::File { file, offset } = frame {
            offsets.entry(*file).or_default().push(*offset);
        }
    }
    for offsets in offsets.values_mut() {
        offsets.sort_unstable();
        offsets.dedup();
    }
    offsets
}

fn kernel_addresses(aggregate: &Aggregate) -> BTreeSet<u64> {
    aggregate.kernel_stacks().iter().flat_map(|stack| &stack.addresses).copied().collect()
}

fn jit_addresses(aggregate: &Aggregate) -> HashMap<ImageId, BTreeSet<u64>> {
    let mut addresses: HashMap<ImageId, BTreeSet<u64>> = HashMap::new();
    for (key, _) in aggregate.counted() {
        let stack = key.user.and_then(|index| aggregate.user_stacks().get(index as usize));
        for frame in stack.into_iter().flat_map(|stack| &stack.frames) {
            if let UserFrame::Jit { address } = frame {
                addresses.entry(key.image).or_default().insert(*address);
            }
        }
    }
    addresses
}

fn kernel_mapping(profile: &mut Profile) -> MappingHandle {
    let path = profile.intern(KERNEL_MAPPING);
    profile.mapping(Mapping::file(path, None))
}

/// The frames of one address, outermost first; the bare frame, if it has no name.
fn named(profile: &mut Profile, bare: Frame, resolved: Resolved) -> Vec<FrameHandle> {
    let symbols = match resolved {
        Resolved::Symbols(symbols) => symbols,
        Resolved::Missing(_) => return vec![profile.frame(bare)],
    };
    let frame = |symbol: &Symbol| {
        let mut frame = bare.named(profile.intern(&symbol.name));
        if let Some(source) = &symbol.source {
            frame = frame.at(profile.intern(&source.file), source.line);
        }
        if symbol.inlined {
            frame = frame.inlined();
        }
        profile.frame(frame)
    };
    symbols.iter().rev().map(frame).collect()
}
