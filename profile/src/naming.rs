//! What people read for a frame. One place, so that every form shows the same name.

use std::borrow::Cow;

use crate::{
    frames::{Frame, FrameKind, KERNEL_MAPPING},
    model::Profile,
    strings::UNKNOWN,
};

/// The name of code in memory that no file and no symbol map explains.
const JIT: &str = "[jit]";

impl Profile {
    /// The function, or what stands for it: `nginx+0x4a210` by file and offset, `[jit]` for unknown JIT code.
    pub fn frame_name(&self, frame: &Frame) -> Cow<'_, str> {
        if let Some(function) = frame.function {
            return self.text(function).into();
        }
        match frame.kind {
            FrameKind::Jit => JIT.into(),
            FrameKind::Reason => UNKNOWN.into(),
            FrameKind::Native | FrameKind::Kernel => {
                let module = self.module_name(frame).unwrap_or(UNKNOWN);
                format!("{module}+{:#x}", frame.address).into()
            }
        }
    }

    /// The last part of the path that a frame lies in: `nginx`, `libc.so.6`, `[kernel.kallsyms]`.
    pub fn module_name(&self, frame: &Frame) -> Option<&str> {
        let path = match (frame.mapping.and_then(|mapping| self.mapping_at(mapping)), frame.kind) {
            (Some(mapping), _) => self.text(mapping.path),
            (None, FrameKind::Kernel) => KERNEL_MAPPING,
            (None, FrameKind::Jit) => JIT,
            (None, FrameKind::Native | FrameKind::Reason) => return None,
        };
        // The kernel writes `[vdso]` and the like, and a path may end in a slash.
        Some(path.rsplit('/').find(|part| !part.is_empty()).unwrap_or(path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Mapping, Meta};

    #[test]
    fn a_frame_is_called_by_its_function_or_by_where_it_lies() {
        let mut profile = Profile::new([], Meta::default());
        let mut file = |path: &str| {
            let path = profile.intern(path);
            profile.mapping(Mapping::file(path, None))
        };
        let (nginx, kernel, slash) = (file("/usr/sbin/nginx"), file(KERNEL_MAPPING), file("///"));
        let main = profile.intern("main");
        let nowhere = Frame { mapping: None, ..Frame::native(nginx, 0x10) };
        let cases = [
            (Frame::native(nginx, 0x4a210), "nginx+0x4a210"),
            (Frame::native(nginx, 0x4a210).named(main), "main"),
            (Frame::kernel(kernel, 0xffff_ffff_8100_0000), "[kernel.kallsyms]+0xffffffff81000000"),
            (Frame { mapping: None, ..Frame::kernel(kernel, 0x10) }, "[kernel.kallsyms]+0x10"),
            (Frame::native(slash, 0x10), "///+0x10"),
            (nowhere, "[unknown]+0x10"),
            (Frame::jit(0x7f00_0000_1000), "[jit]"),
        ];
        for (frame, name) in cases {
            assert_eq!(profile.frame_name(&frame), name, "{frame:?}");
        }
    }
}
