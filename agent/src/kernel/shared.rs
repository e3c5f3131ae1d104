//! Memory of array maps, shared with the kernel's programs: a table of a megabyte is one copy, not eight thousand
//! system calls.

use std::{
    cell::Cell,
    io,
    marker::PhantomData,
    os::fd::{AsFd as _, AsRawFd as _},
    ptr,
};

use abi::{
    limits::{BLOCKS_PER_TABLE_PIECE, MAX_TABLE_PIECES},
    names,
    unwind::{TableBlock, TablePiece},
};
use aya::{
    Ebpf, Pod,
    maps::{Array, ArrayOfMaps, IterableMap as _, Map, MapData, MapError},
};

use super::{KernelError, load};

/// A flag of the kernel's ABI that aya has no name for.
const BPF_F_MMAPABLE: u32 = 1 << 10;

const PIECE_BYTES: usize = size_of::<TablePiece>();

/// Addresses of ours, with memory of maps behind some of them.
struct Span {
    start: *mut libc::c_void,
    n_bytes: usize,
}

impl Span {
    /// Addresses without memory.
    fn reserve(map: &'static str, n_bytes: usize) -> Result<Self, KernelError> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: a new mapping at an address of the kernel's choice, of nothing.
        let start = unsafe { libc::mmap(ptr::null_mut(), n_bytes, libc::PROT_NONE, flags, -1, 0) };
        if start == libc::MAP_FAILED {
            return Err(KernelError::MapMemory { map, source: io::Error::last_os_error() });
        }
        Ok(Self { start, n_bytes })
    }

    /// Puts the memory of a map behind some of the addresses.
    fn put(&self, map: &'static str, data: &MapData, at: usize, n_bytes: usize) -> Result<(), KernelError> {
        assert!(at.saturating_add(n_bytes) <= self.n_bytes, "{n_bytes} bytes at {at} of {}", self.n_bytes);
        // SAFETY: replaces addresses of our own (checked above), to which there is no reference.
        let start = unsafe {
            libc::mmap(
                self.start.wrapping_byte_add(at),
                n_bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_FIXED,
                data.fd().as_fd().as_raw_fd(),
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(KernelError::MapMemory { map, source: io::Error::last_os_error() });
        }
        Ok(())
    }

    /// Leaves some of the addresses without memory again; whether that could be done.
    fn clear(&mut self, at: usize, n_bytes: usize) -> bool {
        assert!(at.saturating_add(n_bytes) <= self.n_bytes, "{n_bytes} bytes at {at} of {}", self.n_bytes);
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_FIXED;
        let start = self.start.wrapping_byte_add(at);
        // SAFETY: replaces addresses of our own (checked above), to which there is no reference: `self` is ours alone.
        let start = unsafe { libc::mmap(start, n_bytes, libc::PROT_NONE, flags, -1, 0) };
        start != libc::MAP_FAILED
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        // SAFETY: the addresses taken by `reserve`, whole; nobody else has them.
        unsafe { libc::munmap(self.start, self.n_bytes) };
    }
}

/// An array map.
pub(super) struct Shared<T> {
    span: Span,
    capacity: usize,
    /// Keeps the map.
    _map: Map,
    _entries: PhantomData<T>,
}

// SAFETY: shared memory of one owner; nothing in it belongs to a thread.
unsafe impl<T> Send for Shared<T> {}

impl<T: Pod> Shared<T> {
    pub(super) fn take(ebpf: &mut Ebpf, name: &'static str) -> Result<Self, KernelError> {
        let map = ebpf.take_map(name).ok_or(KernelError::Missing { name })?;
        let (Map::Array(data) | Map::Unsupported(data)) = &map else {
            return Err(KernelError::Missing { name });
        };
        let info = data.info().map_err(|source| KernelError::Map { map: name, source })?;
        let capacity = info.max_entries() as usize;
        let n_bytes = capacity * size_of::<T>();
        let span = Span::reserve(name, n_bytes)?;
        span.put(name, data, 0, n_bytes)?;
        Ok(Self { span, capacity, _map: map, _entries: PhantomData })
    }

    pub(super) fn at(&self, i: usize) -> *mut T {
        assert!(i < self.capacity, "entry {i} of {}", self.capacity);
        self.span.start.cast::<T>().wrapping_add(i)
    }
}

/// Memory for unwind tables.
struct Piece {
    map: Array<MapData, TablePiece>,
    /// It has addresses of ours.
    is_open: Cell<bool>,
}

/// The memory for unwind tables: pieces, one after the other, added as they are needed. They have addresses of ours
/// only while they are written or read: the kernel counts all that has as memory of the agent.
pub(super) struct Pieces {
    span: Span,
    outer: ArrayOfMaps<MapData, MapData>,
    pieces: Vec<Piece>,
}

// SAFETY: shared memory of one owner; nothing in it belongs to a thread.
unsafe impl Send for Pieces {}

impl Pieces {
    /// None yet, and `n_blocks` at most.
    pub(super) fn take(ebpf: &mut Ebpf, n_blocks: u32) -> Result<Self, KernelError> {
        let n_pieces = n_blocks.div_ceil(BLOCKS_PER_TABLE_PIECE).min(MAX_TABLE_PIECES);
        Ok(Self {
            span: Span::reserve(names::MAP_PIECES, n_pieces as usize * PIECE_BYTES)?,
            outer: load::take(ebpf, names::MAP_PIECES)?,
            pieces: Vec::new(),
        })
    }

