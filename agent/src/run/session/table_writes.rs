//! What a recording writes to the kernel's tables, and what becomes of it.

use abi::target::{TARGET_ACTIVE, TARGET_FOLLOW, Target};

use super::Session;
use crate::{
    clock,
    kernel::KernelError,
    process::{FileId, plan},
    table_op::{FileUnwinding, TableOp},
};

impl Session {
    /// Writes to the kernel's tables whatever has changed, unwind tables first: a mapping makes its file be walked.
    pub(super) fn write_tables(&mut self, as_of_ns: u64) {
        while let Some((file, unwinding)) = self.world.tables.next() {
            if let Some(table) = &unwinding.table {
                self.world.keep_functions(file, table);
            }
            self.losses.tables_refused += u64::from(unwinding.is_refused);
            match self.write_unwind_table(file, unwinding) {
                Ok(()) => {
                    self.table_use.written(file, as_of_ns);
                    self.late.table_written();
                }
                Err(KernelError::NoTableRoom { .. }) => self.table_use.refused(file, as_of_ns),
                Err(KernelError::TableTooLarge { .. }) => self.losses.tables_too_large += 1,
                Err(error) => self.note_table_error(error),
            }
        }
        let mut ops = plan::table_ops(&mut self.world.processes, as_of_ns);
        // What is chosen has its mappings before it is sampled.
        let target = Target { image_since_ns: 0, flags: TARGET_ACTIVE | TARGET_FOLLOW, reserved: 0 };
        let chosen = self.world.take_chosen(as_of_ns).into_iter();
        ops.extend(chosen.map(|pid| TableOp::SetTarget { pid, target }));
        for op in ops {
            if let Err(error) = self.kernel.apply(&op) {
                self.note_table_error(error);
            }
        }
        self.world.told();
    }

    /// Writes the unwind table of a file, in the place of colder ones if need be.
    fn write_unwind_table(&mut self, file: FileId, unwinding: FileUnwinding) -> Result<(), KernelError> {
        let table = unwinding.table.clone();
        let op = TableOp::SetUnwindTable { file, unwinding };
        match (self.kernel.apply(&op), table) {
            (Err(KernelError::NoTableRoom { .. }), Some(table)) => {
                let mapped = self.world.processes.mapped_files();
                let last_uses_ns = self.aggregate.last_uses_ns();
                let coldest_first =
                    self.table_use.coldest_first(&mapped, &last_uses_ns, clock::monotonic_ns());
                let evicted = self.kernel.make_table_room(&table, &coldest_first);
                if evicted.is_err() {
                    // It goes without a table, and may ask again.
                    self.table_use.refused(file, clock::monotonic_ns());
                }
                for evicted in evicted? {
                    self.table_use.evicted(evicted);
                    self.losses.tables_evicted += 1;
                }
                self.kernel.apply(&op)
            }
            (result, _) => result,
        }
    }

    /// The first is kept: those after it mostly have the same cause.
    pub(super) fn note_table_error(&mut self, error: KernelError) {
        self.losses.table_writes += 1;
        self.first_table_error.get_or_insert(error);
    }
}
