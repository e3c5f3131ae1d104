//! Loads programs of the object past aya, which does not know what they are to be attached as.
//!
//! The object is read once more, by aya's own reader, and its programs are made to use the maps that aya has created.

use std::{
    collections::HashSet,
    ffi::CStr,
    io,
    os::fd::{AsFd as _, AsRawFd as _, FromRawFd as _, OwnedFd, RawFd},
};

use aya::{
    Ebpf,
    maps::{Map, MapData},
};
use aya_obj::{
    Function, Object,
    generated::{bpf_attr, bpf_cmd, bpf_prog_type},
};

use super::load::OBJECT;

/// What the verifier says is kept up to this; of more, the kernel keeps the end.
const LOG_BYTES: usize = 64 << 10;
/// Lines of it that tell why a program was refused.
const N_LOG_LINES: usize = 3;

/// Programs that can be loaded.
pub(super) struct Loader {
    object: Object,
    types: OwnedFd,
}

impl Loader {
    /// Reads the object, whose maps aya has created and still has all.
    pub(super) fn new(ebpf: &Ebpf) -> io::Result<Self> {
        let mut object = Object::parse(OBJECT).map_err(io::Error::other)?;
        let types = load_types(&mut object)?;
        let maps = std::mem::take(&mut object.maps);
        let fds: Vec<(&str, RawFd, &aya_obj::Map)> = maps
            .iter()
            .filter_map(|(name, map)| Some((name.as_str(), fd_of(ebpf.map(name)?)?, map)))
            .collect();
        let sections: HashSet<usize> = object.functions.keys().map(|(section, _)| *section).collect();
        object.relocate_maps(fds.into_iter(), &sections).map_err(io::Error::other)?;
        object.relocate_calls(&sections).map_err(io::Error::other)?;
        Ok(Self { object, types })
    }

    /// Loads a program, to be attached as the kernel's enumeration of attachments numbers it.
    pub(super) fn load(&self, name: &'static str, attach_type: u32) -> io::Result<OwnedFd> {
        let missing = || io::Error::other(format!("the object has no `{name}`"));
        let program = self.object.programs.get(name).ok_or_else(missing)?;
        let function = self.object.functions.get(&program.function_key()).ok_or_else(missing)?;
        let request =
            Request { name, attach_type, function, license: &self.object.license, types: &self.types };
        request.send(&mut []).or_else(|error| {
            let mut log = vec![0; LOG_BYTES];
            request.send(&mut log).map_err(|_| explained(&error, &log))
        })
    }
}

/// Functions that are verified apart are known by their types (BTF).
fn load_types(object: &mut Object) -> io::Result<OwnedFd> {
    let none = || io::Error::other("no type information (BTF)");
    let features = aya::features().btf().ok_or_else(none)?;
    let types = object.fixup_and_sanitize_btf(features).map_err(io::Error::other)?;
    let types = types.ok_or_else(none)?.to_bytes();
    // SAFETY: all-zero is a valid argument of the call.
    let mut attr: bpf_attr = unsafe { std::mem::zeroed() };
    // SAFETY: the variant that the command takes; nothing of a union of integers is invalid.
    let load = unsafe { &mut attr.__bindgen_anon_7 };
    load.btf = types.as_ptr() as u64;
    load.btf_size = length(&types)?;
    // SAFETY: points to bytes that live past the call.
    unsafe { bpf(bpf_cmd::BPF_BTF_LOAD, &mut attr) }
}

struct Request<'a> {
    name: &'static str,
    attach_type: u32,
    function: &'a Function,
    license: &'a CStr,
    types: &'a OwnedFd,
}

