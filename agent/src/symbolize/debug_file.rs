//! The file that holds what was stripped from another: where distributions put it, and whether it is the right one.
//!
//! It is looked for inside the root of the process that maps the file, then in the agent's own. What is found is
//! as hostile as the target: it is opened without being led out of that root, believed only if it has the same
//! build ID, and copied like any other file before it is parsed.

use std::fs::File;
use std::path::{Component, Path, PathBuf};

use super::debug_link::{CheckBudget, DebugLink};
use crate::object::{BuildId, Elf, ObjectFile};
use crate::procfs::root;

/// Where distributions install separate debug information.
const DEBUG_DIRECTORY: &str = "/usr/lib/debug";

/// A place to look.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    path: PathBuf,
    /// It is the link that leads there, so the file must have the link's checksum.
    is_linked: bool,
}

/// Finds the debug file of an object.
pub(super) fn find(object: &ObjectFile, elf: &Elf<'_>, budget: &mut CheckBudget) -> Option<ObjectFile> {
    let link = DebugLink::of(elf);
    let places = places(object.build_id.as_ref(), link.as_ref(), &object.path);
    let own = root::own().ok();
    let roots = [object.root.as_deref(), own.as_ref()];
    roots
        .into_iter()
        .flatten()
        .find_map(|root| places.iter().find_map(|place| open(root, place, object, link.as_ref(), budget)))
}

fn open(
    root: &File,
    place: &Place,
    object: &ObjectFile,
    link: Option<&DebugLink>,
    budget: &mut CheckBudget,
) -> Option<ObjectFile> {
    let found = ObjectFile::open_inside(root, &place.path).ok()?;
    if found.identity == object.identity || found.build_id != object.build_id {
        return None;
    }
    let is_right = !place.is_linked || link?.fits(&found.file, found.size_bytes, budget);
    is_right.then_some(found)
}

/// Without a build ID, only a checksum proves that a file is the right one.
fn places(build_id: Option<&BuildId>, link: Option<&DebugLink>, path: &Path) -> Vec<Place> {
    let mut places = Vec::new();
    let mut add = |path: PathBuf, is_linked| places.push(Place { path, is_linked });
    let debug = Path::new(DEBUG_DIRECTORY);
    if let Some(path) = build_id.and_then(build_id_path) {
        add(debug.join(path), false);
    }
    // Relative to the root; none for a label such as `[vdso]`.
    let inside = path
        .strip_prefix("/")
        .ok()
        .filter(|inside| inside.components().all(|part| matches!(part, Component::Normal(_))));
    let Some(inside) = inside else { return places };
    if let (Some(link), Some(directory)) = (link, inside.parent()) {
        let beside = Path::new("/").join(directory);
        add(beside.join(&link.name), true);
        add(beside.join(".debug").join(&link.name), true);
        add(debug.join(directory).join(&link.name), true);
    }
    if build_id.is_some() {
        let mut name = debug.join(inside).into_os_string();
        name.push(".debug");
        add(name.into(), false);
    }
    places
}

/// `.build-id/ab/cdef....debug`
fn build_id_path(build_id: &BuildId) -> Option<PathBuf> {
    let digits = build_id.to_string();
    let (first, rest) = digits.split_at_checked(2).filter(|(_, rest)| !rest.is_empty())?;
    Some(Path::new(".build-id").join(first).join(format!("{rest}.debug")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_follow_the_build_id_the_link_and_the_path_and_never_leave_the_debug_directory() {
        let build_id = BuildId::new(&[0xab, 0xcd, 0xef]).expect("short");
        let link = DebugLink { name: "nginx.debug".into(), crc: 0 };
        let shown = |build_id, link, path: &str| -> Vec<String> {
            places(build_id, link, Path::new(path))
                .into_iter()
                .map(|place| {
                    format!("{}{}", place.path.display(), if place.is_linked { " linked" } else { "" })
                })
                .collect()
        };
        assert_eq!(
            shown(Some(&build_id), Some(&link), "/usr/sbin/nginx"),
            [
                "/usr/lib/debug/.build-id/ab/cdef.debug",
                "/usr/sbin/nginx.debug linked",
                "/usr/sbin/.debug/nginx.debug linked",
                "/usr/lib/debug/usr/sbin/nginx.debug linked",
                "/usr/lib/debug/usr/sbin/nginx.debug",
            ]
        );
        assert_eq!(shown(None, None, "/usr/sbin/nginx"), [""; 0]);
        for path in ["/usr/../../tmp/evil", "relative", "[vdso]"] {
            let seen = shown(Some(&build_id), Some(&link), path);
            assert_eq!(seen, ["/usr/lib/debug/.build-id/ab/cdef.debug"], "{path}");
        }
        let one_byte = BuildId::new(&[1]).expect("short");
        assert_eq!(build_id_path(&one_byte), None);
    }
}
