//! What tests/programs/accounted.c allocates.

/// A function of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Site {
    /// Its name.
    pub function: &'static str,
    /// MiB that it asks for.
    pub mib: u64,
    /// Whether it keeps them.
    pub keeps: bool,
}

const fn freed(function: &'static str, mib: u64) -> Site {
    Site { function, mib, keeps: false }
}

const fn kept(function: &'static str, mib: u64) -> Site {
    Site { function, mib, keeps: true }
}

/// All of them: 10 GiB.
pub const SITES: [Site; 10] = [
    freed("freed_16", 64),
    freed("freed_256", 192),
    freed("freed_4k", 384),
    freed("freed_64k", 2048),
    freed("freed_1m", 2048),
    freed("freed_16m", 4096),
    kept("kept_256", 64),
    kept("kept_1k", 192),
    kept("kept_4k", 128),
    kept("kept_1m", 1024),
];

#[cfg(test)]
mod tests {
    use super::SITES;

    #[test]
    fn they_make_10_gibibytes() {
        assert_eq!(SITES.iter().map(|site| site.mib).sum::<u64>(), 10 << 10);
    }
}
