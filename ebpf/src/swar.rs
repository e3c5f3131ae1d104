//! Eight bytes at a time, in one word, the first byte lowest.

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;
/// What makes a letter a small one.
const SMALL: u64 = 0x2020_2020_2020_2020;

/// The highest bit of each byte that is `byte`, exact up to the first such byte.
#[inline(always)]
#[must_use]
pub const fn find(word: u64, byte: u8) -> u64 {
    let other = word ^ (byte as u64 * ONES);
    other.wrapping_sub(ONES) & !other & HIGHS
}

/// Bytes before the first that was found; 8 if none was.
#[inline(always)]
#[must_use]
pub const fn position(found: u64) -> u64 {
    if found == 0 { 8 } else { (found.trailing_zeros() >> 3) as u64 }
}

/// The first `n` bytes, at most 8; the others are 0.
#[inline(always)]
#[must_use]
pub const fn first(word: u64, n: u64) -> u64 {
    if n >= 8 { word } else { word & ((1 << (8 * n)) - 1) }
}

/// Letters as small ones; what is no letter may change as well.
#[inline(always)]
#[must_use]
pub const fn small(word: u64) -> u64 {
    word | SMALL
}

/// A text of at most eight bytes as a word.
#[must_use]
pub const fn text(bytes: &[u8]) -> u64 {
    let mut word = 0;
    let mut i = 0;
    while i < bytes.len() && i < 8 {
        word |= (bytes[i] as u64) << (8 * i);
        i += 1;
    }
    word
}

/// Digits that the word begins with, and the number that they make.
#[inline(always)]
#[must_use]
pub const fn digits(word: u64) -> (u64, u64) {
    // A digit is 0x30 to 0x39: its high half is 3, and stays so when 6 is added.
    let halves = (word & (0xf0 * ONES)) | ((word.wrapping_add(0x06 * ONES) & (0xf0 * ONES)) >> 4);
    let others = halves ^ (0x33 * ONES);
    let mut n = 0;
    if others == 0 {
        n = 8;
    } else {
        n += (others.trailing_zeros() >> 3) as u64;
    }
    if n == 0 {
        return (0, 0);
    }
    let values = (word & (0x0f * ONES)) << (8 * (8 - n));
    let pairs = (values.wrapping_mul(10).wrapping_add(values >> 8)) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs.wrapping_mul(100).wrapping_add(pairs >> 16)) & 0x0000_ffff_0000_ffff;
    (n, (fours.wrapping_mul(10_000).wrapping_add(fours >> 32)) & 0xffff_ffff)
}

/// Ten to the power of `n`, which is at most 8.
#[inline(always)]
#[must_use]
pub const fn power_of_ten(n: u64) -> u64 {
    let ones = if n & 1 != 0 { 10 } else { 1 };
    let twos = if n & 2 != 0 { 100 } else { 1 };
    let fours = if n & 4 != 0 { 10_000 } else { 1 };
    let eights = if n & 8 != 0 { 100_000_000 } else { 1 };
    ones * twos * fours * eights
}

#[cfg(test)]
mod tests {
    use super::{digits, find, first, position, power_of_ten, text};

    #[test]
    fn the_first_of_a_byte_is_found_wherever_it_is() {
        for at in 0..8 {
            let mut bytes = *b"abcdefgh";
            bytes[at] = b'\n';
            assert_eq!(position(find(u64::from_le_bytes(bytes), b'\n')), at as u64);
        }
        assert_eq!(position(find(text(b"abcdefgh"), b'\n')), 8);
        assert_eq!(position(find(text(b"\x0b\n\x0b\n"), b'\n')), 1);
        assert_eq!((first(text(b"abcd"), 2), first(text(b"abcdefgh"), 8)), (text(b"ab"), text(b"abcdefgh")));
    }

    #[test]
    fn digits_are_read_up_to_what_is_none() {
        for (word, n, number) in [
            ("12345678", 8, 12_345_678),
            ("0\r\n", 1, 0),
            ("907\r\nabc", 3, 907),
            ("99999999", 8, 99_999_999),
            ("1234567;", 7, 1_234_567),
            ("12/45678", 2, 12),
            ("1:345678", 1, 1),
            ("x1", 0, 0),
        ] {
            assert_eq!(digits(text(word.as_bytes())), (n, number), "{word}");
        }
        for n in 0..=8 {
            assert_eq!(power_of_ten(n), 10_u64.pow(n as u32));
        }
        for byte in 0..=255_u8 {
            let is_digit = byte.is_ascii_digit();
            assert_eq!(digits(u64::from(byte)).0, u64::from(is_digit), "{byte:#x}");
        }
    }
}
