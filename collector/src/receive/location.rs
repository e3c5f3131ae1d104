//! A place in code as frames: the same for all formats.

use crate::{
    limits::MAX_STACK_FRAMES,
    model::{Builder, FrameText},
    refusal::Refusal,
};

/// A line of the source, and the function that it is in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line<'a> {
    pub(super) function: &'a str,
    pub(super) file: &'a str,
    pub(super) number: i64,
}

/// An address, and the mapping that it lies in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Address {
    pub(super) address: u64,
    pub(super) start: u64,
    pub(super) limit: u64,
    pub(super) file_offset: u64,
}

impl Address {
    /// Where in the file, so that it is the same in every process. What has a name and no file has no address: it would
    /// make another frame of the same function in each process.
    fn in_file(self, mapping: &str, has_name: bool) -> u64 {
        let is_file = !mapping.is_empty() && !mapping.starts_with('[');
        let is_within = (self.start..self.limit).contains(&self.address);
        match (is_file, is_within) {
            (false, _) if has_name => 0,
            (true, true) => self.address.saturating_sub(self.start).saturating_add(self.file_offset),
            _ => self.address,
        }
    }

    /// The frames of this place: one for each line, the innermost inlined one first, or one without a name. They have all
    /// of `frame`. One more than a stack may have is enough to be refused for.
    pub(super) fn frames<'a>(
        self,
        frame: FrameText<'a>,
        lines: impl ExactSizeIterator<Item = Result<Line<'a>, Refusal>>,
        builder: &mut Builder<'_>,
    ) -> Result<Vec<u32>, Refusal> {
        let Some(last) = lines.len().checked_sub(1) else {
            let address = self.in_file(frame.mapping, false);
            return Ok(vec![builder.frame(&FrameText { address, ..frame })]);
        };
        let lines = lines.enumerate().take(MAX_STACK_FRAMES.saturating_add(1));
        lines
            .map(|(at, line)| {
                let Line { function, file, number } = line?;
                let address = self.in_file(frame.mapping, !function.is_empty());
                let is_inlined = at < last;
                Ok(builder.frame(&FrameText { function, file, line: number, address, is_inlined, ..frame }))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Address;

    #[test]
    fn an_address_is_that_in_the_file_and_none_where_it_means_nothing() {
        let address = Address { address: 0x5010, start: 0x5000, limit: 0x6000, file_offset: 0x200 };
        assert_eq!(address.in_file("/usr/sbin/nginx", true), 0x210);
        assert_eq!(address.in_file("", true), 0);
        assert_eq!(address.in_file("[kernel.kallsyms]", true), 0);
        assert_eq!(address.in_file("", false), 0x5010, "there is nothing else to show");
        assert_eq!(Address { limit: 0, ..address }.in_file("/a", true), 0x5010);
    }
}
