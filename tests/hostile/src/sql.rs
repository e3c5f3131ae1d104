//! Any text as a statement over a small store: it is answered within its bounds, or refused with a reason. What is in no table of the
//! tenant is in no answer, and the store is as it was.

use std::{
    collections::{BTreeMap, HashSet},
    fs, io,
    path::{Path, PathBuf},
    sync::LazyLock,
    time::Duration,
};

use collector::{
    limits::Limits,
    model::Key,
    receive::{Envelope, Target, decode},
    store::{Store, Written, files_of},
    wal::{Sealed, format},
};
use query::{Answer, Engine, Error, Rows, Statement, TimeRange};
use tempfile::TempDir;
use tokio::runtime::Runtime;

const TENANT: &str = "t";
/// What stands in a file beside the store, and in the files of another tenant.
const SECRETS: [&str; 2] = ["beside-the-store", "of-another-tenant"];
/// The first words of a file that every system has.
const PASSWORDS: &str = "root:x:0:0";
const NOW_NS: u64 = 1_700_000_000_000_000_000;
const HOUR_NS: u64 = 3_600_000_000_000;
const MAX_ROWS: usize = 50;
const MAX_ANSWER_BYTES: usize = 65 << 20;

struct World {
    dir: TempDir,
    engine: Engine,
    runtime: Runtime,
    files: BTreeMap<PathBuf, u64>,
}

static WORLD: LazyLock<Option<World>> = LazyLock::new(|| world().ok());

fn world() -> anyhow::Result<World> {
    let dir = tempfile::tempdir()?;
    for (tenant, service, number) in [(TENANT, "edge", 1), ("other", SECRETS[1], 2)] {
        for file in files(tenant, service, number)? {
            let path = dir.path().join("store").join(file.0);
            fs::create_dir_all(path.parent().unwrap_or(dir.path()))?;
            fs::write(path, file.1)?;
        }
    }
    fs::write(dir.path().join("secret.csv"), format!("a\n{}\n", SECRETS[0]))?;
    let (objects, prefix) = Store::directory(&dir.path().join("store"))?.objects();
    let limits = query::Limits {
        n_threads: 1,
        memory_bytes: 64 << 20,
        timeout: Duration::from_secs(1),
        ..query::Limits::default()
    };
    let engine = Engine::new(objects, prefix, limits)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let files = listed(dir.path())?;
    Ok(World { dir, engine, runtime, files })
}

/// A few stacks of a tenant, as the collector stores them.
fn files(tenant: &str, service: &str, number: u64) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
    let limits = Limits::default();
    let query = format!("name={service}{{site=ams}}&from={}", NOW_NS / 1_000_000_000);
    let envelope = Envelope {
        tenant,
        received_unix_ns: NOW_NS,
        limits: &limits,
        query: &query,
        given: None,
        content: Key([1; 16]),
        random: Key([2; 16]),
    };
    let decoded = decode(Target::Ingest, b"main;a;b 3\nmain;a 4\nmain;c 5\n", &envelope)?;
    let mut segment = format::segment_header(number).to_vec();
    for keyed in &decoded.batches {
        let content = zstd::encode_all(keyed.batch.encode().as_slice(), 1)?;
        segment
            .extend(format::record(number, segment.len() as u64, keyed.key, 1, &content).unwrap_or_default());
    }
    let sealed = Sealed { number, bytes: segment.len() as u64, skipped: HashSet::new(), since_ns: 0 };
    let flushed = files_of(&segment, &sealed, "0123456789abcdef", &Written::default())?;
    Ok(flushed.files.into_iter().map(|file| (file.path.to_string(), file.bytes.to_vec())).collect())
}

/// All files below a directory, with their sizes.
fn listed(dir: &Path) -> io::Result<BTreeMap<PathBuf, u64>> {
    let mut files = BTreeMap::new();
    let mut left = vec![dir.to_owned()];
    while let Some(dir) = left.pop() {
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            if metadata.is_dir() {
                left.push(entry.path());
            } else {
                files.insert(entry.path(), metadata.len());
            }
        }
    }
    Ok(files)
}

pub(crate) fn body(bytes: &[u8]) {
    let world = WORLD.as_ref();
    assert!(world.is_some(), "there is no store to ask");
    let Some(World { dir, engine, runtime, files }) = world else { return };
    // A fuzzer cannot know where it is.
    let sql = String::from_utf8_lossy(bytes).replace("HERE", &dir.path().display().to_string());
    let range = TimeRange { from_unix_ns: NOW_NS - HOUR_NS, until_unix_ns: NOW_NS + HOUR_NS };
    let statement = Statement { tenant: TENANT.to_owned(), sql: sql.clone(), range, limit: MAX_ROWS };
    match runtime.block_on(engine.sql(&statement)) {
        Ok(Answer { value, .. }) => answered(&sql, &value),
        // What made a reader panic is told as a file that cannot be read.
        Err(error @ (Error::File { .. } | Error::Internal { .. } | Error::Store(_))) => {
            unreachable!("{sql:?}: {error}")
        }
        Err(error) => {
            assert!(!error.to_string().is_empty() && (400..=504).contains(&error.status()), "{error:?}");
        }
    }
    let now = listed(dir.path()).unwrap_or_default();
    assert_eq!(&now, files, "{sql:?} has changed what is there");
}

fn answered(sql: &str, rows: &Rows) {
    assert!(rows.rows.len() <= MAX_ROWS, "{sql:?}: {} rows", rows.rows.len());
    // What the statement says itself, it may be told.
    let text = format!("{rows:?}");
    assert!(text.len() <= 4 * MAX_ANSWER_BYTES, "{sql:?}: {} bytes", text.len());
    for secret in SECRETS.into_iter().chain([PASSWORDS]) {
        assert!(sql.contains(secret) || !text.contains(secret), "{sql:?}: {text}");
    }
}

/// Statements that are answered, and those that should not be.
pub(crate) fn seeds() -> Vec<(String, Vec<u8>)> {
    let nested = format!("select {}1{}", "(".repeat(300), ")".repeat(300));
    [
        "select * from samples",
        "select service, sum(value) from samples where type = 'cpu' group by 1 order by 2 desc limit 3",
        "select f.function, s.value from samples s join stacks k on s.stack = k.stack, frames f limit 9",
        "with a as (select labels from samples) select distinct labels from a",
        "select date_trunc('hour', time), count(*) over (partition by service) from samples",
        "select regexp_replace(service, '(a|b)+', 'x', 'g'), upper(host), concat_ws(',', service, unit) from samples",
        "with recursive n as (select 1 as i union all select i + 1 from n) select count(*) from n",
        "select * from '/etc/passwd'",
        "select * from 'HERE/secret.csv'",
        "select * from 'HERE/store/samples/other'",
        "create external table x stored as csv location '/etc/passwd'",
        "copy samples to 'HERE/out.csv'",
        "insert into samples select * from samples",
        "drop table samples",
        "set datafusion.execution.batch_size = 1",
        "select * from information_schema.tables",
        "select count(*) from samples a, samples b, samples c, samples d, samples e, samples f, samples g",
        "select array_agg(value), make_array(1, 2)[1], {'a': 1} from samples",
        "select cast('x' as bigint), 1/0, 9223372036854775807 + 1",
        "explain analyze select 1",
        "select 1; select 2",
        "",
        &nested,
    ]
    .into_iter()
    .enumerate()
    .map(|(n, text)| (format!("statement_{n}"), text.as_bytes().to_vec()))
    .collect()
}
