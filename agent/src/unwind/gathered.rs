//! The functions of a file and their rows, from whichever source, until they are put in order.

use super::{
    dictionary::Dictionary,
    error::UnwindError,
    functions::Functions,
    order::{self, Function},
    rows::{CodeSegment, Losses, Row, Rows},
};
use abi::unwind::{MAX_ROWS_PER_FILE, UnwindRule};

/// Functions of a file, at most. Envoy has 240,267.
const MAX_FUNCTIONS: usize = 1 << 22;

/// What is gathered so far.
#[derive(Debug)]
pub(super) struct Gathered {
    /// By address.
    code: Vec<CodeSegment>,
    dictionary: Dictionary,
    functions: Vec<Function>,
    rows: Vec<Row>,
    /// First row of the function that is being added.
    first_row: usize,
    /// Rows that the sources have gone through so far.
    pub(super) n_run: usize,
    pub(super) losses: Losses,
}

impl Gathered {
    pub(super) fn new(code: &[CodeSegment]) -> Self {
        let mut code = code.to_vec();
        code.sort_by_key(|segment| segment.svma);
        Self {
            code,
            dictionary: Dictionary::new(),
            functions: Vec::new(),
            rows: Vec::new(),
            first_row: 0,
            n_run: 0,
            losses: Losses::default(),
        }
    }

    /// Where in the file a function starts and ends, cut where its segment does.
    pub(super) fn place(&self, svma: u64, size_bytes: u64) -> Option<(u32, u32)> {
        let after = self.code.partition_point(|segment| segment.svma <= svma);
        let segment = self.code.get(after.checked_sub(1)?)?;
        let within = svma.checked_sub(segment.svma)?;
        let room_bytes = segment.size_bytes.checked_sub(within).filter(|&bytes| bytes > 0)?;
        let start = segment.file_offset.checked_add(within)?;
        let end = start.checked_add(size_bytes.min(room_bytes))?.min(u32::MAX.into());
        let (start, end) = (u32::try_from(start).ok()?, u32::try_from(end).ok()?);
        (start < end).then_some((start, end))
    }

    /// Begins a function: the rows pushed until [`Self::end`] are its own.
    pub(super) fn begin(&mut self) -> Result<(), UnwindError> {
        if self.functions.len() >= MAX_FUNCTIONS {
            return Err(UnwindError::TooManyFunctions { limit: MAX_FUNCTIONS });
        }
        self.first_row = self.rows.len();
        Ok(())
    }

    /// A row of the present function, unless it says what the one before it says.
    pub(super) fn push(&mut self, file_offset: u32, rule: UnwindRule) {
        let rule = self.dictionary.number_of(rule);
        let before = self.rows.get(self.first_row..).and_then(<[Row]>::last);
        if before.map(|row| row.rule) != Some(rule) {
            self.rows.push(Row { file_offset, rule });
        }
    }

    /// Ends the present function.
    pub(super) fn end(&mut self, start: u32, end: u32) -> Result<(), UnwindError> {
        if self.n_run > MAX_ROWS_PER_FILE {
            return Err(UnwindError::TooManyRows { limit: MAX_ROWS_PER_FILE });
        }
        self.functions.push(Function {
            start,
            end,
            first_row: u32::try_from(self.first_row).unwrap_or(u32::MAX),
            n_rows: u32::try_from(self.rows.len().saturating_sub(self.first_row)).unwrap_or(u32::MAX),
        });
        Ok(())
    }

    /// All of it as one list.
    pub(super) fn finish(mut self) -> Result<Rows, UnwindError> {
        let n_functions = self.functions.len();
        let (rows, n_duplicate) = order::one_list(&mut self.functions, &self.rows);
        if rows.len() > MAX_ROWS_PER_FILE {
            return Err(UnwindError::TooManyRows { limit: MAX_ROWS_PER_FILE });
        }
        self.losses.n_duplicate = n_duplicate;
        Ok(Rows {
            rows,
            rules: self.dictionary.into_rules(),
            n_functions: u32::try_from(n_functions).unwrap_or(u32::MAX),
            functions: Functions::new(self.functions.iter().map(|function| function.start..function.end)),
            losses: self.losses,
        })
    }
}