impl Request<'_> {
    fn send(&self, log: &mut [u8]) -> io::Result<OwnedFd> {
        let function = self.function;
        let (functions, lines) = (function.func_info.func_info_bytes(), function.line_info.line_info_bytes());
        // SAFETY: all-zero is a valid argument of the call.
        let mut attr: bpf_attr = unsafe { std::mem::zeroed() };
        // SAFETY: the variant that the command takes; nothing of a union of integers is invalid.
        let load = unsafe { &mut attr.__bindgen_anon_3 };
        load.prog_type = bpf_prog_type::BPF_PROG_TYPE_KPROBE as u32;
        load.expected_attach_type = self.attach_type;
        // One byte stays for the closing NUL.
        let n_named = load.prog_name.len() - 1;
        for (to, from) in load.prog_name.iter_mut().zip(self.name.bytes().take(n_named)) {
            *to = from.cast_signed();
        }
        load.insns = function.instructions.as_ptr() as u64;
        load.insn_cnt = length(&function.instructions)?;
        load.license = self.license.as_ptr() as u64;
        load.prog_btf_fd = self.types.as_raw_fd().unsigned_abs();
        load.func_info = functions.as_ptr() as u64;
        load.func_info_cnt = length(&function.func_info.func_info)?;
        load.func_info_rec_size = u32::try_from(function.func_info_rec_size).map_err(io::Error::other)?;
        load.line_info = lines.as_ptr() as u64;
        load.line_info_cnt = length(&function.line_info.line_info)?;
        load.line_info_rec_size = u32::try_from(function.line_info_rec_size).map_err(io::Error::other)?;
        if !log.is_empty() {
            load.log_level = 1;
            load.log_size = length(log)?;
            load.log_buf = log.as_mut_ptr() as u64;
        }
        // SAFETY: everything that is pointed to lives past the call, which writes to the log alone.
        unsafe { bpf(bpf_cmd::BPF_PROG_LOAD, &mut attr) }
    }
}

fn length<T>(slice: &[T]) -> io::Result<u32> {
    u32::try_from(slice.len()).map_err(io::Error::other)
}

/// The refusal, with the end of what the verifier said.
fn explained(error: &io::Error, log: &[u8]) -> io::Error {
    let text = String::from_utf8_lossy(log);
    let lines: Vec<&str> = text.trim_end_matches('\0').lines().filter(|line| !line.is_empty()).collect();
    let last = lines.get(lines.len().saturating_sub(N_LOG_LINES)..).unwrap_or_default();
    io::Error::new(error.kind(), format!("{error}: {}", last.join("; ")))
}

/// `bpf(2)`, where it gives a descriptor.
///
/// # Safety
/// `attr` must be what the command takes, and what it points to must live past the call.
pub(super) unsafe fn bpf(command: bpf_cmd, attr: &mut bpf_attr) -> io::Result<OwnedFd> {
    // SAFETY: the caller vouches for the argument.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, command as u32, &raw mut *attr, size_of::<bpf_attr>()) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    let fd = RawFd::try_from(fd).map_err(io::Error::other)?;
    // SAFETY: a new descriptor, ours alone.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Of the kinds of maps that the programs use.
fn fd_of(map: &Map) -> Option<RawFd> {
    let data: &MapData = match map {
        Map::Array(data)
        | Map::ArrayOfMaps(data)
        | Map::HashMap(data)
        | Map::LruHashMap(data)
        | Map::PerCpuArray(data)
        | Map::RingBuf(data)
        | Map::Unsupported(data) => data,
        _ => return None,
    };
    Some(data.fd().as_fd().as_raw_fd())
}

#[cfg(test)]
mod tests {
    use super::explained;

    #[test]
    fn a_refusal_carries_the_end_of_what_the_verifier_said() {
        let error = std::io::Error::from_raw_os_error(libc::EACCES);
        let said = explained(&error, b"one\ntwo\n\nthree\nR1 invalid mem access\n\0\0\0").to_string();
        assert!(said.ends_with("two; three; R1 invalid mem access") && said.contains("denied"), "{said}");
        assert!(explained(&error, &[]).to_string().contains("denied"));
    }
}
