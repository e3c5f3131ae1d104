//! What DWARF says of one row, as a rule of eight bytes.

use gimli::{
    CfaRule, Encoding, EndianSlice, LittleEndian, Register, RegisterRule, UnwindContextStorage,
    UnwindSection, UnwindTableRow,
};

use super::expression::{Meaning, meaning};
use abi::unwind::{
    CFA_DEREF, CFA_DEREF_INDEXED, CFA_PLT, CFA_REGISTER, CFA_ROOT, CFA_SIGNAL, CFA_UNSUPPORTED, RA_AT_CFA,
    RA_BELOW_CFA, RA_IN_REGISTER, RBP, RBP_AT_CFA, RBP_AT_RBP, RBP_AT_RSP, RBP_SAME, RBP_UNDEFINED, RSP,
    SIGNAL_FRAME, UnwindRule,
};

/// A register by its DWARF number.
pub(super) type DwarfRegister = u16;
/// The return address, and the instruction pointer in expressions.
pub(super) const RIP: DwarfRegister = 16;
const STACK: DwarfRegister = RSP as DwarfRegister;
const FRAME: DwarfRegister = RBP as DwarfRegister;

/// Why there is a rule that is not known here: what [`UnwindRule::offset`] holds with [`CFA_UNSUPPORTED`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(i32)]
pub enum Unsupported {
    /// The CFA is an expression of another form.
    CfaExpression = 1,
    /// The CFA starts from a register that is not a general one.
    CfaRegister,
    /// The return address is somewhere else.
    ReturnAddress,
    /// The caller's rsp is not the CFA.
    StackPointer,
    /// An offset does not fit.
    OffsetRange,
    /// The description of the function is broken from here on.
    BrokenDescription,
    /// The dictionary is full, or one quarter of a page has too many rules out of the dictionary's first part.
    OverLimit,
}

impl Unsupported {
    /// Every reason.
    pub const ALL: [Self; 7] = [
        Self::CfaExpression,
        Self::CfaRegister,
        Self::ReturnAddress,
        Self::StackPointer,
        Self::OffsetRange,
        Self::BrokenDescription,
        Self::OverLimit,
    ];

    /// The rule that says so.
    #[must_use]
    pub const fn rule(self) -> UnwindRule {
        UnwindRule { cfa: CFA_UNSUPPORTED, registers: 0, rbp_offset: 0, offset: self as i32 }
    }

    /// What a rule says, if it is one of these.
    #[must_use]
    pub fn of(rule: UnwindRule) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.rule() == rule)
    }
}

/// The rule of a row. `is_signal` is what the function's augmentation says.
pub(super) fn rule_of<'section, Section, Storage>(
    row: &UnwindTableRow<usize, Storage>,
    section: &Section,
    encoding: Encoding,
    is_signal: bool,
) -> UnwindRule
where
    Section: UnwindSection<EndianSlice<'section, LittleEndian>>,
    Storage: UnwindContextStorage<usize>,
{
    let place = |register| place_of(row.register(Register(register)).as_ref(), section, encoding);
    let cfa = match *row.cfa() {
        CfaRule::RegisterAndOffset { register, offset } => Meaning::Sum { register: register.0, offset },
        CfaRule::Expression(ref expression) => meaning(expression, section, encoding),
    };
    let places = Places { cfa, rsp: place(STACK), rip: place(RIP), rbp: place(FRAME) };
    let rule = places.signal().unwrap_or_else(|| places.call());
    rule.map_or_else(Unsupported::rule, |rule| match rule.cfa {
        // The root's caller does not exist.
        CFA_ROOT => rule,
        _ => UnwindRule { registers: rule.registers | if is_signal { SIGNAL_FRAME } else { 0 }, ..rule },
    })
}

/// Where a register of the caller is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Not mentioned.
    Default,
    Undefined,
    Same,
    AtCfa(i64),
    /// Not in memory: its value is CFA + offset.
    IsCfa(i64),
    InRegister(DwarfRegister),
    /// At register + offset.
    At(DwarfRegister, i64),
    Other,
}

fn place_of<'section, Section>(
    rule: Option<&RegisterRule<usize>>,
    section: &Section,
    encoding: Encoding,
) -> Place
where
    Section: UnwindSection<EndianSlice<'section, LittleEndian>>,
{
    match rule {
        None => Place::Default,
        Some(RegisterRule::Undefined) => Place::Undefined,
        Some(RegisterRule::SameValue) => Place::Same,
        Some(&RegisterRule::Offset(offset)) => Place::AtCfa(offset),
        Some(&RegisterRule::ValOffset(offset)) => Place::IsCfa(offset),
        Some(&RegisterRule::Register(register)) => Place::InRegister(register.0),
        Some(RegisterRule::Expression(expression)) => match meaning(expression, section, encoding) {
            Meaning::Sum { register, offset } => Place::At(register, offset),
            _ => Place::Other,
        },
        Some(_) => Place::Other,
    }
}

