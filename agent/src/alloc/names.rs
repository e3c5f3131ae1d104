//! The names of allocators, and what their arguments are.

use abi::alloc::{
    FREES, GIVES_THROUGH_0, IS_POOL, RESIZES, SIZE_AT_0, SIZE_IS_0, SIZE_IS_0_TIMES_1, SIZE_IS_1,
    SIZE_IS_1_TIMES_2, SIZE_IS_2, SIZE_IS_3,
};

/// Who calls whom: a function in front of another counts nothing of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    /// An allocator itself.
    C,
    /// `operator new` and `delete`: of an allocator, or in front of the one of another file.
    Cpp,
    /// What the Rust compiler puts in front of an allocator.
    Rust,
    /// A pool of a proxy: its blocks come from an allocator.
    Pool,
}

/// Under which the names of the C library are found beside, or instead of, the bare ones. jemalloc's, twice as Rust's
/// crates build it; gperftools'; mimalloc's; rpmalloc's; the C library's own.
const PREFIXES: [&str; 7] = ["je_", "rje_", "_rjem_", "tc_", "mi_", "rp", "__libc_"];

/// What the mangled name of a function of the Rust compiler has before its own.
const RUSTC: &str = "7___rustc";

/// What a function of this name does, as the program takes it; `None` if it is no allocator.
pub(super) fn find(name: &str) -> Option<(Family, u64)> {
    let bare = PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix)).unwrap_or(name);
    if let Some(cookie) = c(bare) {
        return Some((Family::C, cookie));
    }
    if let Some(cookie) = pool(name) {
        return Some((Family::Pool, cookie));
    }
    if let Some(cookie) = rust(name) {
        return Some((Family::Rust, cookie));
    }
    let own = name
        .strip_prefix("mi_")
        .and_then(mimalloc)
        .or_else(|| name.strip_prefix("tc_").and_then(gperftools))
        .or_else(|| name.strip_prefix("TCMallocInternal").and_then(tcmalloc));
    match own {
        Some(cookie) => Some((Family::C, cookie)),
        None => Some((Family::Cpp, cpp(name)?)),
    }
}

/// Whether an exception may leave a function of this name. Its return must not be probed: the kernel puts an address of
/// its own in place of the return address, and an exception that unwinds through that ends the program.
pub(super) fn throws(name: &str) -> bool {
    let is_new =
        name.starts_with("_Znwm") || name.starts_with("_Znam") || name.to_lowercase().contains("new");
    is_new && !name.to_lowercase().contains("nothrow")
}

/// `xallocx` of jemalloc is not among them: it never moves what it resizes, and gives no address.
fn c(name: &str) -> Option<u64> {
    Some(match name {
        "malloc" | "valloc" | "pvalloc" | "mallocx" => SIZE_IS_0,
        "calloc" => SIZE_IS_0_TIMES_1,
        "aligned_alloc" | "memalign" => SIZE_IS_1,
        "posix_memalign" => SIZE_IS_2 | GIVES_THROUGH_0,
        "realloc" | "reallocf" | "rallocx" => SIZE_IS_1 | RESIZES,
        "reallocarray" => SIZE_IS_1_TIMES_2 | RESIZES,
        "free" | "cfree" | "free_sized" | "free_aligned_sized" | "dallocx" | "sdallocx" => FREES,
        _ => return None,
    })
}

/// `operator new` and `operator new[]` of `unsigned long`, and what gives back what they gave, in every form.
fn cpp(name: &str) -> Option<u64> {
    let begins = |with: [&str; 2]| with.iter().any(|with| name.starts_with(with));
    if begins(["_Znwm", "_Znam"]) || name.starts_with("__size_returning_new") {
        return Some(SIZE_IS_0);
    }
    begins(["_ZdlPv", "_ZdaPv"]).then_some(FREES)
}

/// Rust's, plain as they were, or mangled as they are since 1.89. `__rdl_` is the standard library's allocator, `__rg_`
/// that of the program.
fn rust(name: &str) -> Option<u64> {
    let plain = match name.split_once(RUSTC) {
        // A number, the length of what follows, and an underscore where that begins with one or a digit.
        Some((_, rest)) => rest.trim_start_matches(|byte: char| byte.is_ascii_digit()).strip_prefix('_')?,
        None => name,
    };
    let (_, function) = ["__rust_", "__rdl_", "__rg_"]
        .iter()
        .find_map(|prefix| plain.strip_prefix(prefix).map(|function| (prefix, function)))?;
    Some(match function {
        "alloc" | "alloc_zeroed" => SIZE_IS_0,
        "realloc" => SIZE_IS_3 | RESIZES,
        "dealloc" => FREES,
        _ => return None,
    })
}

fn mimalloc(name: &str) -> Option<u64> {
    Some(match name {
        "zalloc"
        | "malloc_small"
        | "zalloc_small"
        | "malloc_aligned"
        | "zalloc_aligned"
        | "new"
        | "new_nothrow"
        | "new_aligned"
        | "new_aligned_nothrow" => SIZE_IS_0,
        "mallocn" | "calloc_aligned" | "new_n" => SIZE_IS_0_TIMES_1,
        "heap_malloc"
        | "heap_malloc_small"
        | "heap_zalloc"
        | "heap_malloc_aligned"
        | "heap_zalloc_aligned" => SIZE_IS_1,
        "heap_calloc" | "heap_mallocn" => SIZE_IS_1_TIMES_2,
        "rezalloc" | "realloc_aligned" | "rezalloc_aligned" | "new_realloc" => SIZE_IS_1 | RESIZES,
        "reallocn" | "recalloc" | "new_reallocn" => SIZE_IS_1_TIMES_2 | RESIZES,
        "free_size" | "free_aligned" | "free_size_aligned" => FREES,
        _ => return None,
    })
}

