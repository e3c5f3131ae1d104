//! Every row of real files, against the DWARF library's own evaluation of the same description.
//!
//! Both sides are carried out on the same invented registers and memory, and the callers compared: nothing of how
//! rules are recognised or packed is shared. Memory answers each address with its own number, so that another
//! address shows.

use std::collections::BTreeMap;
use std::path::Path;

use gimli::{
    BaseAddresses, CfaRule, CieOrFde, EhFrame, EndianSlice, Evaluation, EvaluationResult, LittleEndian,
    Location, Register, RegisterRule, UnwindContext, UnwindExpression, UnwindSection, UnwindTableRow, Value,
};

use super::apply::{Outcome, Registers, apply};
use crate::{
    object::{Elf, ObjectFile, Segments},
    unwind::{Table, Unsupported, build, lookup},
};

type Bytes<'section> = EndianSlice<'section, LittleEndian>;

const RBP: Register = Register(6);
const RSP: Register = Register(7);
const RIP: Register = Register(16);

fn mix(word: u64) -> u64 {
    let word = (word ^ word >> 31).wrapping_mul(0x7fb5_d329_728e_a185);
    (word ^ word >> 27).wrapping_mul(0x81da_def4_bc2d_d44d) | 1
}

fn registers_at(svma: u64) -> Registers {
    let mut registers: Registers = std::array::from_fn(|number| mix(number as u64 + 1000));
    registers[16] = svma;
    registers
}

struct Opinion<'section> {
    section: EhFrame<Bytes<'section>>,
    registers: Registers,
    encoding: gimli::Encoding,
}

impl Opinion<'_> {
    /// Value that an expression leaves, with `initial` on the stack first.
    fn run(&self, expression: &UnwindExpression<usize>, initial: Option<u64>) -> Option<u64> {
        let code = expression.get(&self.section).ok()?;
        let mut evaluation: Evaluation<Bytes<'_>> = code.evaluation(self.encoding);
        if let Some(initial) = initial {
            evaluation.set_initial_value(initial);
        }
        let mut step = evaluation.evaluate().ok()?;
        loop {
            step = match step {
                EvaluationResult::Complete => break,
                EvaluationResult::RequiresRegister { register, .. } => {
                    let value = *self.registers.get(usize::from(register.0))?;
                    evaluation.resume_with_register(Value::Generic(value)).ok()?
                }
                EvaluationResult::RequiresMemory { address, .. } => {
                    evaluation.resume_with_memory(Value::Generic(mix(address))).ok()?
                }
                _ => return None,
            };
        }
        match evaluation.as_result().first()?.location {
            Location::Address { address } => Some(address),
            _ => None,
        }
    }

    /// The caller's value of a register: `None` if it cannot be known, `Some(None)` if there is none.
    fn value(&self, rule: Option<&RegisterRule<usize>>, cfa: u64, default: u64) -> Option<Option<u64>> {
        Some(match rule {
            None | Some(RegisterRule::SameValue) => Some(default),
            Some(RegisterRule::Undefined) => None,
            Some(&RegisterRule::Offset(offset)) => Some(mix(cfa.wrapping_add_signed(offset))),
            Some(&RegisterRule::ValOffset(offset)) => Some(cfa.wrapping_add_signed(offset)),
            Some(RegisterRule::Register(register)) => Some(*self.registers.get(usize::from(register.0))?),
            Some(RegisterRule::Expression(expression)) => Some(mix(self.run(expression, Some(cfa))?)),
            Some(RegisterRule::ValExpression(expression)) => Some(self.run(expression, Some(cfa))?),
            Some(_) => return None,
        })
    }

    fn outcome(&self, row: &UnwindTableRow<usize>, is_signal: bool) -> Option<Outcome> {
        if row.register(RIP) == Some(RegisterRule::Undefined) {
            return Some(Outcome::Root);
        }
        let cfa = match row.cfa() {
            CfaRule::RegisterAndOffset { register, offset } => {
                self.registers.get(usize::from(register.0))?.wrapping_add_signed(*offset)
            }
            CfaRule::Expression(expression) => self.run(expression, None)?,
        };
        // An rsp that is the same cannot be told from one that is not mentioned by its value.
        let rsp_default = if row.register(RSP).is_some() { self.registers[7] } else { cfa };
        Some(Outcome::Caller {
            rsp: self.value(row.register(RSP).as_ref(), cfa, rsp_default)??,
            rip: self.value(row.register(RIP).as_ref(), cfa, self.registers[16])??,
            rbp: self.value(row.register(RBP).as_ref(), cfa, self.registers[6])?,
            is_signal,
        })
    }
}

#[derive(Debug, Default)]
struct Tally {
    n_agree: u64,
    n_rbp_lost: u64,
    unsupported: BTreeMap<Unsupported, u64>,
    differing: Vec<String>,
}

