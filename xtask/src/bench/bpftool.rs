//! What bpftool knows of loaded programs that /proc does not: names and sizes.

use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::shell::{find_program, output};

/// One loaded program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Program {
    pub(super) id: u64,
    pub(super) name: String,
    pub(super) kind: String,
    /// After the verifier rewrote it.
    pub(super) translated_bytes: u64,
    /// None where the kernel interprets.
    pub(super) jited_bytes: Option<u64>,
}

pub(super) fn programs() -> Result<Vec<Program>> {
    let bpftool = find_program("bpftool").context("no bpftool: install Debian's bpftool")?;
    parse(&output(Command::new(bpftool).args(["prog", "show", "--json"]))?)
}

/// A program that went away while bpftool looked at it has an error in its place, and is left out.
fn parse(json: &str) -> Result<Vec<Program>> {
    let list: Vec<Value> = serde_json::from_str(json).context("cannot parse what bpftool printed")?;
    let text =
        |program: &Value, key: &str| program.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    list.iter()
        .filter(|entry| entry.get("error").is_none())
        .map(|program| {
            Ok(Program {
                id: program.get("id").and_then(Value::as_u64).context("a program without `id`")?,
                name: text(program, "name"),
                kind: text(program, "type"),
                translated_bytes: program
                    .get("bytes_xlated")
                    .and_then(Value::as_u64)
                    .context("a program without `bytes_xlated`")?,
                jited_bytes: program.get("bytes_jited").and_then(Value::as_u64),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_read_with_and_without_machine_code() {
        let json = r#"[{"id":2,"type":"tracing","name":"hid_tail_call","bytes_xlated":56,"jited":false},
                       {"error":"can't get next program: gone"},
                       {"id":434,"type":"perf_event","name":"brazier_cpu","run_time_ns":5000,"run_cnt":4,
                        "bytes_xlated":6800,"jited":true,"bytes_jited":4041,"map_ids":[355,349]}]"#;
        let expected =
            [(2, "hid_tail_call", "tracing", 56, None), (434, "brazier_cpu", "perf_event", 6800, Some(4041))]
                .map(|(id, name, kind, translated_bytes, jited_bytes)| Program {
                    id,
                    name: name.into(),
                    kind: kind.into(),
                    translated_bytes,
                    jited_bytes,
                });
        assert_eq!(parse(json).unwrap(), expected);
    }

    #[test]
    fn what_is_no_list_of_programs_is_an_error() {
        for json in ["no json", "{}", r#"[{"name":"x","bytes_xlated":8}]"#, r#"[{"id":1}]"#] {
            let parsed = parse(json);
            assert!(parsed.is_err(), "{json} gave {parsed:?}");
        }
    }
}
