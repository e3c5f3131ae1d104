//! kill -9, again and again, under load: what was acknowledged is there, once.

use std::{
    collections::BTreeSet,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use collector::store::path::Table;

use super::{
    batches::{PROTOBUF, otlp},
    collector::{Home, try_post},
    read::{counts, rows},
};

const N_SENDERS: i64 = 4;
/// Small segments that are flushed at once: kills fall into every step.
const CONFIG: &str = "[log]\nflush_after_seconds = 0\nsegment_bytes = 20000\n[upkeep]\nevery_seconds = 0\n";

/// What senders know: numbers not acknowledged yet are sent again, as the agent does.
struct Senders {
    acknowledged: Mutex<BTreeSet<i64>>,
    next: Mutex<Vec<i64>>,
}

impl Senders {
    /// Sends until told to stop, or until the collector is gone; what had no answer goes first the next time.
    fn send(&self, sender: usize, to: std::net::SocketAddr, is_over: &AtomicBool) {
        while !is_over.load(Ordering::Relaxed) {
            let n = self.next.lock().expect("is whole")[sender];
            let answer = try_post(to, "/v1development/profiles", &[PROTOBUF], &otlp(n, &format!("key {n}")));
            match answer {
                Ok(answer) if answer.status == 200 => {
                    self.acknowledged.lock().expect("is whole").insert(n);
                    self.next.lock().expect("is whole")[sender] += N_SENDERS;
                }
                Ok(answer) => panic!("{}: {}", answer.status, answer.text()),
                Err(_) => return,
            }
        }
    }
}

fn kills(n_kills: u64) {
    let home = Home::new(CONFIG);
    let senders = Senders { acknowledged: Mutex::default(), next: Mutex::new((2..2 + N_SENDERS).collect()) };
    for round in 0..=n_kills {
        let collector = home.start();
        let to = collector.http;
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            for sender in 0..usize::try_from(N_SENDERS).expect("fits") {
                let (senders, is_over) = (&senders, &is_over);
                scope.spawn(move || senders.send(sender, to, is_over));
            }
            // A time that differs from round to round, and is short enough to fall into a start.
            thread::sleep(Duration::from_millis(20 + round * 137 % 400));
            if round < n_kills {
                collector.kill();
                is_over.store(true, Ordering::Relaxed);
            } else {
                is_over.store(true, Ordering::Relaxed);
                thread::sleep(Duration::from_millis(200));
                collector.end();
            }
        });
    }
    // What the store did not take in the time that an end may take is in the log, and brought there now.
    let collector = home.start();
    let n_left = collector.counted("brazier_log_replayed_total");
    while collector.counted("brazier_log_segments") > 0 {
        thread::sleep(Duration::from_millis(20));
    }
    collector.end();
    let is_segment = |path: &std::path::Path| path.extension().is_some_and(|ending| ending == "log");
    let wal = std::fs::read_dir(home.data().join("wal")).expect("lists");
    let segments: Vec<_> =
        wal.map(|entry| entry.expect("lists").path()).filter(|path| is_segment(path)).collect();
    assert!(segments.is_empty(), "{segments:?}");

    let acknowledged = senders.acknowledged.into_inner().expect("is whole");
    let samples = rows(&home.data(), Table::Samples);
    let leaves: Vec<_> =
        samples.into_iter().filter(|row| row["type"] == "samples" && row["value"] != "1").collect();
    let seen = counts(&leaves, "value");
    let lost: Vec<i64> =
        acknowledged.iter().filter(|n| !seen.contains_key(&n.to_string())).copied().collect();
    let twice: Vec<_> = seen.iter().filter(|(_, count)| **count != 1).collect();
    println!(
        "{n_kills} kills: {} acknowledged, {} in the store, {n_left} of them after the end",
        acknowledged.len(),
        seen.len()
    );
    assert!(lost.is_empty(), "acknowledged and not there: {lost:?}");
    assert!(twice.is_empty(), "there more than once: {twice:?}");
    // At most one of each sender had no answer, each time.
    let n_unanswered =
        seen.keys().filter(|n| !acknowledged.contains(&n.parse().expect("is a number"))).count();
    assert!(n_unanswered <= usize::try_from(N_SENDERS).expect("fits"), "{n_unanswered} of no answer");
    assert!(acknowledged.len() > usize::try_from(n_kills).expect("fits"), "{acknowledged:?}");
}

/// `BRAZIER_KILLS=100` kills as often.
#[test]
fn what_was_acknowledged_before_a_kill_is_there_once() {
    let n_kills = std::env::var("BRAZIER_KILLS").map_or(6, |n| n.parse().expect("is a number"));
    kills(n_kills);
}