impl Tally {
    fn add(&mut self, svma: u64, expected: Option<Outcome>, seen: Outcome) {
        match (expected, seen) {
            (_, Outcome::Unsupported(reason)) => *self.unsupported.entry(reason).or_default() += 1,
            (Some(expected), seen) if expected == seen => self.n_agree += 1,
            (
                Some(Outcome::Caller { rsp, rip, rbp: Some(_), is_signal }),
                seen @ Outcome::Caller { rbp: None, .. },
            ) if seen == (Outcome::Caller { rsp, rip, rbp: None, is_signal }) => self.n_rbp_lost += 1,
            (expected, seen) => self.differing.push(format!("{svma:#x}: {expected:x?}, table {seen:x?}")),
        }
    }
}

fn compare(path: &Path) -> (Tally, Table) {
    let object = ObjectFile::open(path).expect("opens");
    let table = build(&object).expect("builds");
    let elf = Elf::parse(&object.file).expect("parses");
    let segments = Segments::of(&elf);
    let section = elf.section(".eh_frame").expect("has .eh_frame");
    let bytes = elf.section_bytes(section, u64::MAX).expect("reads");
    let bases = BaseAddresses::default().set_eh_frame(section.svma);
    let eh_frame = EhFrame::new(&bytes, LittleEndian);

    let mut tally = Tally::default();
    let mut ranges = Vec::new();
    let mut entries = eh_frame.entries(&bases);
    while let Some(entry) = entries.next().expect("entry") {
        let CieOrFde::Fde(partial) = entry else { continue };
        let function = partial.parse(EhFrame::cie_from_offset).expect("function");
        let (start, end) = (function.initial_address(), function.end_address());
        ranges.push((start, end));
        let mut context = UnwindContext::new();
        let mut rows = function.rows(&eh_frame, &bases, &mut context).expect("rows");
        while let Some(row) = rows.next_row().expect("row") {
            // An expression may depend on the place: a linkage table's does.
            let n_starts = if matches!(row.cfa(), CfaRule::Expression(_)) { 16 } else { 1 };
            let starts = (0..n_starts).map(|i| row.start_address() + i);
            for svma in starts.chain([row.end_address().wrapping_sub(1)]) {
                if !row.contains(svma) || !function.contains(svma) {
                    continue;
                }
                let registers = registers_at(svma);
                let opinion = Opinion { section: eh_frame, registers, encoding: function.cie().encoding() };
                let expected = opinion.outcome(row, function.is_signal_trampoline());
                let offset = segments.file_offset_of(svma).expect("in the file");
                tally.add(svma, expected, apply(lookup(&table, offset), &registers, mix));
            }
        }
    }

    // Between functions there is nothing to say.
    ranges.sort_unstable();
    for pair in ranges.windows(2) {
        let gap = pair[0].1..pair[1].0;
        for svma in [gap.start, gap.end.wrapping_sub(1)] {
            let Some(offset) = segments.file_offset_of(svma).filter(|_| gap.contains(&svma)) else {
                continue;
            };
            tally.add(
                svma,
                Some(Outcome::NoInformation),
                apply(lookup(&table, offset), &registers_at(svma), mix),
            );
        }
    }
    (tally, table)
}

#[test]
fn every_row_of_real_files_leads_to_the_caller_that_dwarf_leads_to() {
    for path in super::paths() {
        let (tally, table) = compare(&path);
        println!(
            "{}: {} rows, {} places agree, {} lose rbp, unsupported {:?}, {:?}",
            path.display(),
            table.n_rows,
            tally.n_agree,
            tally.n_rbp_lost,
            tally.unsupported,
            table.losses
        );
        let shown = tally.differing.iter().take(10).collect::<Vec<_>>();
        assert!(shown.is_empty(), "{}: {} differ: {shown:#?}", path.display(), tally.differing.len());
        assert!(tally.n_agree > u64::from(table.n_rows), "{}: {tally:?}", path.display());
        // setcontext and its like in the C library, which load another stack.
        let n_unknown = tally.n_rbp_lost + tally.unsupported.values().sum::<u64>();
        assert!(n_unknown * 1000 < tally.n_agree, "{}: {tally:?}", path.display());
    }
}

#[test]
fn a_table_takes_less_than_three_bytes_a_row() {
    for path in super::paths() {
        let table = build(&ObjectFile::open(&path).expect("opens")).expect("builds");
        let (size_bytes, n_rows) = (table.size_bytes(), table.n_rows as usize);
        assert!(size_bytes < 3 * n_rows, "{}: {size_bytes} bytes for {n_rows} rows", path.display());
    }
}

#[test]
fn the_kernels_own_object_has_a_table() {
    let vdso = crate::object::vdso::open_vdso().expect("copies");
    let table = build(&vdso).expect("builds");
    assert!(table.n_rows > 10 && table.unsupported.is_empty(), "{table:?}");
    assert_eq!(table.losses, crate::unwind::Losses::default());
}