#[derive(Clone, Copy, Debug)]
struct Places {
    cfa: Meaning,
    rsp: Place,
    rip: Place,
    rbp: Place,
}

impl Places {
    /// The form of a trampoline that returns from a signal handler: three registers out of one structure.
    fn signal(&self) -> Option<Result<UnwindRule, Unsupported>> {
        let (Meaning::Deref { register: STACK, offset: rsp_at, add: 0 }, Place::At(STACK, rip_at)) =
            (self.cfa, self.rip)
        else {
            return None;
        };
        let Place::At(STACK, rbp_at) = self.rbp else { return None };
        if !matches!(self.rsp, Place::At(STACK, at) if at == rsp_at) && self.rsp != Place::Default {
            return None;
        }
        let rule = || {
            let offset = UnwindRule::halves(short(rsp_at)?, short(rip_at)?);
            Ok(UnwindRule { cfa: CFA_SIGNAL, registers: 0, rbp_offset: short(rbp_at)?, offset })
        };
        Some(rule())
    }

    /// The form of a function that was called.
    fn call(&self) -> Result<UnwindRule, Unsupported> {
        if self.rip == Place::Undefined {
            return Ok(UnwindRule { cfa: CFA_ROOT, ..UnwindRule::NONE });
        }
        if !matches!(self.rsp, Place::Default | Place::IsCfa(0)) {
            return Err(Unsupported::StackPointer);
        }
        let (return_address, high) = match self.rip {
            Place::AtCfa(-8) => (RA_BELOW_CFA, None),
            Place::AtCfa(offset) => (RA_AT_CFA, Some(short(offset)?)),
            Place::InRegister(register) => {
                general(register).ok_or(Unsupported::ReturnAddress)?;
                (RA_IN_REGISTER, Some(short(register.into())?))
            }
            _ => return Err(Unsupported::ReturnAddress),
        };
        let (cfa, offset) = match (self.cfa, high) {
            (Meaning::Sum { register, offset }, high) => {
                let offset = match high {
                    Some(high) => UnwindRule::halves(short(offset)?, high),
                    None => i32::try_from(offset).map_err(|_| Unsupported::OffsetRange)?,
                };
                (CFA_REGISTER | general(register).ok_or(Unsupported::CfaRegister)?, offset)
            }
            // Both halves are taken.
            (_, Some(_)) => return Err(Unsupported::ReturnAddress),
            (Meaning::Deref { register, offset, add }, None) => {
                let register = general(register).ok_or(Unsupported::CfaRegister)?;
                (CFA_DEREF | register, UnwindRule::halves(short(offset)?, short(add)?))
            }
            (Meaning::DerefIndexed { index, offset, add }, None) => {
                let index = general(index).ok_or(Unsupported::CfaRegister)?;
                (CFA_DEREF_INDEXED | index, UnwindRule::halves(short(offset)?, short(add)?))
            }
            (Meaning::Plt { offset, pushed_at }, None) => {
                let pushed_at = i16::try_from(pushed_at).map_err(|_| Unsupported::OffsetRange)?;
                (CFA_PLT, UnwindRule::halves(short(offset)?, pushed_at))
            }
            (Meaning::Other, None) => return Err(Unsupported::CfaExpression),
        };
        let (rbp, rbp_offset) = self.frame_pointer();
        Ok(UnwindRule { cfa, registers: rbp | return_address, rbp_offset, offset })
    }

    /// A frame pointer that cannot be followed is lost, which ends a walk only if a caller needs it.
    fn frame_pointer(&self) -> (u8, i16) {
        let (kind, offset) = match self.rbp {
            Place::Default | Place::Same | Place::InRegister(FRAME) => (RBP_SAME, 0),
            Place::AtCfa(offset) => (RBP_AT_CFA, offset),
            Place::At(FRAME, offset) => (RBP_AT_RBP, offset),
            Place::At(STACK, offset) => (RBP_AT_RSP, offset),
            _ => (RBP_UNDEFINED, 0),
        };
        short(offset).map_or((RBP_UNDEFINED, 0), |offset| (kind, offset))
    }
}

fn short(offset: i64) -> Result<i16, Unsupported> {
    i16::try_from(offset).map_err(|_| Unsupported::OffsetRange)
}

/// The number of a general register.
fn general(register: DwarfRegister) -> Option<u8> {
    u8::try_from(register).ok().filter(|&register| register < 16)
}
