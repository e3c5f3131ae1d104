//! The part of Cargo.lock that decides what goes into the kernel programs.

use std::collections::{BTreeMap, BTreeSet};

use crate::StampError;

/// One `[[package]]` of Cargo.lock.
#[derive(Debug, Default, Clone)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
    source: String,
    checksum: String,
    dependencies: Vec<String>,
}

impl Package {
    /// The line that enters the hash.
    pub(crate) fn fingerprint(&self) -> String {
        format!("{} {} {} {}", self.name, self.version, self.source, self.checksum)
    }
}

/// Everything `start` is built from, sorted; `manifests` holds the Cargo.toml of the workspace members among it.
///
/// A lock file does not tell development and optional dependencies from the rest, and both would make the
/// object look stale after an update that cannot reach it, so members follow their manifest.
pub(crate) fn closure(
    lock: &str,
    start: &str,
    manifests: &BTreeMap<String, String>,
) -> Result<Vec<Package>, StampError> {
    let packages = parse(lock);
    let mut found: BTreeMap<(String, String), Package> = BTreeMap::new();
    let mut open = vec![start.to_owned()];
    while let Some(reference) = open.pop() {
        let package = resolve(&packages, &reference).ok_or(StampError::NotLocked { package: reference })?;
        let key = (package.name.clone(), package.version.clone());
        if found.contains_key(&key) {
            continue;
        }
        let wanted = manifests.get(&package.name).map(|manifest| build_dependencies(manifest));
        let follow = package
            .dependencies
            .iter()
            .filter(|dependency| wanted.as_ref().is_none_or(|wanted| wanted.contains(name_of(dependency))));
        open.extend(follow.cloned());
        found.insert(key, package.clone());
    }
    Ok(found.into_values().collect())
}

fn parse(lock: &str) -> Vec<Package> {
    let mut packages: Vec<Package> = Vec::new();
    let mut in_package = false;
    for line in lock.lines() {
        let line = line.trim();
        if line.starts_with('[') && line.ends_with(']') && !line.starts_with("[\"") {
            in_package = line == "[[package]]";
            if in_package {
                packages.push(Package::default());
            }
            continue;
        }
        let Some(package) = packages.last_mut().filter(|_| in_package) else { continue };
        if line.starts_with('"') {
            package.dependencies.push(unquote(line).to_owned());
        } else if let Some((key, value)) = line.split_once(" = ") {
            let value = unquote(value);
            match key {
                "name" => value.clone_into(&mut package.name),
                "version" => value.clone_into(&mut package.version),
                "source" => value.clone_into(&mut package.source),
                "checksum" => value.clone_into(&mut package.checksum),
                _ => {}
            }
        }
    }
    packages
}

/// A reference is `name`, `name version` or `name version (source)`.
fn resolve<'a>(packages: &'a [Package], reference: &str) -> Option<&'a Package> {
    let version = reference.split(' ').nth(1);
    packages
        .iter()
        .find(|it| it.name == name_of(reference) && version.is_none_or(|version| it.version == version))
}

fn name_of(reference: &str) -> &str {
    reference.split(' ').next().unwrap_or(reference)
}

fn unquote(text: &str) -> &str {
    text.trim_end_matches(',').trim_matches('"')
}

/// Names that a manifest depends on outside tests, optional ones left out: the kernel side turns no feature on.
fn build_dependencies(manifest: &str) -> BTreeSet<&str> {
    let mut names = BTreeSet::new();
    let mut wanted_section = false;
    for line in manifest.lines().map(str::trim) {
        if line.starts_with('[') {
            wanted_section = line.ends_with("dependencies]") && !line.ends_with("dev-dependencies]");
        } else if wanted_section && !line.contains("optional = true") && !line.starts_with('#') {
            let end = line.find(['.', '=', ' ']).unwrap_or(0);
            if let Some(name) = line.get(..end).filter(|name| !name.is_empty()) {
                names.insert(name.trim_matches('"'));
            }
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &str = r#"
version = 4

[[package]]
name = "ebpf"
version = "0.1.0"
dependencies = [
 "abi",
 "aya-ebpf",
 "proptest",
]

[[package]]
name = "abi"
version = "0.1.0"
dependencies = [
 "aya",
]

[[package]]
name = "aya-ebpf"
version = "0.2.1"
source = "registry"
checksum = "aa"
dependencies = [
 "syn 2.0.1",
]

[[package]]
name = "syn"
version = "1.0.9"
checksum = "bb"

[[package]]
name = "syn"
version = "2.0.1"
checksum = "cc"

[[package]]
name = "aya"
version = "0.14.0"

[[package]]
name = "proptest"
version = "1.0.0"
"#;

    fn manifests() -> BTreeMap<String, String> {
        let ebpf = "[dependencies]\nabi.workspace = true\n[target.'cfg(x)'.dependencies]\naya-ebpf = \"0.2\"\n\
                    [dev-dependencies]\nproptest.workspace = true\n";
        let abi = "[dependencies]\naya = { workspace = true, optional = true }\n";
        [("ebpf", ebpf), ("abi", abi)].map(|(name, text)| (name.to_owned(), text.to_owned())).into()
    }

    #[test]
    fn only_what_reaches_the_kernel_side_is_followed_and_versions_are_told_apart() {
        let found = closure(LOCK, "ebpf", &manifests()).unwrap();
        let lines: Vec<String> = found.iter().map(Package::fingerprint).collect();
        assert_eq!(
            lines,
            ["abi 0.1.0  ", "aya-ebpf 0.2.1 registry aa", "ebpf 0.1.0  ", "syn 2.0.1  cc"],
            "packages followed"
        );
    }

    #[test]
    fn a_package_that_is_not_locked_is_an_error() {
        let lock = "[[package]]\nname = \"ebpf\"\nversion = \"1\"\ndependencies = [\n \"gone\",\n]\n";
        let error = closure(lock, "ebpf", &BTreeMap::new()).unwrap_err();
        assert_eq!(error.to_string(), "package `gone` is not in Cargo.lock");
    }

    #[test]
    fn dependencies_that_name_each_other_end() {
        let lock = "[[package]]\nname = \"a\"\nversion = \"1\"\ndependencies = [\n \"b\",\n]\n\
                    [[package]]\nname = \"b\"\nversion = \"1\"\ndependencies = [\n \"a\",\n]\n";
        assert_eq!(closure(lock, "a", &BTreeMap::new()).unwrap().len(), 2);
    }
}
