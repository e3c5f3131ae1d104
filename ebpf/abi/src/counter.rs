//! What the kernel side counts, mostly losses, each bumped where it happens.

macro_rules! counters {
    ($($variant:ident $name:literal $sentence:literal)*) => {
        /// Index into the per-CPU map of counters.
        #[repr(u32)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Counter { $(#[doc = $sentence] $variant,)* }

        impl Counter {
            /// Every counter, in index order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// Name as in reports and metrics.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// One sentence for people.
            #[must_use]
            pub const fn sentence(self) -> &'static str {
                match self { $(Self::$variant => $sentence,)* }
            }
        }
    };
}

counters! {
    Taken "samples_taken" "samples that passed the target filter"
    RingFull "ring_full" "samples lost because the ring was full or busy"
    SlotsBusy "slots_busy" "samples lost because the threads before them on their CPU had not finished theirs"
    StackResent "stacks_resent" "stacks sent again because the table of sent stacks was full or busy"
    KernelStackFailed "kernel_stack_failed" "samples whose kernel stack could not be read"
    TargetsFull "targets_full" "processes not followed because the table of targets was full"
    ResidentFull "resident_full" "changes of resident memory not seen because the table of processes was full or busy"
    MappingsFull "mappings_full" "forks whose mappings could not be copied for want of room or memory"
    AllocationsFailed "allocations_failed" "sampled calls of allocators that gave nothing: not counted"
    CallsUnreturned "calls_unreturned" "sampled calls of allocators that were not seen to return: not counted"
    PendingFull "pending_full" "allocations not followed, and counted when they began, because the table of calls under way was full or busy"
    LiveFull "live_full" "sampled allocations not followed, and missing from what is live, because the table of live ones was full or busy"
    FreesMissed "frees_missed" "live allocations whose address was given out again: they were freed unseen"
    FreesLost "frees_lost" "frees not told of because the ring was full or busy"
    ThreadsFull "threads_full" "stretches of threads whose time could not be followed because the table of threads was full or busy"
    ThreadsUntold "threads_untold" "threads whose short waits are missing from the sums, as the ring was full or busy when they ended"
    WorkersFull "workers_full" "waits for events not seen because the table of workers was full or busy"
    StallsUntold "stalls_untold" "long iterations of event loops whose stacks are missing, as the ring was full or busy when they ended"
    MessagesTaken "messages_taken" "what became of messages of HTTP: heads, ends, connections"
    MessagesLost "messages_lost" "of them, those lost because the ring was full or busy: their requests are missing or not whole"
    HeadsUnread "heads_unread" "heads of messages that could not be read, or had no end within 32 KiB: the rest of their connection is not seen"
    ConnectionsFull "connections_full" "connections not followed because the table of connections was busy"
    TlsCallsMissed "tls_calls_missed" "calls of libraries for TLS not looked at for want of room: the rest of their connection is not seen"
    CapturesSkipped "captures_skipped" "samples in code not known yet whose stack did not cross, as the ring was too full"
}

/// Entries of the map of counters.
pub const N_COUNTERS: u32 = Counter::ALL.len() as u32;
