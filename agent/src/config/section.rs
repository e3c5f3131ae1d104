//! A table of the file as it is read: each key is asked for once, and what was not asked for is not known.

use std::{collections::BTreeMap, ops::Range};

use toml::de::{DeTable, DeValue};

use super::problem::{Place, Sheet, Wrong, quoted};

/// Longer ones are compared with nothing.
const MAX_COMPARED_BYTES: usize = 64;

/// A table that is read.
pub(super) struct Section<'sheet, 'text> {
    pub(super) sheet: &'sheet Sheet<'text>,
    /// As it is called in messages; empty for the file itself.
    name: String,
    /// Where it begins.
    pub(super) place: Place,
    entries: DeTable<'text>,
    known: Vec<&'static str>,
    /// Where the values are that were asked for.
    pub(super) places: BTreeMap<&'static str, Place>,
}

impl<'sheet, 'text> Section<'sheet, 'text> {
    pub(super) fn new(
        sheet: &'sheet Sheet<'text>,
        name: String,
        span: &Range<usize>,
        entries: DeTable<'text>,
    ) -> Self {
        let place = sheet.place(span);
        Self { sheet, name, place, entries, known: Vec::new(), places: BTreeMap::new() }
    }

    /// The value of a key, if it is there and is right; what is wrong with it is a problem.
    pub(super) fn take<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&DeValue<'text>) -> Result<T, Wrong>,
    ) -> Option<T> {
        self.known.push(key);
        let value = self.entries.remove(key)?;
        let place = self.sheet.place(&value.span());
        self.places.insert(key, place);
        match read(value.get_ref()) {
            Ok(value) => Some(value),
            Err(Wrong { what, remedy }) => {
                self.sheet.problem(Some(place), format!("{} {what}", self.path(key)), remedy);
                None
            }
        }
    }

    /// A table in this one; an empty one if it is not there.
    pub(super) fn table(&mut self, key: &'static str) -> Section<'sheet, 'text> {
        self.known.push(key);
        let (span, entries) = match self.entries.remove(key).map(|value| (value.span(), value.into_inner())) {
            Some((span, DeValue::Table(entries))) => (span, entries),
            Some((span, other)) => {
                let wrong = format!("{} is {}, not a table", self.path(key), kind(&other));
                let remedy =
                    format!("write [{}] and what belongs to it in lines of their own", self.bare(key));
                self.sheet.problem(Some(self.sheet.place(&span)), wrong, remedy);
                (span, DeTable::new())
            }
            None => (0..0, DeTable::new()),
        };
        Section::new(self.sheet, self.bare(key), &span, entries)
    }

    /// The tables of a list, `[[key]]`, up to a limit.
    pub(super) fn list(&mut self, key: &'static str, limit: usize) -> Vec<Section<'sheet, 'text>> {
        self.known.push(key);
        let Some(value) = self.entries.remove(key) else { return Vec::new() };
        let place = self.sheet.place(&value.span());
        let DeValue::Array(array) = value.into_inner() else {
            let remedy = format!("write [[{key}]], once for each");
            self.sheet.problem(Some(place), format!("{} is not a list of tables", self.path(key)), remedy);
            return Vec::new();
        };
        if array.len() > limit {
            let wrong = format!("there are {} of {}", array.len(), self.path(key));
            self.sheet.problem(Some(place), wrong, format!("write at most {limit}"));
        }
        let mut sections = Vec::new();
        for element in array.into_iter().take(limit) {
            let span = element.span();
            match element.into_inner() {
                DeValue::Table(entries) => {
                    sections.push(Section::new(self.sheet, self.bare(key), &span, entries));
                }
                other => {
                    let wrong = format!("{} holds {}", self.path(key), kind(&other));
                    self.sheet.problem(Some(self.sheet.place(&span)), wrong, format!("write [[{key}]]"));
                }
            }
        }
        sections
    }

    /// All that is left, by key, for tables whose keys are the user's own.
    pub(super) fn rest(&mut self) -> Vec<(String, Place, Range<usize>, DeValue<'text>)> {
        let entries = std::mem::take(&mut self.entries);
        let entry = |(key, value): (toml::Spanned<_>, toml::Spanned<DeValue<'text>>)| {
            let key_place = self.sheet.place(&key.span());
            (std::borrow::Cow::into_owned(key.into_inner()), key_place, value.span(), value.into_inner())
        };
        entries.into_iter().map(entry).collect()
    }

    /// A key is there, right or wrong.
    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    /// The same, and it is no empty list or table.
    pub(super) fn has_content(&self, key: &str) -> bool {
        self.entries.get(key).is_some_and(|value| match value.get_ref() {
            DeValue::Array(array) => !array.is_empty(),
            DeValue::Table(table) => !table.is_empty(),
            _ => true,
        })
    }

    /// A problem with a key that was asked for, or with the table if it is not there.
    pub(super) fn problem(&self, key: &str, wrong: String, remedy: impl Into<String>) {
        self.sheet.problem(Some(self.place_of(key)), wrong, remedy);
    }

    /// The same as a warning.
    pub(super) fn warning(&self, key: &str, wrong: String, remedy: impl Into<String>) {
        self.sheet.warning(Some(self.place_of(key)), wrong, remedy);
    }

    fn place_of(&self, key: &str) -> Place {
        self.places.get(key).copied().unwrap_or(self.place)
    }

    /// Everything that may be here was asked for: the rest is not known.
    pub(super) fn finish(mut self) {
        for (key, place, ..) in self.rest() {
            let whole = if self.name.is_empty() { key.clone() } else { format!("{}.{key}", self.name) };
            let remedy = match nearest(&key, &self.known) {
                Some(nearest) => format!("did you mean `{nearest}`?"),
                None => format!("known here: {}", self.known.join(", ")),
            };
            self.sheet.problem(Some(place), format!("{} is no key that is known", quoted(&whole)), remedy);
        }
    }

    /// A key with all that stands before it.
    fn path(&self, key: &str) -> String {
        quoted(&self.bare(key))
    }

    fn bare(&self, key: &str) -> String {
        if self.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.name) }
    }
}

/// The one of these that somebody may have meant; none if all are too far.
pub(super) fn nearest<'known>(word: &str, known: &[&'known str]) -> Option<&'known str> {
    if word.len() > MAX_COMPARED_BYTES {
        return None;
    }
    let distance = |other: &str| strsim::damerau_levenshtein(&word.to_lowercase(), other);
    let (n_changes, nearest) = known.iter().map(|other| (distance(other), *other)).min()?;
    (n_changes <= (word.chars().count() / 3).max(1)).then_some(nearest)
}

/// What a value is, for who wrote another kind than was asked for.
pub(super) fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn the_nearest_word_is_found_unless_all_are_far() {
        let known = ["window", "all", "rss_limit", "table_memory"];
        let seen = ["windw", "Window", "al", "rsslimit", "table-memory", "zebra", "", &"w".repeat(1000)]
            .map(|word| nearest(word, &known));
        let expected = ["window", "window", "all", "rss_limit", "table_memory"].map(Some);
        assert_eq!(seen[..5], expected, "{seen:?}");
        assert_eq!(seen[5..], [None, None, None]);
    }
}
