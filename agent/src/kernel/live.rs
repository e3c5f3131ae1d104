//! What the kernel side holds of allocations: those that live, and calls under way.

use abi::{
    alloc::{Call, Live, LiveKey, NOT_SAMPLED, Pending},
    names,
};
use aya::{
    Ebpf,
    maps::{HashMap, MapData, MapError},
};

use super::{
    KernelError, load,
    tables::{absent_is_fine, map_error},
};

/// A sampled allocation that has not been freed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LiveObject {
    /// Whose.
    pub pid: u32,
    /// Where.
    pub address: u64,
    /// Time of its sample.
    pub since_ns: u64,
}

impl LiveObject {
    fn key(&self) -> LiveKey {
        LiveKey { address: self.address, tgid: self.pid, reserved: 0 }
    }
}

/// Both maps.
pub(super) struct LiveTables {
    live: HashMap<MapData, LiveKey, Live>,
    pending: HashMap<MapData, Call, Pending>,
}

impl LiveTables {
    pub(super) fn take(ebpf: &mut Ebpf) -> Result<Self, KernelError> {
        Ok(Self { live: load::take(ebpf, names::MAP_LIVE)?, pending: load::take(ebpf, names::MAP_PENDING)? })
    }

    pub(super) fn holds(&self, object: &LiveObject) -> bool {
        self.live.get(&object.key(), 0).is_ok_and(|live| live.since_ns == object.since_ns)
    }

    pub(super) fn forget(&mut self, objects: &[LiveObject]) -> Result<(), KernelError> {
        for object in objects {
            // Whoever has the process ID now may have something at that place.
            if self.holds(object) {
                absent_is_fine(self.live.remove(&object.key())).map_err(map_error(names::MAP_LIVE))?;
            }
        }
        Ok(())
    }

    pub(super) fn forget_calls(&mut self, is_of: impl Fn(u32) -> bool) -> Result<u64, KernelError> {
        let failed = || map_error(names::MAP_PENDING);
        let calls: Vec<(Call, Pending)> =
            self.pending.iter().collect::<Result<_, MapError>>().map_err(failed())?;
        let mut n_sampled = 0;
        for (call, pending) in calls {
            if is_of((call.pid_tgid >> 32) as u32) {
                absent_is_fine(self.pending.remove(&call)).map_err(failed())?;
                n_sampled += u64::from(pending.user_stack != NOT_SAMPLED);
            }
        }
        Ok(n_sampled)
    }
}
