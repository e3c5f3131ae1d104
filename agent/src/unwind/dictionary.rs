//! Rules by number while rows are made, in the order in which they are first seen.

use std::collections::HashMap;

use super::rule::Unsupported;
use abi::unwind::{MAX_RULES_PER_FILE, RULE_NONE, RULE_OVER_LIMIT, UnwindRule};

/// Rules remembered in front of the hash table; neighbouring functions use the same few.
const RECENT_SLOTS: usize = 256;

#[derive(Debug)]
pub(super) struct Dictionary {
    rules: Vec<UnwindRule>,
    numbers: HashMap<UnwindRule, u16>,
    recent: Box<[(UnwindRule, u16); RECENT_SLOTS]>,
}

impl Dictionary {
    /// With the two rules that every table has.
    pub(super) fn new() -> Self {
        let rules = vec![UnwindRule::NONE, Unsupported::OverLimit.rule()];
        let numbers = [
            (UnwindRule::NONE, u16::from(RULE_NONE)),
            (Unsupported::OverLimit.rule(), u16::from(RULE_OVER_LIMIT)),
        ];
        Self {
            rules,
            numbers: HashMap::from(numbers),
            recent: Box::new([(UnwindRule::NONE, u16::from(RULE_NONE)); RECENT_SLOTS]),
        }
    }

    /// The number of a rule; that of "over limit" when the dictionary is full.
    pub(super) fn number_of(&mut self, rule: UnwindRule) -> u16 {
        let Some(recent) = self.recent.get_mut(slot_of(rule)) else { return u16::from(RULE_OVER_LIMIT) };
        if recent.0 == rule {
            return recent.1;
        }
        let number = match self.numbers.get(&rule) {
            Some(&number) => number,
            None if self.rules.len() >= MAX_RULES_PER_FILE => u16::from(RULE_OVER_LIMIT),
            None => {
                let number = u16::try_from(self.rules.len()).unwrap_or(u16::from(RULE_OVER_LIMIT));
                self.rules.push(rule);
                self.numbers.insert(rule, number);
                number
            }
        };
        *recent = (rule, number);
        number
    }

    pub(super) fn into_rules(self) -> Vec<UnwindRule> {
        self.rules
    }
}

fn slot_of(rule: UnwindRule) -> usize {
    let [a, b] = rule.rbp_offset.to_le_bytes();
    let [c, d, e, f] = rule.offset.to_le_bytes();
    let word = u64::from_le_bytes([rule.cfa, rule.registers, a, b, c, d, e, f]);
    // Fibonacci hashing: the upper bits of the product depend on all of the word.
    usize::from(word.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes()[7])
}

#[cfg(test)]
mod tests {
    use super::Dictionary;
    use abi::unwind::{MAX_RULES_PER_FILE, RULE_OVER_LIMIT, UnwindRule};

    #[test]
    fn a_rule_keeps_its_number_and_a_full_dictionary_says_so() {
        let rule = |offset| UnwindRule { cfa: 0x17, registers: 0, rbp_offset: 0, offset };
        let mut dictionary = Dictionary::new();
        for round in 0..2 {
            for i in 0..6000 {
                let expected = if i + 2 < MAX_RULES_PER_FILE { i + 2 } else { usize::from(RULE_OVER_LIMIT) };
                let seen = dictionary.number_of(rule(i as i32 * 8));
                assert_eq!(usize::from(seen), expected, "rule {i}, round {round}");
            }
        }
        let rules = dictionary.into_rules();
        assert_eq!((rules.len(), rules[2], rules[302]), (MAX_RULES_PER_FILE, rule(0), rule(2400)));
    }
}
