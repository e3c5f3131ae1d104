//! Values of keys: from what stands there to what is meant, or what is wrong with it.

use std::{net::SocketAddr, ops::RangeInclusive, path::PathBuf, time::Duration};

use globset::GlobBuilder;
use profile::bytes_text;
use regex::RegexBuilder;
use toml::de::DeValue;

use super::{
    problem::{Wrong, quoted},
    section::{kind, nearest},
};
use crate::args::{parse_duration, parse_size};

/// Of a path that the kernel takes.
const MAX_PATH_BYTES: usize = 4095;
/// Of an address of a UNIX socket, without the byte that ends it.
const MAX_SOCKET_PATH_BYTES: usize = 107;
/// Of a glob: longer ones would take long to compile.
pub(super) const MAX_PATTERN_BYTES: usize = 1024;
/// Of a compiled regular expression.
const MAX_REGEX_BYTES: usize = 64 << 10;

/// A value as it is meant.
pub(super) type Meant<T> = Result<T, Wrong>;

fn of_kind(value: &DeValue<'_>, remedy: impl Into<String>) -> Wrong {
    Wrong::new(format!("is {}", kind(value)), remedy)
}

pub(super) fn text<'value>(value: &'value DeValue<'_>) -> Meant<&'value str> {
    value.as_str().ok_or_else(|| of_kind(value, "write a text in quotes"))
}

/// A text that can be shown, of so many bytes at most.
pub(super) fn plain(value: &DeValue<'_>, max_bytes: usize) -> Meant<String> {
    let text = text(value)?;
    if text.is_empty() || text.len() > max_bytes || text.chars().any(char::is_control) {
        return Err(Wrong::new(
            format!("is {}", quoted(text)),
            format!("write 1 to {max_bytes} bytes without control characters"),
        ));
    }
    Ok(text.to_owned())
}

pub(super) fn boolean(value: &DeValue<'_>) -> Meant<bool> {
    value.as_bool().ok_or_else(|| of_kind(value, "write true or false"))
}

/// A whole number in a range.
pub(super) fn integer(range: RangeInclusive<u64>) -> impl Fn(&DeValue<'_>) -> Meant<u64> {
    move |value| {
        let remedy = || format!("write a whole number from {} to {}", range.start(), range.end());
        let number = value.as_integer().ok_or_else(|| of_kind(value, remedy()))?;
        match u64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) if range.contains(&number) => Ok(number),
            _ => Err(Wrong::new(format!("is {}", quoted(number.as_str())), remedy())),
        }
    }
}

/// More than nothing of a hundred or, for what counts CPUs, of many hundreds.
pub(super) fn percent(max: f64) -> impl Fn(&DeValue<'_>) -> Meant<f64> {
    move |value| {
        let remedy = || format!("write a number above 0 and up to {max}, without a unit: it is percent");
        let number = match value {
            DeValue::Integer(number) => number.as_str(),
            DeValue::Float(number) => number.as_str(),
            other => return Err(of_kind(other, remedy())),
        };
        match number.parse() {
            Ok(percent) if percent > 0.0 && percent <= max => Ok(percent),
            _ => Err(Wrong::new(format!("is {}", quoted(number)), remedy())),
        }
    }
}

/// A time in a range.
pub(super) fn duration(range: RangeInclusive<Duration>) -> impl Fn(&DeValue<'_>) -> Meant<Duration> {
    move |value| {
        let (shortest, longest) = (duration_text(*range.start()), duration_text(*range.end()));
        let remedy = || format!("write a time from \"{shortest}\" to \"{longest}\"");
        let text = value.as_str().ok_or_else(|| of_kind(value, remedy()))?;
        match parse_duration(text) {
            Ok(duration) if range.contains(&duration) => Ok(duration),
            _ => Err(Wrong::new(format!("is {}", quoted(text)), remedy())),
        }
    }
}

/// A number of bytes in a range.
pub(super) fn bytes(range: RangeInclusive<u64>) -> impl Fn(&DeValue<'_>) -> Meant<u64> {
    move |value| {
        let (least, most) = (bytes_text(*range.start()), bytes_text(*range.end()));
        let remedy =
            || format!("write a number of bytes such as \"64KiB\" or \"1GiB\", from {least} to {most}");
        let text = value.as_str().ok_or_else(|| of_kind(value, remedy()))?;
        match parse_size(text) {
            Ok(bytes) if range.contains(&bytes) => Ok(bytes),
            _ => Err(Wrong::new(format!("is {}", quoted(text)), remedy())),
        }
    }
}

