//! What instructions say of the stack, against what the compiler said of the same functions.

use crate::{
    object::{ObjectFile, read_bytes},
    unwind::{assembly::height, build, lookup},
};
use abi::unwind::{CFA_REGISTER, RA_BELOW_CFA, RA_MASK, RSP, UnwindRule};

/// Longer ones are few, and say nothing new.
const MAX_FUNCTION_BYTES: u64 = 4096;

#[test]
fn every_function_that_can_be_followed_stands_as_high_as_its_description_says() {
    let (mut n_followed, mut n_compared, mut wrong) = (0_u32, 0_u32, Vec::new());
    for path in super::paths() {
        let object = ObjectFile::open(&path).expect("a file that is there");
        let Ok(table) = build(&object) else { continue };
        for function in table.functions.ranges() {
            let size_bytes = u64::from(function.end - function.start);
            let Ok(code) = read_bytes(&object.file, function.start.into(), size_bytes, MAX_FUNCTION_BYTES)
            else {
                continue;
            };
            let Some(steps) = height::of_function(&code) else { continue };
            let told = |step: &height::Step| lookup(&table, u64::from(function.start + step.offset));
            let is_plain = |rule: &UnwindRule| {
                rule.cfa == CFA_REGISTER | RSP && rule.registers & RA_MASK == RA_BELOW_CFA
            };
            // A cold part of another function is not entered by a call. Descriptions of assembly that say the same
            // for every instruction, as some of the C library do, say nothing.
            let is_entered = steps.first().map(told).is_some_and(|rule| is_plain(&rule) && rule.offset == 8);
            let is_described = steps.len() == 1 || steps.iter().map(told).any(|rule| rule.offset != 8);
            if !is_entered || !is_described {
                continue;
            }
            n_followed += 1;
            for step in &steps {
                let (Some(seen), said) = (step.rule, told(step)) else { continue };
                if is_plain(&said) {
                    n_compared += 1;
                    if said.offset != seen.offset {
                        wrong.push(format!("{}: {function:x?} {step:x?}, said {said:?}", path.display()));
                    }
                }
            }
        }
    }
    assert!(n_followed > 1000 && n_compared > 5000, "{n_followed} functions, {n_compared} rows");
    let shown = wrong.iter().take(20).cloned().collect::<Vec<_>>().join("\n");
    assert!(
        wrong.is_empty(),
        "{} of {n_compared} rows of {n_followed} functions differ:\n{shown}",
        wrong.len()
    );
}
