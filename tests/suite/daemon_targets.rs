//! Whom the daemon measures, and what stands on the profiles: by rule, for all who start later, through whatever they
//! become.

use std::{collections::BTreeSet, fs, path::Path, process::Command, time::Duration};

use anyhow::{Context as _, Result, ensure};
use tests::{
    control_group::{ControlGroup, command_in},
    delivered::Delivered,
    own_daemon::{Ended, OwnDaemon},
    paths,
    process::Running,
    servers::{self, Load},
};

use crate::support::{build_id, copy, own_name};

/// Longer than a test; guards end all before.
const LIFE_S: &str = "300";
const LIFE: Duration = Duration::from_secs(300);
const CONTAINER: &str = "f2ab61c3d0e94b7f8a5566778899aabbccddeeff00112233445566778899aabb";

fn children(pid: u32) -> Result<Vec<u32>> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
    text.split_whitespace().map(|pid| pid.parse().context("no process ID")).collect()
}

fn signal(pid: u32, signal: i32) -> Result<()> {
    // SAFETY: takes no pointer.
    let result = unsafe { libc::kill(pid.cast_signed(), signal) };
    ensure!(result == 0, "cannot signal {pid}: {}", std::io::Error::last_os_error());
    Ok(())
}

fn wait_until_sampled(daemon: &OwnDaemon, what: &str, pid: u32) -> Result<()> {
    daemon.until(what, |it| Ok(it.delivered()?.iter().any(|it| it.pids.contains(&pid)).then_some(())))
}

fn services(delivered: &[Delivered]) -> BTreeSet<&str> {
    delivered.iter().map(Delivered::service).collect()
}

/// In each profile of CPU time of a service, these labels stand.
fn check(ended: &Ended, service: &str, labels: &[(&str, &str)]) {
    let of_service: Vec<_> =
        ended.delivered.iter().filter(|it| it.service() == service && it.event == "cpu").collect();
    assert!(!of_service.is_empty(), "nothing of {service}: {:?}", services(&ended.delivered));
    for profile in of_service {
        for (name, value) in labels {
            assert_eq!(profile.label(name), *value, "{name} of {profile:#?}");
        }
    }
}

#[test]
fn nginx_keeps_its_labels_through_a_reload_and_through_a_binary_upgrade() -> Result<()> {
    let (server, master) = servers::orphaned_nginx()?;
    let _load = Load::with_rests(&server, Duration::from_millis(1), LIFE)?;
    let daemon = OwnDaemon::start(
        "[[target]]\nname = \"edge\"\nexe = \"/usr/sbin/nginx\"\nlabels = { team = \"web\" }",
    )?;
    let first = *children(master)?.first().context("nginx has no worker")?;
    wait_until_sampled(&daemon, "the worker is sampled", first)?;

    signal(master, libc::SIGHUP)?;
    let second = daemon
        .until("nginx has another worker", |_| Ok(children(master)?.into_iter().find(|pid| *pid != first)))?;
    wait_until_sampled(&daemon, "the worker after the reload is sampled", second)?;

    // The new binary is a child of the old master, and has workers of its own; then the old ones go.
    signal(master, libc::SIGUSR2)?;
    let third = daemon.until("a new master has a worker", |_| {
        let below = children(master)?.into_iter().filter_map(|pid| children(pid).ok());
        Ok(below.flatten().next())
    })?;
    signal(master, libc::SIGWINCH)?;
    wait_until_sampled(&daemon, "the worker after the upgrade is sampled", third)?;

    let ended = daemon.finish()?;
    assert_eq!(services(&ended.delivered), ["edge"].into(), "{:?}", ended.finished);
    let version = build_id(&paths::find("nginx", "nginx-light")?)?;
    let host = fs::read_to_string("/proc/sys/kernel/hostname")?;
    let labels = [
        ("team", "web"),
        ("process.executable.name", "nginx"),
        ("service.version", version.as_str()),
        ("host.name", host.trim()),
    ];
    check(&ended, "edge", &labels);
    Ok(())
}

fn spinning(program: &Path) -> Result<Running> {
    Running::start(Command::new(program).arg(LIFE_S))
}

fn spinning_in(group: &Path, program: &Path) -> Result<Running> {
    Running::start(command_in(group, program)?.arg(LIFE_S))
}

#[test]
fn who_starts_later_is_found_by_executable_unit_group_and_container_and_nobody_else_is() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let mut group = ControlGroup::create("rules")?;
    let unit = own_name("edge-");
    let [slice, service, container] =
        ["web.slice".to_owned(), format!("{unit}.service"), format!("docker-{CONTAINER}.scope")]
            .map(|name| group.create_below(&name));
    let (slice, service, container) = (slice?, service?, container?);
    let [late, child, stranger] = ["late", "child", "stranger"].map(|name| copy("hot321", dir.path(), name));
    let (late, child, stranger) = (late?, child?, stranger?);
    let parent = dir.path().join("parent");
    fs::copy(paths::find("sh", "dash")?, &parent)?;
    let daemon = OwnDaemon::start(format!(
        "[[target]]\nname = \"tardy\"\nexe = {late:?}\nlabels = {{ team = \"a\" }}\n\
         [[target]]\nexe = {parent:?}\n\
         [[target]]\nname = \"grouped\"\ncgroup = \"**/{}/web.slice\"\n\
         [[target]]\nunit = \"{unit}.*\"\n\
         [[target]]\ncontainer = \"{}\"\n[labels]\nzone = \"z1\"",
        group.path().file_name().context("a group without a name")?.to_string_lossy(),
        &CONTAINER[..8],
    ))?;
    let script = "\"$0\" 300 & \"$0\" 300 & wait";
    let all = [
        spinning(&late)?,
        spinning(&stranger)?,
        Running::start(Command::new(&parent).args(["-c", script]).arg(&child))?,
        spinning_in(&slice, &stranger)?,
        spinning_in(&service, &stranger)?,
        spinning_in(&container, &stranger)?,
    ];
    let expected: BTreeSet<&str> = ["tardy", "parent", "grouped", &unit, &CONTAINER[..12]].into();
    daemon.until("all are sampled", |it| {
        let delivered = it.delivered()?;
        Ok(services(&delivered).is_superset(&expected).then_some(()))
    })?;
    let nobodys = all[1].pid();
    let parents = children(all[2].pid())?;
    let ended = daemon.finish()?;
    drop(all);
    drop(group);

    assert_eq!(services(&ended.delivered), expected, "{:?}", ended.finished);
    let pids_of = |service: &str| -> BTreeSet<u32> {
        ended.delivered.iter().filter(|it| it.service() == service).flat_map(|it| it.pids.clone()).collect()
    };
    assert!(ended.delivered.iter().all(|it| !it.pids.contains(&nobodys)), "{nobodys} is no target");
    let children_seen = pids_of("parent");
    assert!(parents.iter().all(|pid| children_seen.contains(pid)), "{parents:?}, {children_seen:?}");
    let version = build_id(&late)?;
    check(&ended, "tardy", &[("team", "a"), ("zone", "z1"), ("service.version", &version)]);
    check(&ended, "parent", &[("team", ""), ("zone", "z1"), ("process.executable.name", "parent")]);
    check(&ended, "grouped", &[("zone", "z1"), ("process.executable.name", "stranger")]);
    check(&ended, &unit, &[("systemd.unit", &format!("{unit}.service")), ("service.version", &version)]);
    check(&ended, &CONTAINER[..12], &[("container.id", CONTAINER)]);
    Ok(())
}