/// One of a few words.
pub(super) fn choice<T: Copy>(choices: &[(&'static str, T)]) -> impl Fn(&DeValue<'_>) -> Meant<T> {
    move |value| {
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        let all = || format!("write one of: {}", words.join(", "));
        let text = value.as_str().ok_or_else(|| of_kind(value, all()))?;
        if let Some((_, meant)) = choices.iter().find(|(word, _)| *word == text) {
            return Ok(*meant);
        }
        let remedy = nearest(text, &words).map_or_else(all, |word| format!("did you mean \"{word}\"?"));
        Err(Wrong::new(format!("is {}", quoted(text)), remedy))
    }
}

/// A whole path. A daemon has no directory that others would be below of.
pub(super) fn path(value: &DeValue<'_>) -> Meant<PathBuf> {
    let text = text(value)?;
    let wrong = |remedy: &str| Wrong::new(format!("is {}", quoted(text)), remedy);
    if !text.starts_with('/') {
        return Err(wrong("write the whole path, from / on"));
    }
    if text.len() > MAX_PATH_BYTES || text.chars().any(char::is_control) {
        return Err(wrong("write a path of at most 4095 bytes without control characters"));
    }
    Ok(PathBuf::from(text))
}

/// A whole path; nothing for the empty text.
pub(super) fn path_or_none(value: &DeValue<'_>) -> Meant<Option<PathBuf>> {
    if text(value)?.is_empty() { Ok(None) } else { path(value).map(Some) }
}

/// The path of a socket; nothing for the empty text.
pub(super) fn socket_path(value: &DeValue<'_>) -> Meant<Option<PathBuf>> {
    match path_or_none(value)? {
        Some(path) if path.as_os_str().len() > MAX_SOCKET_PATH_BYTES => Err(Wrong::new(
            "is too long for a socket",
            format!("write a path of at most {MAX_SOCKET_PATH_BYTES} bytes"),
        )),
        path => Ok(path),
    }
}

/// An address to listen on; nothing for the empty text.
pub(super) fn listen(value: &DeValue<'_>) -> Meant<Option<SocketAddr>> {
    let text = text(value)?;
    if text.is_empty() {
        return Ok(None);
    }
    let wrong = |_| {
        Wrong::new(
            format!("is {}", quoted(text)),
            "write an address and a port such as \"127.0.0.1:9464\" or \"[::1]:9464\"; \"\" for none",
        )
    };
    text.parse().map(Some).map_err(wrong)
}

/// A pattern in which `*` stands for anything but `/`.
pub(super) fn glob(value: &DeValue<'_>, has_escapes: bool) -> Meant<String> {
    let text = plain(value, MAX_PATTERN_BYTES)?;
    match compiled_glob(&text, has_escapes) {
        Ok(_) => Ok(text),
        Err(error) => Err(Wrong::new(
            format!("is {}, which is no pattern: {}", quoted(&text), error.kind()),
            "write a path, with * for anything within one part of it, ** for any number of parts, {a,b} for either",
        )),
    }
}

/// What a glob of the configuration stands for.
pub(crate) fn compiled_glob(text: &str, has_escapes: bool) -> Result<globset::Glob, globset::Error> {
    GlobBuilder::new(text).literal_separator(true).backslash_escape(has_escapes).build()
}

/// A regular expression, which is found anywhere in what it is held against.
pub(super) fn regex(value: &DeValue<'_>) -> Meant<String> {
    let text = plain(value, MAX_PATTERN_BYTES)?;
    let wrong = |what: &str, remedy: &str| {
        Err(Wrong::new(format!("is {}, which {what}", quoted(&text)), remedy.to_owned()))
    };
    match RegexBuilder::new(&text).size_limit(MAX_REGEX_BYTES).build() {
        Ok(_) => Ok(text),
        Err(regex::Error::CompiledTooBig(_)) => {
            wrong("is too large when it is compiled", "write smaller repetitions: \\w{1,100} is a large one")
        }
        Err(error) => {
            // The lines before the last one draw where it is.
            let error = error.to_string();
            let last = error.lines().last().unwrap_or_default().trim_start_matches("error: ");
            wrong(
                &format!("cannot be read: {last}"),
                "write a regular expression as Rust's crate regex has them",
            )
        }
    }
}

/// A time as it would be written.
pub(crate) fn duration_text(duration: Duration) -> String {
    let (seconds, millis) = (duration.as_secs(), duration.subsec_millis());
    match (seconds, millis) {
        (_, 1..) => format!("{}ms", duration.as_millis()),
        (3600.., 0) if seconds % 3600 == 0 => format!("{}h", seconds / 3600),
        (60.., 0) if seconds % 60 == 0 => format!("{}m", seconds / 60),
        _ => format!("{seconds}s"),
    }
}
