//! Another unwinder: DWARF's own evaluation of a stopped thread, with all its registers, frame by frame. Of ours it
//! shares neither the rules, nor the tables, nor the step; only where there is no description at all do both follow
//! the frame pointer.

use agent::object::{Elf, Segments};
use anyhow::{Context as _, Result};
use gimli::{
    BaseAddresses, CfaRule, EhFrame, Encoding, EndianSlice, EvaluationResult, LittleEndian, Location,
    Register, RegisterRule, UnwindContext, UnwindExpression, UnwindSection, UnwindTableRow, Value,
};

use crate::live::{MappedFile, Process};

/// Registers of DWARF on x86-64: sixteen general ones and the return address.
type All = [Option<u64>; 17];
type Bytes<'section> = EndianSlice<'section, LittleEndian>;

const RBP: usize = 6;
const RSP: usize = 7;
const RIP: usize = 16;
/// More than any stack recorded.
const MAX_FRAMES: usize = 512;
const MAX_SECTION_BYTES: u64 = 64 << 20;

/// The addresses of the frames, leaf first, as in [`crate::walk::Walked::addresses`].
///
/// # Errors
/// If a file cannot be read.
pub fn unwind(process: &Process, ip: u64, registers: &[u64; 16]) -> Result<Vec<u64>> {
    let mut all: All = [None; 17];
    all.iter_mut().zip(registers).for_each(|(slot, &value)| *slot = Some(value));
    let mut frames = Vec::new();
    let (mut ip, mut is_return) = (ip, false);
    while frames.len() < MAX_FRAMES {
        let address = ip - u64::from(is_return);
        let found = process
            .mappings
            .iter()
            .zip(&process.files)
            .find(|(mapping, _)| (mapping.start..mapping.end).contains(&address));
        let Some((mapping, file)) = found else { break };
        frames.push(address);
        let offset = address - mapping.start + mapping.file_offset;
        let described = match file {
            Some(file) => Frame { process, registers: all, ip }.described(file, offset)?,
            None => Described::Nothing,
        };
        let caller = match described {
            Described::Root => break,
            Described::Caller { registers, is_signal } => Some((*registers, !is_signal)),
            Described::Nothing => by_frame_pointer(process, &all).map(|registers| (registers, true)),
        };
        let Some((registers, has_called)) = caller else { break };
        all = registers;
        is_return = has_called;
        match all[RIP] {
            Some(caller) if caller != 0 => ip = caller,
            _ => break,
        }
    }
    Ok(frames)
}

fn by_frame_pointer(process: &Process, all: &All) -> Option<All> {
    let bp = all[RBP].filter(|&bp| bp != 0)?;
    let mut caller: All = [None; 17];
    caller[RBP] = Some(process.word(bp)?);
    caller[RIP] = Some(process.word(bp + 8)?);
    caller[RSP] = Some(bp + 16);
    Some(caller)
}

enum Described {
    Nothing,
    Root,
    Caller { registers: Box<All>, is_signal: bool },
}

struct Frame<'a> {
    process: &'a Process,
    registers: All,
    ip: u64,
}

impl Frame<'_> {
    fn described(&self, file: &MappedFile, offset: u64) -> Result<Described> {
        let elf = Elf::parse(&file.object.file)?;
        let Some(section) = elf.section(".eh_frame") else { return Ok(Described::Nothing) };
        let svma = Segments::of(&elf).svma_of(offset).context("code without an address")?;
        let bytes = elf.section_bytes(section, MAX_SECTION_BYTES)?;
        let eh_frame = EhFrame::new(&bytes, LittleEndian);
        let bases = BaseAddresses::default().set_eh_frame(section.svma);
        let Ok(function) = eh_frame.fde_for_address(&bases, svma, EhFrame::cie_from_offset) else {
            return Ok(Described::Nothing);
        };
        let mut context = UnwindContext::new();
        let row = function.unwind_info_for_address(&eh_frame, &bases, &mut context, svma)?;
        if row.register(Register(16)) == Some(RegisterRule::Undefined) {
            return Ok(Described::Root);
        }
        let evaluation = Evaluate { frame: self, eh_frame, encoding: function.cie().encoding() };
        let Some(registers) = evaluation.caller(row) else {
            // Described, and cannot be followed: the chain ends here.
            return Ok(Described::Root);
        };
        Ok(Described::Caller { registers: Box::new(registers), is_signal: function.is_signal_trampoline() })
    }
}

struct Evaluate<'a, 'section> {
    frame: &'a Frame<'a>,
    eh_frame: EhFrame<Bytes<'section>>,
    encoding: Encoding,
}

impl Evaluate<'_, '_> {
    fn caller(&self, row: &UnwindTableRow<usize>) -> Option<All> {
        let cfa = match row.cfa() {
            CfaRule::RegisterAndOffset { register, offset } => {
                self.register(register.0)?.wrapping_add_signed(*offset)
            }
            CfaRule::Expression(expression) => self.run(expression, None)?,
        };
        let mut caller: All = [None; 17];
        for (number, slot) in (0_u16..).zip(&mut caller) {
            let default = if usize::from(number) == RSP { Some(cfa) } else { self.register(number) };
            *slot = self.value(row.register(Register(number)).as_ref(), cfa, default);
        }
        // A rip that nothing says where to find is not the present one.
        row.register(Register(16))?;
        Some(caller)
    }

    fn register(&self, number: u16) -> Option<u64> {
        let number = usize::from(number);
        if number == RIP { Some(self.frame.ip) } else { *self.frame.registers.get(number)? }
    }

    fn value(&self, rule: Option<&RegisterRule<usize>>, cfa: u64, default: Option<u64>) -> Option<u64> {
        let word = |address| self.frame.process.word(address);
        match rule {
            None | Some(RegisterRule::SameValue) => default,
            Some(&RegisterRule::Offset(offset)) => word(cfa.wrapping_add_signed(offset)),
            Some(&RegisterRule::ValOffset(offset)) => Some(cfa.wrapping_add_signed(offset)),
            Some(RegisterRule::Register(register)) => self.register(register.0),
            Some(RegisterRule::Expression(expression)) => word(self.run(expression, Some(cfa))?),
            Some(RegisterRule::ValExpression(expression)) => self.run(expression, Some(cfa)),
            Some(_) => None,
        }
    }

    /// What an expression leaves, with `initial` on the stack first.
    fn run(&self, expression: &UnwindExpression<usize>, initial: Option<u64>) -> Option<u64> {
        let code = expression.get(&self.eh_frame).ok()?;
        let mut evaluation = code.evaluation(self.encoding);
        if let Some(initial) = initial {
            evaluation.set_initial_value(initial);
        }
        let mut step = evaluation.evaluate().ok()?;
        loop {
            step = match step {
                EvaluationResult::Complete => break,
                EvaluationResult::RequiresRegister { register, .. } => {
                    let value = Value::Generic(self.register(register.0)?);
                    evaluation.resume_with_register(value).ok()?
                }
                EvaluationResult::RequiresMemory { address, .. } => {
                    let value = Value::Generic(self.frame.process.word(address)?);
                    evaluation.resume_with_memory(value).ok()?
                }
                _ => return None,
            };
        }
        match evaluation.as_result().first()?.location {
            Location::Address { address } => Some(address),
            _ => None,
        }
    }
}
