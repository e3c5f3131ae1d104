//! Both ends of functions of OpenSSL, and of some made to be hard.

use iced_x86::{
    Decoder, DecoderOptions, FlowControl, InstructionInfoFactory,
    Register::{RAX, RCX, RDI, RSI},
};
use proptest::prelude::{Strategy, any, prop_assert, prop_assert_eq, proptest};

use super::{Ends, ends, writes};

/// `SSL_read` of Debian's libssl.so.3 (3.0.19): `js` at 0x16 is behind the first `test`, `jne` at 0x38 asks whether the stack was smashed.
const SSL_READ: &str = concat!(
    "4883ec1864488b042528000000488944240831c085d2782f4889e14863d2e83dfeffff85c07e038b0424488b54240864",
    "482b14252800000075444883c41831d231c931f631ffc3e8449ffeff488d1505d50400be4c070000488d3d62cc0400e8",
    "2ca6feff31c031d2be0f010000bf14000000e849a4feffb8ffffffffebace83db1feff",
);
/// `SSL_write`, the same with other calls.
const SSL_WRITE: &str = concat!(
    "4883ec1864488b042528000000488944240831c085d2782f4889e14863d2e8fdfbffff85c07e038b0424488b54240864",
    "482b14252800000075444883c41831d231c931f631ffc3e8f499feff488d1525cf0400be46080000488d3d12c70400e8",
    "dca0feff31c031d2be0f010000bf14000000e8f99efeffb8ffffffffebace8edabfeff",
);
/// `SSL_read_ex`: a call, and then nothing that is emulated.
const SSL_READ_EX: &str = "4883ec08e8c7fdffff31d285c00f48c24883c40831d231c931f631ffc3";
/// `SSL_write_ex`, likewise.
const SSL_WRITE_EX: &str = "4883ec08e887fbffff31d285c00f48c24883c40831d231c931f631ffc3";
/// `SSL_do_handshake`: one of its ways ends in `jmp *%rax`.
const SSL_DO_HANDSHAKE: &str = concat!(
    "534883ec3064488b042528000000488944242831c048837f30000f84b00000004889fbbeffffffffe8f3f60200488b43",
    "0831f64889dfff50604889dfe86f88feff85c0742bf683f1090000017552488b44242864482b0425280000000f85a800",
    "0000488b43304883c4304889df5bffe04889dfe8e884feff85c075c9b801000000488b54242864482b14252800000075",
    "794883c4305b31d231f631ffc30f1f00e84b96feff4885c075a4660fefc04889e64889df48891c24488d1581b2ffff0f",
    "114424080f11442418e822b4ffffebb1e8eb7cfeff488d1504b10400be4d0f0000488d3d09aa0400e8d383feff31c031",
    "d2be90000000bf14000000e8f081feffb8ffffffffe977ffffffe8e18efeff",
);

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<char> = hex.chars().filter(|it| !it.is_whitespace()).collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(&pair.iter().collect::<String>(), 16).expect("hexadecimal"))
        .collect()
}

fn seen(hex: &str) -> Option<(u64, Vec<u64>)> {
    ends(&bytes(hex), &[RDI, RSI]).map(|Ends { entry, returns }| (entry, returns))
}

#[test]
fn functions_of_openssl_have_both_ends_where_their_code_allows_it() {
    assert_eq!(seen(SSL_READ), Some((0x16, vec![0x38])));
    assert_eq!(seen(SSL_WRITE), Some((0x16, vec![0x38])));
    for hex in [SSL_READ_EX, SSL_WRITE_EX, SSL_DO_HANDSHAKE] {
        assert_eq!((seen(hex), ends(&bytes(hex), &[RDI, RSI, RCX])), (None, None), "{hex}");
    }
}

#[test]
fn a_place_is_passed_just_before_each_return_and_by_nothing_else() {
    // push %rbx; call; push %rbx; pop %rbx; pop %rbx; ret
    assert_eq!(seen("53 e800100000 53 5b 5b c3"), Some((0, vec![6])));
    // push; test; je +3; call; push; pop; pop; ret; and the same for the other way
    let two = "53 85c0 7409 e800100000 53 5b 5b c3 53 5b 5b c3";
    assert_eq!(seen(two), Some((0, vec![0xa, 0xe])));
    // The result is written behind: mov %ebp,%eax
    assert_eq!(seen("53 e800100000 53 89e8 5b 5b c3"), None);
    // A part of it: mov %bpl,%al
    assert_eq!(seen("53 e800100000 53 4088e8 5b 5b c3"), None);
    // By a call.
    assert_eq!(seen("53 53 e800100000 5b 5b c3"), None);
    // Something jumps past: je to the first pop
    assert_eq!(seen("53 7406 e800100000 53 5b 5b c3"), None);
    // To the place itself it may: je to the push
    assert_eq!(seen("53 7405 e800100000 53 5b 5b c3"), Some((0, vec![8])));
    // jne to another return with another result
    assert_eq!(seen("53 750a 5b c3 90 90 90 90 90 90 90 90 31c0 90 5b c3"), None);
    // jne to ud2
    assert_eq!(seen("53 7502 5b c3 0f0b"), Some((0, vec![1])));
    // Nothing between the first instruction that is emulated and the return.
    assert_eq!(seen("53 5b c3"), None);
}

