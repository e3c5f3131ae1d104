//! From where the size of an allocation is taken, as long as the registers that it was handed over in have not been overwritten.

use abi::alloc::{
    SIZE_IS_0, SIZE_IS_0_TIMES_1, SIZE_IS_1, SIZE_IS_1_TIMES_2, SIZE_IS_2, SIZE_IS_3, SIZE_IS_A_TIMES_1,
};
use iced_x86::Register;

use crate::place::Held;

/// The rule by which the size is to be taken from where it is now; `None` if there is none.
pub(super) fn rule(held: &Held, rule: u64) -> Option<u64> {
    use Register::{RAX, RCX, RDI, RDX, RSI};
    const PLACES: [(Register, u64); 4] =
        [(RDI, SIZE_IS_0), (RSI, SIZE_IS_1), (RDX, SIZE_IS_2), (RCX, SIZE_IS_3)];
    if let Some((argument, _)) = PLACES.iter().find(|place| place.1 == rule) {
        let is_held = |place: &&(Register, u64)| held.is_in(*argument, place.0);
        let home = PLACES.iter().find(|place| place.0 == *argument && is_held(place));
        return home.or_else(|| PLACES.iter().find(is_held)).map(|place| place.1);
    }
    let (first, second) = match rule {
        SIZE_IS_0_TIMES_1 => (RDI, RSI),
        SIZE_IS_1_TIMES_2 => (RSI, RDX),
        _ => return held.is_at_home(RDI).then_some(rule),
    };
    let products =
        [(RDI, RSI, SIZE_IS_0_TIMES_1), (RSI, RDX, SIZE_IS_1_TIMES_2), (RAX, RSI, SIZE_IS_A_TIMES_1)];
    let is_held = |one, other| held.is_in(first, one) && held.is_in(second, other);
    products
        .iter()
        .find(|(one, other, _)| is_held(*one, *other) || is_held(*other, *one))
        .map(|found| found.2)
}
