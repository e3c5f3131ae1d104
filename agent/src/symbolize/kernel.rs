//! Names of kernel functions, from /proc/kallsyms.

use blazesym::MaybeDefault;
use blazesym::symbolize::source::{Kernel, Source};
use blazesym::symbolize::{Input, Reason as BlazeReason, Symbolized, Symbolizer as Blazesym};

use super::names;
use super::{Reason, Resolved, Symbol, all_missing};

/// The lowest kernel address on x86-64 and aarch64. Below it kallsyms lists offsets of per-CPU variables, and a
/// user-space address would be given the name of the last of them.
const LOWEST_KERNEL_ADDRESS: u64 = 1 << 63;
/// kallsyms has no sizes: past this distance from a symbol's start an address is taken to be in none, in bytes.
/// The largest functions have some tens of kilobytes; unlisted BPF programs are megabytes from any symbol.
const MAX_FUNCTION_BYTES: usize = 256 * 1024;

/// Read at the first address.
#[derive(Debug)]
pub(super) struct KernelSymbols {
    blazesym: Blazesym,
}

impl Default for KernelSymbols {
    fn default() -> Self {
        let blazesym = Blazesym::builder()
            .enable_auto_reload(false)
            .enable_code_info(false)
            .enable_inlined_fns(false)
            .enable_demangling(false)
            .build();
        Self { blazesym }
    }
}

impl KernelSymbols {
    pub(super) fn frames(&self, addresses: &[u64]) -> Vec<Resolved> {
        if addresses.is_empty() {
            return Vec::new();
        }
        // A vmlinux file would have to be matched with the running kernel, and needs the KASLR offset.
        let kernel = Kernel { vmlinux: MaybeDefault::None, debug_syms: false, ..Kernel::default() };
        let Ok(answers) = self.blazesym.symbolize(&Source::Kernel(kernel), Input::AbsAddr(addresses)) else {
            return all_missing(addresses.len(), Reason::KernelSymbolsUnreadable);
        };
        addresses.iter().zip(answers).map(|(&address, answer)| resolve(address, &answer)).collect()
    }
}

fn resolve(address: u64, answer: &Symbolized<'_>) -> Resolved {
    let reason = match answer {
        _ if address < LOWEST_KERNEL_ADDRESS => Reason::NotInAnySymbol,
        Symbolized::Sym(symbol) if symbol.addr < LOWEST_KERNEL_ADDRESS => Reason::NotInAnySymbol,
        Symbolized::Sym(symbol) if symbol.offset > MAX_FUNCTION_BYTES => Reason::NotInAnySymbol,
        Symbolized::Sym(symbol) => {
            let symbol = Symbol { name: names::readable(&symbol.name), source: None, inlined: false };
            return Resolved::Symbols(vec![symbol]);
        }
        // Hidden addresses are shown as zero, which blazesym leaves out: nothing remains.
        Symbolized::Unknown(BlazeReason::MissingSyms) => Reason::KernelSymbolsHidden,
        Symbolized::Unknown(_) => Reason::NotInAnySymbol,
    };
    Resolved::Missing(reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A function that every kernel has, by kallsyms itself; none where addresses are hidden.
    fn known_function() -> Option<(u64, String)> {
        let text = std::fs::read_to_string("/proc/kallsyms").ok()?;
        text.lines().find_map(|line| {
            let (address, name) = line.split_once(" T ")?;
            let address = u64::from_str_radix(address, 16).ok().filter(|&address| address != 0)?;
            (name == "schedule_timeout").then(|| (address, name.to_owned()))
        })
    }

    #[test]
    fn a_kernel_function_is_named_or_known_to_be_hidden() {
        let kernel = KernelSymbols::default();
        match known_function() {
            Some((address, name)) => {
                let seen = kernel.frames(&[address + 1]);
                let expected = Symbol { name, source: None, inlined: false };
                assert_eq!(seen, [Resolved::Symbols(vec![expected])], "{address:#x}");
            }
            None => {
                println!("kernel addresses are hidden here");
                let seen = kernel.frames(&[0xffff_ffff_8100_0000]);
                let hidden = [Reason::KernelSymbolsHidden, Reason::KernelSymbolsUnreadable];
                assert!(matches!(*seen, [Resolved::Missing(reason)] if hidden.contains(&reason)), "{seen:?}");
            }
        }
    }

    #[test]
    fn addresses_outside_the_kernel_have_no_name() {
        let seen = KernelSymbols::default().frames(&[0, 0x40_1000, 0x7fff_ffff_f000]);
        assert_eq!(seen, all_missing(3, Reason::NotInAnySymbol));
    }
}