#[test]
fn what_leaves_a_function_otherwise_leaves_it_to_a_probe_of_the_return() {
    let rest = "53 5b 5b c3";
    assert_eq!(seen(&format!("53 7400 {rest}")), Some((0, vec![3])));
    for (what, hex) in [
        ("a jump out of it", "53 7405 e900100000"),
        ("a branch out of it", "53 0f8400100000"),
        ("a branch to before it", "53 74f0"),
        ("an indirect jump", "53 7402 ffe0"),
        ("a branch into an instruction", "53 7401 e800100000"),
        ("a call to itself", "53 e8faffffff"),
        ("a call of what is next", "53 e800000000"),
        ("no code", "53 06"),
        ("another return", "53 7401 cb"),
        ("a loop to its beginning", "53 5b 75fc"),
        ("a call of the kernel", "53 0f05"),
    ] {
        assert_eq!(seen(&format!("{hex} {rest}")), None, "{what}");
    }
    // It ends in what comes behind it, has no return, more of them than are probed, or is cut.
    assert_eq!(seen("53 53 5b 5b c3 90"), None);
    assert_eq!(seen("53 ebfe"), None);
    assert_eq!(seen(&format!("53 7400 {}", rest.repeat(8))).map(|seen| seen.1.len()), Some(8));
    assert_eq!(seen(&format!("53 7400 {}", rest.repeat(9))), None);
    assert_eq!((seen(""), seen("53 7400 53 5b 5b e8")), (None, None));
    assert_eq!(seen(&format!("53 {} {rest}", "90".repeat(4096))), None);
}

/// Instructions of which functions are made, with jumps by few bytes.
fn instruction() -> impl Strategy<Value = Vec<u8>> {
    let fixed = proptest::sample::select(vec![
        "53",
        "5b",
        "c3",
        "90",
        "31c0",
        "85c0",
        "89f7",
        "e800100000",
        "4889e8",
        "0f0b",
        "0f1f00",
        "ff5060",
        "58",
    ]);
    let jump = (proptest::sample::select(vec![0x74_u8, 0x75, 0xeb]), -24_i8..24);
    proptest::prop_oneof![
        4 => fixed.prop_map(bytes),
        1 => jump.prop_map(|(code, by)| vec![code, by.cast_unsigned()]),
    ]
}

/// Goes through a function, one way or the other at each branch, and gives what a call of it passes: how often the entry, and
/// how often places of returns, and whether the result was written after the last; `None` if it does not return.
fn walk(code: &[u8], ends: &Ends, ways: &[bool]) -> Option<(usize, usize, bool)> {
    let mut factory = InstructionInfoFactory::new();
    let mut ways = ways.iter();
    let (mut at, mut n_entries, mut n_returns, mut is_written) = (0_u64, 0, 0, false);
    loop {
        let rest = code.get(usize::try_from(at).ok()?..).filter(|rest| !rest.is_empty())?;
        let instruction = Decoder::with_ip(64, rest, at, DecoderOptions::NONE).decode();
        n_entries += usize::from(at == ends.entry);
        if ends.returns.contains(&at) {
            n_returns += 1;
            is_written = false;
        }
        is_written |= writes(&instruction, RAX, &mut factory);
        at = match instruction.flow_control() {
            FlowControl::Return => return Some((n_entries, n_returns, is_written)),
            FlowControl::Exception => return None,
            // A loop that goes on forever does not return.
            FlowControl::UnconditionalBranch if ways.next().is_none() => return None,
            FlowControl::ConditionalBranch if *ways.next()? => instruction.near_branch_target(),
            FlowControl::UnconditionalBranch => instruction.near_branch_target(),
            FlowControl::Call | FlowControl::IndirectCall => {
                is_written = true;
                instruction.next_ip()
            }
            _ => instruction.next_ip(),
        };
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic_and_places_are_within_them(code in proptest::collection::vec(any::<u8>(), 0..300)) {
        if let Some(ends) = ends(&code, &[RDI]) {
            prop_assert!(ends.returns.iter().all(|at| ends.entry < *at && *at < code.len() as u64), "{ends:?}");
        }
    }

    #[test]
    fn no_change_to_a_real_function_makes_it_panic(at in 0..0x83_usize, byte in any::<u8>()) {
        let mut code = bytes(SSL_WRITE);
        code[at] = byte;
        if let Some(ends) = ends(&code, &[RDI, RSI]) {
            prop_assert!(ends.returns.iter().all(|it| ends.entry < *it && *it < code.len() as u64), "{ends:?}");
        }
    }

    #[test]
    fn each_call_that_returns_passes_one_entry_and_one_return_with_its_result(
        instructions in proptest::collection::vec(instruction(), 1..24),
        ways in proptest::collection::vec(any::<bool>(), 40),
    ) {
        // As functions mostly do.
        let code: Vec<u8> = [vec![0x53], instructions.concat(), bytes("53 5b 5b c3")].concat();
        if let Some(ends) = ends(&code, &[RDI])
            && let Some(passed) = walk(&code, &ends, &ways)
        {
            prop_assert_eq!(passed, (1, 1, false), "{:02x?}: {:?}", code, ends);
        }
    }
}