    /// Adds pieces until there are `n_blocks`.
    pub(super) fn reach(&mut self, n_blocks: u32) -> Result<(), KernelError> {
        while self.pieces.len() < n_blocks.div_ceil(BLOCKS_PER_TABLE_PIECE) as usize {
            let map = Array::create(1, BPF_F_MMAPABLE).map_err(map_error)?;
            let number = u32::try_from(self.pieces.len()).unwrap_or(u32::MAX);
            self.outer.set(number, map.map(), 0).map_err(map_error)?;
            self.pieces.push(Piece { map, is_open: Cell::new(false) });
        }
        Ok(())
    }

    /// Gives addresses to the pieces that some blocks are in, which are there.
    pub(super) fn open(&self, first_block: u32, n_blocks: u32) -> Result<(), KernelError> {
        let end = first_block.saturating_add(n_blocks).div_ceil(BLOCKS_PER_TABLE_PIECE) as usize;
        let first = (first_block / BLOCKS_PER_TABLE_PIECE) as usize;
        let asked = self.pieces.iter().enumerate().take(end).skip(first);
        for (number, piece) in asked.filter(|(_, piece)| !piece.is_open.get()) {
            self.span.put(names::MAP_PIECES, piece.map.map(), number * PIECE_BYTES, PIECE_BYTES)?;
            piece.is_open.set(true);
        }
        Ok(())
    }

    /// The same for all of them.
    pub(super) fn open_all(&self) -> Result<(), KernelError> {
        self.open(0, u32::MAX)
    }

    /// Takes the addresses away from all of them, until somebody needs them again.
    pub(super) fn close(&mut self) {
        for (number, piece) in self.pieces.iter().enumerate().filter(|(_, piece)| piece.is_open.get()) {
            piece.is_open.set(!self.span.clear(number * PIECE_BYTES, PIECE_BYTES));
        }
    }

    /// Returns when no program runs any more that has begun before the call. The kernel waits for that whenever a map
    /// of maps is written, so that its writer may reuse what it has replaced (`maybe_wait_bpf_programs` in
    /// kernel/bpf/syscall.c): here a piece is replaced by itself. membarrier(2) would do the same, but not where
    /// CPUs run without a tick.
    pub(super) fn wait_for_programs(&mut self) -> Result<(), KernelError> {
        let Some(first) = self.pieces.first() else { return Ok(()) };
        self.outer.set(0, first.map.map(), 0).map_err(map_error)
    }

    /// Writes blocks into pieces that are [open](Self::open).
    pub(super) fn write<T: Pod>(&mut self, first_block: u32, entries: &[T]) {
        let n_bytes = size_of_val(entries);
        let to = self.bytes(first_block, n_bytes);
        // SAFETY: memory of n bytes that is there (checked by `bytes`), and overlaps no slice of ours.
        unsafe { ptr::copy_nonoverlapping(entries.as_ptr().cast(), to, n_bytes) };
    }

    /// Moves blocks of pieces that are [open](Self::open).
    pub(super) fn shift(&mut self, from: u32, to: u32, n_blocks: u32) {
        let n_bytes = n_blocks as usize * size_of::<TableBlock>();
        let (from, to) = (self.bytes(from, n_bytes), self.bytes(to, n_bytes));
        // SAFETY: memory of n bytes that is there (checked by `bytes`), from where it is to where it may overlap.
        unsafe { ptr::copy(from, to, n_bytes) };
    }

    /// A block, if it is there.
    pub(super) fn block(&self, number: u32) -> Option<&TableBlock> {
        let is_open = || self.is_open(number as usize / BLOCKS_PER_TABLE_PIECE as usize);
        if !is_open() {
            self.open(number, 1).ok()?;
        }
        // SAFETY: memory that is there, until something takes `self` alone; any bytes are a block; and only what takes
        // `self` alone changes them.
        is_open().then(|| unsafe { &*self.span.start.cast::<TableBlock>().wrapping_add(number as usize) })
    }

    fn is_open(&self, piece: usize) -> bool {
        self.pieces.get(piece).is_some_and(|piece| piece.is_open.get())
    }

    fn bytes(&self, first_block: u32, n_bytes: usize) -> *mut u8 {
        let at = first_block as usize * size_of::<TableBlock>();
        let mut pieces = at / PIECE_BYTES..at.saturating_add(n_bytes).div_ceil(PIECE_BYTES);
        assert!(pieces.all(|piece| self.is_open(piece)), "{n_bytes} bytes at {at} of {}", self.pieces.len());
        self.span.start.cast::<u8>().wrapping_add(at)
    }
}

fn map_error(source: MapError) -> KernelError {
    KernelError::Map { map: names::MAP_PIECES, source }
}
