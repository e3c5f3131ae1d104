//! Things go wrong, one after another and two at a time, while the daemon runs: then everything is mended, and what
//! arrived is held against what was made.

pub mod audit;
pub mod fault;

mod world;

use std::time::{Duration, Instant};

use anyhow::Result;
use fastrand::Rng;

use self::{
    audit::Audit,
    fault::{Deck, Fault},
    world::World,
};

/// How a run goes.
#[derive(Clone, Debug)]
pub struct Settings {
    /// For how long things go wrong.
    pub duration: Duration,
    /// What decides the order of faults and their times.
    pub seed: u64,
    /// How long a fault lasts, at most.
    pub longest_fault: Duration,
    /// Of the agent.
    pub window: String,
}

/// Of faults that are no end of the agent, the share during which it is killed besides.
const KILLED_MEANWHILE: f64 = 0.3;

/// Runs it; none where no receiver can be started. What happens is told line by line.
///
/// # Errors
/// If something cannot be started, or mended.
pub fn run(settings: &Settings, mut say: impl FnMut(&str) + Send) -> Result<Option<Audit>> {
    world::on_own_thread(|| {
        let start = Instant::now();
        let mut say = |what: &str| say(&format!("{:7.1} s  {what}", start.elapsed().as_secs_f64()));
        let Some(mut world) = World::new(settings.duration, &settings.window)? else { return Ok(None) };
        say("the agent is up");
        let (mut rng, mut deck) = (Rng::with_seed(settings.seed), Deck::new());
        let longest_s = settings.longest_fault.as_secs_f64();
        // A window or two, so that there is something to lose.
        world.rest(settings.longest_fault)?;
        let mut n_faults = 0_u64;
        while start.elapsed() < settings.duration {
            let fault = deck.draw(&mut rng);
            let lasts = between(&mut rng, longest_s / 4.0, longest_s);
            let rest = between(&mut rng, 0.2, longest_s / 3.0);
            let is_killed = rng.f64() < KILLED_MEANWHILE;
            n_faults += 1;
            say(&format!("{fault}, for {:.1} s", lasts.as_secs_f64()));
            world.begin(fault)?;
            world.rest(lasts / 2)?;
            if is_killed && fault != Fault::AgentKilled {
                say("agent killed and started meanwhile");
                world.restart_agent()?;
            }
            world.rest(lasts / 2)?;
            world.mend(fault)?;
            world.rest(rest)?;
        }
        say("all is mended");
        let (evidence, violations, notes) = world.finish()?;
        say("the agent has ended");
        notes.iter().for_each(|note| say(note));
        let mut audit = evidence.audit();
        audit.figures.insert(0, ("faults".to_owned(), n_faults));
        audit.figures.insert(1, ("lives of the agent".to_owned(), evidence.lives.len() as u64));
        audit.violations.extend(violations);
        Ok(Some(audit))
    })
}

fn between(rng: &mut Rng, least_s: f64, most_s: f64) -> Duration {
    Duration::from_secs_f64(least_s + (most_s - least_s).max(0.0) * rng.f64())
}
