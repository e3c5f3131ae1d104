//! The parameters of a question. What is not known is refused: a name that is written wrong would be a question nobody asked.

use std::collections::BTreeMap;

use query::{Error, Question, Selector, TimeRange, TypeUnit};

use super::routes::Route;

/// Longest query of a URL.
const MAX_BYTES: usize = 32 << 10;
const MAX_PARAMETERS: usize = 64;

/// Parameters by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Parameters(BTreeMap<String, Vec<String>>);

impl Parameters {
    /// Of the query of a URL.
    pub(super) fn of(query: &str, route: Route) -> Result<Self, Error> {
        if query.len() > MAX_BYTES {
            return Err(wrong("query", format!("has more than {MAX_BYTES} bytes")));
        }
        let mut parameters: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (n, (name, value)) in form_urlencoded::parse(query.as_bytes()).enumerate() {
            if n >= MAX_PARAMETERS {
                return Err(wrong("query", format!("has more than {MAX_PARAMETERS} parameters")));
            }
            if !route.parameters().contains(&name.as_ref()) {
                let known = route.parameters().join(", ");
                let name: String = name.chars().take(64).collect();
                return Err(wrong("query", format!("has a parameter {name:?}; this path takes: {known}")));
            }
            parameters.entry(name.into_owned()).or_default().push(value.into_owned());
        }
        Ok(Self(parameters))
    }

    /// A value that is there once at most; an empty one is none.
    pub(super) fn text(&self, name: &'static str) -> Result<Option<&str>, Error> {
        match self.0.get(name).map(Vec::as_slice) {
            None => Ok(None),
            Some([one]) => Ok(Some(one.as_str()).filter(|text| !text.is_empty())),
            Some(_) => Err(wrong(name, "is there more than once".to_owned())),
        }
    }

    /// Values, each parameter one or several with commas between them.
    pub(super) fn list(&self, name: &'static str) -> Vec<String> {
        let all = self.0.get(name).into_iter().flatten().flat_map(|text| text.split(','));
        all.map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned).collect()
    }

    /// A number.
    pub(super) fn number<T: std::str::FromStr>(&self, name: &'static str) -> Result<Option<T>, Error> {
        let parse = |text: &str| text.parse().map_err(|_| wrong(name, "is no number that fits".to_owned()));
        self.text(name)?.map(parse).transpose()
    }

    /// From when until when.
    pub(super) fn range(&self, now_unix_ns: u64) -> Result<TimeRange, Error> {
        TimeRange::of(self.text("from")?, self.text("until")?, now_unix_ns)
    }

    /// Of whom.
    pub(super) fn selector(&self, name: &'static str) -> Result<Selector, Error> {
        Selector::parse(self.text(name)?.unwrap_or_default())
    }

    /// Which samples.
    pub(super) fn question(&self, tenant: &str, now_unix_ns: u64) -> Result<Question, Error> {
        let what =
            self.text("type")?.ok_or_else(|| wrong("type", "is missing: see /api/v1/types".to_owned()))?;
        Ok(Question {
            tenant: tenant.to_owned(),
            what: TypeUnit::parse(what)?,
            selector: self.selector("match")?,
            range: self.range(now_unix_ns)?,
        })
    }

    /// Which samples they are compared with: what is not said is as in the question.
    pub(super) fn baseline(&self, of: &Question, now_unix_ns: u64) -> Result<Question, Error> {
        let instant = |name: &'static str, otherwise: u64| {
            self.text(name)?.map_or(Ok(otherwise), |text| query::instant(name, text, now_unix_ns))
        };
        let range = TimeRange {
            from_unix_ns: instant("baseline_from", of.range.from_unix_ns)?,
            until_unix_ns: instant("baseline_until", of.range.until_unix_ns)?,
        };
        if range.from_unix_ns >= range.until_unix_ns {
            return Err(wrong("baseline_from", "is not before baseline_until".to_owned()));
        }
        let selector = match self.text("baseline_match")? {
            Some(text) => Selector::parse(text)?,
            None => of.selector.clone(),
        };
        Ok(Question { selector, range, ..of.clone() })
    }
}

const fn wrong(name: &'static str, what: String) -> Error {
    Error::Parameter { name, what }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_795_281_230_000_000_000;

    fn parameters(query: &str) -> Parameters {
        Parameters::of(query, Route::Diff).unwrap_or_else(|error| panic!("{query}: {error}"))
    }

    #[test]
    fn a_question_is_read_and_its_baseline_is_the_same_but_for_what_is_said() {
        let it = parameters(
            "type=cpu:nanoseconds&match=%7Bservice%3D%22a%22%7D&from=now-30m&baseline_from=now-2h",
        );
        let question = it.question("t", NOW).expect("is one");
        assert_eq!(question.what.to_string(), "cpu:nanoseconds");
        assert_eq!(question.selector.to_string(), r#"{"service"="a"}"#);
        assert_eq!(question.range.duration_ns(), 1_800_000_000_000);
        let baseline = it.baseline(&question, NOW).expect("is one");
        assert_eq!(baseline.selector.to_string(), r#"{"service"="a"}"#);
        assert_eq!(baseline.range.duration_ns(), 7_200_000_000_000);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (query, said) in [
            ("", "type is missing"),
            ("type=cpu", "cpu:nanoseconds"),
            ("type=a:b&type=c:d", "more than once"),
            ("type=a:b&match={", "the selector is wrong at byte 1"),
            ("type=a:b&from=tomorrow", "from is neither"),
        ] {
            let error = parameters(query).question("t", NOW).expect_err(query);
            assert!(error.to_string().contains(said), "{query}: {error}");
        }
        let error = Parameters::of("tpye=a", Route::Diff).expect_err("is refused").to_string();
        assert!(error.contains("tpye") && error.contains("baseline_from"), "{error}");
        let error = parameters("max_nodes=many").number::<usize>("max_nodes").expect_err("is refused");
        assert_eq!(error.reason(), "bad_parameter", "{error}");
        assert!(Parameters::of(&"type=a&".repeat(100), Route::Diff).is_err());
    }
}
