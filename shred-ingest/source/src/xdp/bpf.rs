//! The few calls of `bpf(2)` that are needed: one map, one program, one link.
//!
//! Source: `linux/bpf.h` (`union bpf_attr`, whose members these structures are).

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use super::program::Instruction;

const MAP_CREATE: i32 = 0;
const MAP_UPDATE: i32 = 2;
const PROGRAM_LOAD: i32 = 5;
const LINK_CREATE: i32 = 28;
const MAP_TYPE_XSKMAP: u32 = 17;
const PROGRAM_TYPE_XDP: u32 = 6;
const ATTACH_XDP: u32 = 37;
/// `XDP_FLAGS_SKB_MODE` and `XDP_FLAGS_DRV_MODE`. Source: `linux/if_link.h`.
const FLAG_GENERIC: u32 = 1 << 1;
const FLAG_NATIVE: u32 = 1 << 2;

/// A map from queue number to AF_XDP socket.
pub(super) fn create_socket_map(queue_count: u32) -> io::Result<OwnedFd> {
    #[repr(C)]
    struct Attributes {
        map_type: u32,
        key_size: u32,
        value_size: u32,
        max_entries: u32,
        map_flags: u32,
    }
    let attributes = Attributes {
        map_type: MAP_TYPE_XSKMAP,
        key_size: 4,
        value_size: 4,
        max_entries: queue_count,
        map_flags: 0,
    };
    // SAFETY: the attributes point at nothing.
    unsafe { call_for_fd(MAP_CREATE, &attributes) }
}

/// Puts `socket` at `queue`. It leaves the map by itself when it is closed.
pub(super) fn put_socket(map: &OwnedFd, queue: u32, socket: RawFd) -> io::Result<()> {
    #[repr(C)]
    struct Attributes {
        map_fd: u32,
        padding: u32,
        key: u64,
        value: u64,
        flags: u64,
    }
    let attributes = Attributes {
        map_fd: map.as_raw_fd() as u32,
        padding: 0,
        key: (&raw const queue) as u64,
        value: (&raw const socket) as u64,
        flags: 0,
    };
    // SAFETY: key and value point at four live bytes each, which the kernel reads.
    unsafe { call(MAP_UPDATE, &attributes) }.map(drop)
}

/// How often the kernel is asked to check a program again when a signal came meanwhile, as libbpf does.
const LOAD_ATTEMPTS: usize = 5;

/// Has the kernel check and translate the program. `log`, when it has room, is what its check says.
pub(super) fn load(program: &[Instruction], log: &mut [u8]) -> io::Result<OwnedFd> {
    #[repr(C)]
    struct Attributes {
        kind: u32,
        instruction_count: u32,
        instructions: u64,
        license: u64,
        log_level: u32,
        log_len: u32,
        log: u64,
        kernel_version: u32,
        flags: u32,
        name: [u8; 16],
    }
    let attributes = Attributes {
        kind: PROGRAM_TYPE_XDP,
        instruction_count: program.len() as u32,
        instructions: program.as_ptr() as u64,
        license: c"MIT".as_ptr() as u64,
        log_level: u32::from(!log.is_empty()),
        log_len: log.len() as u32,
        log: if log.is_empty() {
            0
        } else {
            log.as_mut_ptr() as u64
        },
        kernel_version: 0,
        flags: 0,
        name: *b"datagrams\0\0\0\0\0\0\0",
    };
    let ask = || {
        // SAFETY: instructions and license are live and read; the log is live and as long as said.
        unsafe { call_for_fd(PROGRAM_LOAD, &attributes) }
    };
    let is_final = |answer: &io::Result<OwnedFd>| !matches!(answer, Err(error) if error.kind() == io::ErrorKind::WouldBlock);
    (1..LOAD_ATTEMPTS)
        .map(|_| ask())
        .find(is_final)
        .unwrap_or_else(ask)
}

/// Attaches the program to an interface for as long as the result is open.
pub(super) fn attach(program: &OwnedFd, interface: u32, native: bool) -> io::Result<OwnedFd> {
    #[repr(C)]
    struct Attributes {
        program_fd: u32,
        interface: u32,
        attach_type: u32,
        flags: u32,
    }
    let attributes = Attributes {
        program_fd: program.as_raw_fd() as u32,
        interface,
        attach_type: ATTACH_XDP,
        flags: if native { FLAG_NATIVE } else { FLAG_GENERIC },
    };
    // SAFETY: the attributes point at nothing.
    unsafe { call_for_fd(LINK_CREATE, &attributes) }
}

/// # Safety
/// As [`call`], of a command that answers with a new file descriptor.
unsafe fn call_for_fd<T>(command: i32, attributes: &T) -> io::Result<OwnedFd> {
    // SAFETY: by the caller's promise; the descriptor is new and nobody else's.
    unsafe { Ok(OwnedFd::from_raw_fd(call(command, attributes)?)) }
}

/// # Safety
/// `attributes` is the member of `union bpf_attr` that `command` takes, and what it points at is live.
pub(super) unsafe fn call<T>(command: i32, attributes: &T) -> io::Result<RawFd> {
    let attributes = std::ptr::from_ref(attributes);
    // SAFETY: by the caller's promise.
    match unsafe { libc::syscall(libc::SYS_bpf, command, attributes, size_of::<T>()) } {
        // A file descriptor or zero.
        answer @ 0.. => Ok(answer as RawFd),
        _ => Err(io::Error::last_os_error()),
    }
}
