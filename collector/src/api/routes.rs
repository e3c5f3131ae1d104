//! What can be asked where, and with which parameters.

use http::Method;

/// A path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// What values count.
    Types,
    /// Names of labels.
    Labels,
    /// Values of a label.
    LabelValues,
    /// Values over time.
    Timeline,
    /// Stacks as a tree.
    Flamegraph,
    /// Two of them.
    Diff,
    /// Functions.
    Top,
    /// A file.
    Download,
    /// Names of metrics.
    MetricNames,
    /// A metric over time.
    Metrics,
    /// What rules have found.
    Alerts,
    /// A statement.
    Sql,
    /// What can be asked, for programs.
    OpenApi,
}

/// All of them.
pub const ROUTES: &[Route] = &[
    Route::Types,
    Route::Labels,
    Route::LabelValues,
    Route::Timeline,
    Route::Flamegraph,
    Route::Diff,
    Route::Top,
    Route::Download,
    Route::MetricNames,
    Route::Metrics,
    Route::Alerts,
    Route::Sql,
    Route::OpenApi,
];

impl Route {
    /// Its path; a name in braces stands for anything.
    #[must_use]
    pub const fn path(self) -> &'static str {
        self.row().0
    }

    /// How it is asked.
    #[must_use]
    pub const fn method(self) -> Method {
        match self {
            Self::Sql => Method::POST,
            _ => Method::GET,
        }
    }

    /// The parameters that it knows.
    #[must_use]
    pub const fn parameters(self) -> &'static [&'static str] {
        self.row().1
    }

    const fn row(self) -> (&'static str, &'static [&'static str]) {
        match self {
            Self::Types => ("/api/v1/types", &["match", "from", "until"]),
            Self::Labels => ("/api/v1/labels", &["match", "from", "until"]),
            Self::LabelValues => ("/api/v1/labels/{name}", &["match", "from", "until"]),
            Self::Timeline => ("/api/v1/timeline", &["type", "match", "from", "until", "step_ms", "by"]),
            Self::Flamegraph => ("/api/v1/flamegraph", &["type", "match", "from", "until", "max_nodes"]),
            Self::Diff => (
                "/api/v1/diff",
                &[
                    "type",
                    "match",
                    "from",
                    "until",
                    "max_nodes",
                    "baseline_match",
                    "baseline_from",
                    "baseline_until",
                ],
            ),
            Self::Top => ("/api/v1/top", &["type", "match", "from", "until", "limit"]),
            Self::Download => ("/api/v1/download", &["format", "type", "match", "from", "until"]),
            Self::MetricNames => ("/api/v1/metrics/names", &["from", "until"]),
            Self::Metrics => ("/api/v1/metrics", &["name", "match", "from", "until"]),
            Self::Alerts => ("/api/v1/alerts", &[]),
            Self::Sql => ("/api/v1/sql", &[]),
            Self::OpenApi => ("/api/v1/openapi.json", &[]),
        }
    }

    /// Of a path, and what stands in it for the name in braces.
    #[must_use]
    pub fn of_path(path: &str) -> Option<(Self, String)> {
        ROUTES.iter().find_map(|route| Some((*route, route.name_in(path)?)))
    }

    fn name_in(self, path: &str) -> Option<String> {
        let Some((before, _)) = self.path().split_once('{') else {
            return (path == self.path()).then(String::new);
        };
        let name = path.strip_prefix(before).filter(|name| !name.is_empty() && !name.contains('/'))?;
        // As the value of a parameter is decoded, but that a plus is one.
        let name = name.replace('+', "%2B");
        let (name, _) = form_urlencoded::parse(name.as_bytes()).next()?;
        Some(name.into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_to_routes() {
        let of = |path: &str| Route::of_path(path).map(|(route, name)| (route.path(), name));
        assert_eq!(of("/api/v1/types"), Some(("/api/v1/types", String::new())));
        assert_eq!(of("/api/v1/labels"), Some(("/api/v1/labels", String::new())));
        assert_eq!(of("/api/v1/labels/a.b%2Fc+d"), Some(("/api/v1/labels/{name}", "a.b/c+d".to_owned())));
        for path in ["/api/v1/labels/", "/api/v1/labels/a/b", "/api/v1/types/", "/api/v2/types", "/api/"] {
            assert_eq!(of(path), None, "{path}");
        }
    }
}
