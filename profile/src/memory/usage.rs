//! What is measured of a process or of a tree of them.

use serde::{Deserialize, Serialize};

/// Memory of a process at one moment; of a tree, the sums.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryUse {
    /// RSS: pages in memory, of whatever kind.
    pub resident_bytes: u64,
    /// `RssAnon`: heap, stacks and other memory without a file.
    pub anonymous_bytes: u64,
    /// `RssFile`: mapped files.
    pub file_bytes: u64,
    /// `RssShmem`: shared memory and files on tmpfs.
    pub shared_bytes: u64,
    /// `VmSwap`: anonymous memory that was swapped out.
    pub swap_bytes: u64,
    /// `VmPTE`: what the kernel needs to map it.
    pub page_table_bytes: u64,
    /// `HugetlbPages`: of the pool of huge pages, which is not part of RSS.
    pub hugetlb_bytes: u64,
    /// PSS: like RSS, but a page that n processes share counts one n-th. None if it was not read.
    pub proportional_bytes: Option<u64>,
    /// Transparent huge pages of all kinds. None if it was not read.
    pub huge_page_bytes: Option<u64>,
}

/// One quantity of [`MemoryUse`], or derived from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Field {
    /// `resident_bytes`.
    Resident,
    /// `proportional_bytes`.
    Proportional,
    /// What the verdict is on: memory that is nobody else's and that only the process itself can give back.
    AnonymousAndSwap,
    /// `anonymous_bytes`.
    Anonymous,
    /// `file_bytes`.
    File,
    /// `shared_bytes`.
    Shared,
    /// `swap_bytes`.
    Swap,
    /// `page_table_bytes`.
    PageTables,
    /// `huge_page_bytes`.
    HugePages,
    /// `hugetlb_bytes`.
    Hugetlb,
}

impl Field {
    /// All of them, in the order of reports.
    pub const ALL: [Self; 10] = [
        Self::Resident,
        Self::Proportional,
        Self::AnonymousAndSwap,
        Self::Anonymous,
        Self::File,
        Self::Shared,
        Self::Swap,
        Self::PageTables,
        Self::HugePages,
        Self::Hugetlb,
    ];

    /// For programs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Resident => "resident",
            Self::Proportional => "proportional",
            Self::AnonymousAndSwap => "anonymous_and_swap",
            Self::Anonymous => "anonymous",
            Self::File => "file",
            Self::Shared => "shared",
            Self::Swap => "swap",
            Self::PageTables => "page_tables",
            Self::HugePages => "huge_pages",
            Self::Hugetlb => "hugetlb",
        }
    }

    /// For people.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Resident => "resident (RSS)",
            Self::Proportional => "proportional (PSS)",
            Self::AnonymousAndSwap => "anonymous + swap",
            Self::Anonymous => "anonymous",
            Self::File => "file",
            Self::Shared => "shared",
            Self::Swap => "swap",
            Self::PageTables => "page tables",
            Self::HugePages => "huge pages (THP)",
            Self::Hugetlb => "hugetlb",
        }
    }
}

impl MemoryUse {
    /// One quantity; none if it was not read.
    #[must_use]
    pub fn get(&self, field: Field) -> Option<u64> {
        match field {
            Field::Resident => Some(self.resident_bytes),
            Field::Proportional => self.proportional_bytes,
            Field::AnonymousAndSwap => Some(self.anonymous_bytes.saturating_add(self.swap_bytes)),
            Field::Anonymous => Some(self.anonymous_bytes),
            Field::File => Some(self.file_bytes),
            Field::Shared => Some(self.shared_bytes),
            Field::Swap => Some(self.swap_bytes),
            Field::PageTables => Some(self.page_table_bytes),
            Field::HugePages => self.huge_page_bytes,
            Field::Hugetlb => Some(self.hugetlb_bytes),
        }
    }

    /// The sums; what was not read of one is not known of all.
    #[must_use]
    pub fn sum<'a>(uses: impl IntoIterator<Item = &'a Self>) -> Self {
        let zero = Self { proportional_bytes: Some(0), huge_page_bytes: Some(0), ..Self::default() };
        let both = |a: Option<u64>, b: Option<u64>| Some(a?.saturating_add(b?));
        uses.into_iter().fold(zero, |sum, it| Self {
            resident_bytes: sum.resident_bytes.saturating_add(it.resident_bytes),
            anonymous_bytes: sum.anonymous_bytes.saturating_add(it.anonymous_bytes),
            file_bytes: sum.file_bytes.saturating_add(it.file_bytes),
            shared_bytes: sum.shared_bytes.saturating_add(it.shared_bytes),
            swap_bytes: sum.swap_bytes.saturating_add(it.swap_bytes),
            page_table_bytes: sum.page_table_bytes.saturating_add(it.page_table_bytes),
            hugetlb_bytes: sum.hugetlb_bytes.saturating_add(it.hugetlb_bytes),
            proportional_bytes: both(sum.proportional_bytes, it.proportional_bytes),
            huge_page_bytes: both(sum.huge_page_bytes, it.huge_page_bytes),
        })
    }
}
