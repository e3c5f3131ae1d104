//! File offsets to virtual addresses and back, by the segments that the loader maps.
//!
//! An SVMA is an address as the file states it, before the loader moves it.

use ::object::elf;

use super::elf::Elf;

/// The loadable segments of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Segments {
    loads: Vec<Load>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Load {
    file_offset: u64,
    svma: u64,
    file_bytes: u64,
    executable: bool,
}

impl Segments {
    /// Takes the segments out of the headers.
    pub fn of(elf: &Elf<'_>) -> Self {
        let mut loads: Vec<Load> = elf
            .program_headers
            .iter()
            .filter(|header| header.kind == elf::PT_LOAD.0)
            .map(|header| Load {
                file_offset: header.file_offset,
                svma: header.svma,
                file_bytes: header.file_bytes,
                executable: header.flags & elf::PF_X.0 != 0,
            })
            .collect();
        // Linkers let the last page of one segment be the first of the next; what is asked for is code.
        loads.sort_by_key(|load| !load.executable);
        Self { loads }
    }

    /// The address of the byte at `file_offset`.
    pub fn svma_of(&self, file_offset: u64) -> Option<u64> {
        self.loads.iter().find_map(|load| {
            let within = file_offset.checked_sub(load.file_offset)?;
            if within < load.file_bytes { load.svma.checked_add(within) } else { None }
        })
    }

    /// Where in the file the byte at `svma` is; none where the file holds no byte for it.
    pub fn file_offset_of(&self, svma: u64) -> Option<u64> {
        self.loads.iter().find_map(|load| {
            let within = svma.checked_sub(load.svma)?;
            if within < load.file_bytes { load.file_offset.checked_add(within) } else { None }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_go_there_and_back_and_code_wins_over_data() {
        let data = Load { file_offset: 0, svma: 0x1000, file_bytes: 0x300, executable: false };
        let code = Load { file_offset: 0x200, svma: 0x40_0200, file_bytes: 0x100, executable: true };
        let segments = Segments { loads: vec![code, data] };
        assert_eq!(segments.svma_of(0x250), Some(0x40_0250));
        assert_eq!(segments.svma_of(0x1ff), Some(0x11ff));
        assert_eq!(segments.svma_of(0x300), None);
        assert_eq!(segments.file_offset_of(0x40_02ff), Some(0x2ff));
        assert_eq!(segments.file_offset_of(0x40_0300), None);
    }

    #[test]
    fn a_segment_at_the_end_of_the_address_space_does_not_overflow() {
        let top = Load { file_offset: u64::MAX - 1, svma: u64::MAX, file_bytes: u64::MAX, executable: true };
        let segments = Segments { loads: vec![top] };
        assert_eq!(segments.svma_of(u64::MAX), None);
        assert_eq!(segments.file_offset_of(u64::MAX), Some(u64::MAX - 1));
    }

    #[test]
    fn this_executable_translates_its_own_text() {
        let file = std::fs::File::open("/proc/self/exe").expect("own executable");
        let elf = Elf::parse(&file).expect("parses");
        let text = elf.section(".text").expect("text");
        let segments = Segments::of(&elf);
        assert_eq!(segments.svma_of(text.file_offset), Some(text.svma), "{segments:x?}");
        assert_eq!(segments.file_offset_of(text.svma), Some(text.file_offset), "{segments:x?}");
    }
}