fn gperftools(name: &str) -> Option<u64> {
    if name.starts_with("delete") {
        return Some(FREES);
    }
    (name.starts_with("new") || name == "malloc_skip_new_handler").then_some(SIZE_IS_0)
}

/// The entry points of Abseil's tcmalloc, which the names of the C library and of C++ are aliases of.
fn tcmalloc(name: &str) -> Option<u64> {
    if name.starts_with("Delete") {
        return Some(FREES);
    }
    if name.starts_with("New") || name.starts_with("SizeReturningNew") {
        return Some(SIZE_IS_0);
    }
    Some(match name {
        "Malloc" | "Valloc" | "Pvalloc" | "AllocAtLeast" => SIZE_IS_0,
        "Calloc" => SIZE_IS_0_TIMES_1,
        "AlignedAlloc" | "Memalign" | "AlignedAllocAtLeast" => SIZE_IS_1,
        "PosixMemalign" => SIZE_IS_2 | GIVES_THROUGH_0,
        "Realloc" => SIZE_IS_1 | RESIZES,
        "ReallocArray" => SIZE_IS_1_TIMES_2 | RESIZES,
        "Free" | "Cfree" | "FreeSized" | "FreeAlignedSized" | "Sdallocx" => FREES,
        _ => return None,
    })
}

/// Of nginx, with the size as an argument, and of HAProxy, with the size in the pool.
fn pool(name: &str) -> Option<u64> {
    match name {
        "ngx_palloc" | "ngx_pnalloc" | "ngx_pcalloc" | "ngx_pmemalign" => Some(SIZE_IS_1 | IS_POOL),
        "__pool_alloc" => Some(SIZE_AT_0 | IS_POOL),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Family, find, throws};
    use abi::alloc::{
        FREES, GIVES_THROUGH_0, IS_POOL, RESIZES, SIZE_IS_0, SIZE_IS_0_TIMES_1, SIZE_IS_1, SIZE_IS_1_TIMES_2,
        SIZE_IS_2, SIZE_IS_3,
    };

    #[test]
    fn what_an_exception_may_leave_is_known_by_its_name() {
        for (name, expected) in [
            ("_Znwm", true),
            ("_ZnamSt11align_val_t", true),
            ("_ZnwmRKSt9nothrow_t", false),
            ("operator new@0x1000", true),
            ("TCMallocInternalNewNothrow", false),
            ("tc_newarray", true),
            ("mi_new_aligned_nothrow", false),
            ("malloc", false),
        ] {
            assert_eq!(throws(name), expected, "{name}");
        }
    }

    #[test]
    fn allocators_are_known_under_all_of_their_names_and_nothing_else_is() {
        for (name, expected) in [
            ("malloc", Some((Family::C, SIZE_IS_0))),
            ("je_calloc", Some((Family::C, SIZE_IS_0_TIMES_1))),
            ("__libc_realloc", Some((Family::C, SIZE_IS_1 | RESIZES))),
            ("reallocarray", Some((Family::C, SIZE_IS_1_TIMES_2 | RESIZES))),
            ("_rjem_posix_memalign", Some((Family::C, SIZE_IS_2 | GIVES_THROUGH_0))),
            ("_rjem_sdallocx", Some((Family::C, FREES))),
            ("mi_free_size_aligned", Some((Family::C, FREES))),
            ("mi_heap_calloc", Some((Family::C, SIZE_IS_1_TIMES_2))),
            ("tc_deletearray_sized", Some((Family::C, FREES))),
            ("tc_newarray", Some((Family::C, SIZE_IS_0))),
            ("TCMallocInternalNewAlignedNothrow", Some((Family::C, SIZE_IS_0))),
            ("TCMallocInternalDeleteArraySized", Some((Family::C, FREES))),
            ("_ZnwmSt11align_val_tRKSt9nothrow_t", Some((Family::Cpp, SIZE_IS_0))),
            ("_ZdaPvmSt11align_val_t", Some((Family::Cpp, FREES))),
            ("__rust_alloc_zeroed", Some((Family::Rust, SIZE_IS_0))),
            ("_RNvCs9wFQrvczXsK_7___rustc14___rust_realloc", Some((Family::Rust, SIZE_IS_3 | RESIZES))),
            ("_RNvCs9wFQrvczXsK_7___rustc13___rdl_dealloc", Some((Family::Rust, FREES))),
            ("ngx_pnalloc", Some((Family::Pool, SIZE_IS_1 | IS_POOL))),
            ("xmalloc", None),
            ("new", None),
            ("xallocx", None),
            ("malloc_usable_size", None),
            ("TCMallocInternalMallocSize", None),
            ("_RNvCs9wFQrvczXsK_7___rustc26___rust_alloc_error_handler", None),
            ("_RNvCs_7___rustc", None),
            ("", None),
        ] {
            assert_eq!(find(name), expected, "{name}");
        }
    }
}
