//! What the daemon finds in its spool when it starts: batches of before are delivered, all else is set aside and counted;
//! a spool of somebody else is none.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::{PermissionsExt as _, chown},
    path::Path,
};

use agent::send::{
    batch::{Form, Keys},
    make,
    spool::{
        Limits, Spool,
        format::{self, Content},
    },
};
use anyhow::{Context as _, Result, ensure};
use profile::{Labels, Meta, Profile, ValueType};
use tests::{
    agent::list,
    daemon::{Daemon, DaemonConfig},
    own_daemon::OwnDaemon,
    paths,
};

use crate::support::target;

const SPOOL: &str = "brazier_spool_batches_total";
/// Somebody who owns nothing on this host.
const OTHER_USER: u32 = 54_321;

/// A spool with a batch in it that nobody has got, and what else may be there.
fn fill(dir: &Path) -> Result<()> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    let now_unix_ns = u64::try_from(now.as_nanos())?;
    let mut spool = Spool::open(dir, Limits::default(), &["files".to_owned()], now_unix_ns)?;
    let mut profile = Profile::new(ValueType::CPU, Meta { start_unix_ns: now_unix_ns, ..Meta::default() });
    let frame = profile.intern("left_by_another");
    let path = profile.intern("/usr/sbin/nginx");
    let mapping = profile.mapping(profile::Mapping::file(path, None));
    let frame = profile.frame(profile::Frame::native(mapping, 1).named(frame));
    let stack = profile.stack(vec![frame]);
    let process = profile.process(4711, "nginx");
    let thread = profile.thread(process, 4711, "nginx");
    profile.add(stack, thread, &[7, 70])?;
    let labels: Labels = [("service.name", "before")].into_iter().collect();
    let forms = BTreeSet::from([Form::Pprof]);
    spool.append(
        make::of_profile(&profile, "cpu", &labels, Keys::random()?.next_key(), &forms)?,
        now_unix_ns,
    )?;
    drop(spool);

    let whole = format::encode(Content::Batch, now_unix_ns, &[1; 500]);
    let changed = |at: usize, to: u8| {
        let mut file = whole.clone();
        file[at] = to;
        file
    };
    let files: [(&str, Vec<u8>); 8] = [
        ("00000000000000a1.batch", b"garbage, and not even much of it".to_vec()),
        ("00000000000000a2.batch", changed(8, 2)),
        ("00000000000000a3.batch", whole[..200].to_vec()),
        ("00000000000000a4.batch", changed(300, 9)),
        ("00000000000000a5.batch", whole),
        ("00000000000000a6.batch.unfinished", vec![0; 100]),
        ("places", vec![0xff; 3000]),
        ("notes.txt", b"mine".to_vec()),
    ];
    for (name, content) in files {
        fs::write(dir.join(name), content)?;
    }
    Ok(())
}

#[test]
fn garbage_and_another_version_are_set_aside_and_counted_and_what_is_whole_is_delivered() -> Result<()> {
    let _hot = target("hot321")?;
    let daemon =
        OwnDaemon::start_with(format!("[[target]]\nexe = {:?}", paths::program("hot321")?), |config| {
            fill(&config.spool_dir)
        })?;
    let count = |it: &OwnDaemon, outcome| {
        Ok::<_, anyhow::Error>(it.daemon().metrics()?.count(SPOOL, &[("outcome", outcome)]))
    };
    daemon.until("what is no batch is counted", |it| Ok((count(it, "refused")? >= 6).then_some(())))?;
    assert_eq!((count(&daemon, "refused")?, count(&daemon, "unfinished")?), (6, 1));
    let services = daemon.until("old and new are delivered", |it| {
        let services: BTreeSet<_> = it.delivered()?.iter().map(|it| it.service().to_owned()).collect();
        Ok((services.len() == 2).then_some(services))
    })?;
    assert_eq!(services, ["before", "hot321"].map(str::to_owned).into());
    let before = daemon.delivered()?.into_iter().filter(|it| it.service() == "before");
    let before: Vec<_> = before.map(|it| (it.n_samples, it.functions)).collect();
    assert_eq!(before, [(7, ["left_by_another".to_owned()].into())]);
    let names = list(&daemon.config.spool_dir)?;
    let n_refused = names.iter().filter(|name| name.to_string_lossy().ends_with(".refused")).count();
    assert_eq!(n_refused, 5, "{names:?}");
    assert_eq!(fs::read(daemon.config.spool_dir.join("notes.txt"))?, b"mine");
    let ended = daemon.finish()?;
    assert_eq!(ended.finished.status.code(), Some(0), "{ended:#?}");
    let n_new: u64 =
        ended.delivered.iter().filter(|it| it.service() != "before").map(|it| it.n_samples).sum();
    assert_eq!((n_new, ended.told[2]), (ended.told[0], 0), "{}", ended.finished.stderr);
    Ok(())
}

/// Does not start; what it says.
fn refused(config: &DaemonConfig) -> Result<String> {
    let finished = Daemon::start(&config.write()?, config.listen)?.finish(tests::wait::PATIENCE)?;
    ensure!(finished.status.code() == Some(1), "{finished:?}");
    Ok(finished.stderr)
}

#[test]
fn a_spool_of_another_user_or_daemon_is_refused_by_name() -> Result<()> {
    let running = OwnDaemon::start("[[target]]\nexe = \"/no/such/program\"")?;
    let dir = tempfile::tempdir()?;
    let config = DaemonConfig::in_dir(dir.path())?;
    let config = DaemonConfig { targets: running.config.targets.clone(), ..config };
    fs::create_dir(&config.spool_dir)?;
    fs::set_permissions(&config.spool_dir, fs::Permissions::from_mode(0o700))?;
    chown(&config.spool_dir, Some(OTHER_USER), Some(OTHER_USER)).context("cannot give it away")?;
    let said = refused(&config)?;
    assert!(said.contains(&config.spool_dir.display().to_string()) && said.contains("user"), "{said}");

    let taken = &running.config.spool_dir;
    let said = refused(&DaemonConfig { spool_dir: taken.clone(), ..config })?;
    assert!(said.contains(&taken.display().to_string()) && said.contains("another agent"), "{said}");
    Ok(())
}
