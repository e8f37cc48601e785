//! A seccomp filter that traps every system call of one thread.
//!
//! The filter lets nothing through but the return from a signal handler and system calls made at one address:
//! that of the `gate`. Everything else raises SIGSYS; the handler notes the number and makes the call through the
//! gate, so that the thread goes on and can be joined. What is noted while the trap is armed is what the thread did.
//!
//! x86-64 Linux only; elsewhere [`arm_thread`] says that it cannot.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed};

/// Numbers that are remembered; further ones are only counted.
const REMEMBERED: usize = 16;

static ARMED: AtomicBool = AtomicBool::new(false);
static TRAPPED: AtomicU64 = AtomicU64::new(0);
/// Noted or not.
static SPRUNG: AtomicU64 = AtomicU64::new(0);
static NUMBERS: [AtomicI64; REMEMBERED] = [const { AtomicI64::new(-1) }; REMEMBERED];

/// Whether trapped calls are noted. They are made either way.
pub fn arm(armed: bool) {
    ARMED.store(armed, Relaxed);
}

/// System calls noted so far, of all trapped threads.
#[must_use]
pub fn trapped() -> u64 {
    TRAPPED.load(Relaxed)
}

/// System calls trapped so far, armed or not: a thread that has ended made some, so this proves that it was watched.
#[must_use]
pub fn sprung() -> u64 {
    SPRUNG.load(Relaxed)
}

/// The first noted system calls, by name where it is known here.
#[must_use]
pub fn names() -> Vec<String> {
    let numbers = NUMBERS.iter().map(|number| number.load(Relaxed));
    numbers.filter(|number| *number >= 0).map(name).collect()
}

/// Tries whether the trap springs: one harmless call on a thread of its own.
///
/// # Errors
/// Why nothing can be trapped here.
pub fn try_out() -> Result<(), String> {
    let before = trapped();
    let tried = std::thread::spawn(|| {
        arm_thread()?;
        arm(true);
        // SAFETY: the call takes nothing and touches nothing.
        let parent = unsafe { libc::getppid() };
        arm(false);
        // SAFETY: as above.
        let again = unsafe { libc::getppid() };
        (parent == again)
            .then_some(())
            .ok_or_else(|| "a trapped call was not made".to_owned())
    });
    tried
        .join()
        .map_err(|_| "the thread that tried it panicked".to_owned())??;
    let noted = trapped() - before;
    TRAPPED.store(before, Relaxed);
    NUMBERS[0].store(-1, Relaxed);
    if noted == 1 {
        Ok(())
    } else {
        Err(format!("{noted} calls were noted, 1 was made"))
    }
}

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn note(number: i64) {
    SPRUNG.fetch_add(1, Relaxed);
    if ARMED.load(Relaxed) {
        let order = TRAPPED.fetch_add(1, Relaxed);
        if let Some(cell) = NUMBERS.get(order as usize) {
            cell.store(number, Relaxed);
        }
    }
}

fn name(number: i64) -> String {
    let known = [
        (libc::SYS_read, "read"),
        (libc::SYS_write, "write"),
        (libc::SYS_mmap, "mmap"),
        (libc::SYS_munmap, "munmap"),
        (libc::SYS_mprotect, "mprotect"),
        (libc::SYS_madvise, "madvise"),
        (libc::SYS_brk, "brk"),
        (libc::SYS_futex, "futex"),
        (libc::SYS_sched_yield, "sched_yield"),
        (libc::SYS_nanosleep, "nanosleep"),
        (libc::SYS_clock_nanosleep, "clock_nanosleep"),
        (libc::SYS_clock_gettime, "clock_gettime"),
        (libc::SYS_getrandom, "getrandom"),
        (libc::SYS_gettid, "gettid"),
        (libc::SYS_sendto, "sendto"),
        (libc::SYS_recvmmsg, "recvmmsg"),
    ];
    let found = known.iter().find(|(known, _)| *known == number);
    found.map_or_else(
        || format!("system call {number}"),
        |(_, name)| (*name).to_owned(),
    )
}

/// From here on every system call of the calling thread is trapped, until it ends.
///
/// # Errors
/// Why the host does not let us.
#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
pub fn arm_thread() -> Result<(), String> {
    Err("the trap is written for x86-64 Linux".to_owned())
}

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub use x86_64_linux::arm_thread;

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod x86_64_linux {
    use std::ffi::{c_int, c_void};
    use std::io;

    /// `AUDIT_ARCH_X86_64` of linux/audit.h.
    const AUDIT_ARCH: u32 = 0xC000_003E;
    /// Offsets in `struct seccomp_data` of linux/seccomp.h.
    const AT_NUMBER: u32 = 0;
    const AT_ARCH: u32 = 4;
    const AT_POINTER_LOW: u32 = 8;
    const AT_POINTER_HIGH: u32 = 12;

    std::arch::global_asm!(
        // System V: number and six arguments come in rdi, rsi, rdx, rcx, r8, r9 and on the stack;
        // the kernel wants rax, rdi, rsi, rdx, r10, r8, r9.
        ".globl overmind_tests_gate",
        ".globl overmind_tests_gate_passed",
        "overmind_tests_gate:",
        "mov rax, rdi",
        "mov rdi, rsi",
        "mov rsi, rdx",
        "mov rdx, rcx",
        "mov r10, r8",
        "mov r8, r9",
        "mov r9, [rsp + 8]",
        "syscall",
        "overmind_tests_gate_passed:",
        "ret",
    );

    unsafe extern "C" {
        /// Makes the system call `number`; the only place whose calls the filter lets through.
        fn overmind_tests_gate(number: i64, a: i64, b: i64, c: i64, d: i64, e: i64, f: i64) -> i64;
        /// The instruction after the gate's: what the filter sees as the caller's address.
        fn overmind_tests_gate_passed();
    }

    /// From here on every system call of the calling thread is trapped, until it ends.
    ///
    /// # Errors
    /// Why the host does not let us.
    pub fn arm_thread() -> Result<(), String> {
        handle_traps()?;
        let filter = filter(overmind_tests_gate_passed as *const () as u64);
        let program = libc::sock_fprog {
            len: filter.len() as u16,
            filter: filter.as_ptr().cast_mut(),
        };
        let refused = |what: &str| Err(format!("{what}: {}", io::Error::last_os_error()));
        // SAFETY: the call takes numbers only.
        if unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } != 0 {
            return refused("PR_SET_NO_NEW_PRIVS");
        }
        // SAFETY: `program` and the filter it points to live through the call, which copies them.
        if unsafe {
            libc::prctl(
                libc::PR_SET_SECCOMP,
                libc::SECCOMP_MODE_FILTER,
                &raw const program,
            )
        } != 0
        {
            return refused("PR_SET_SECCOMP");
        }
        Ok(())
    }

    /// Allows `rt_sigreturn`, and what is called from `gate`; traps the rest.
    fn filter(gate: u64) -> [libc::sock_filter; 10] {
        const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
        const EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
        const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
        let step = |code, k, jt, jf| libc::sock_filter { code, jt, jf, k };
        [
            step(LOAD, AT_ARCH, 0, 0),
            step(EQUAL, AUDIT_ARCH, 0, 6),
            step(LOAD, AT_NUMBER, 0, 0),
            step(EQUAL, libc::SYS_rt_sigreturn as u32, 5, 0),
            step(LOAD, AT_POINTER_LOW, 0, 0),
            step(EQUAL, gate as u32, 0, 2),
            step(LOAD, AT_POINTER_HIGH, 0, 0),
            step(EQUAL, (gate >> 32) as u32, 1, 0),
            step(RETURN, libc::SECCOMP_RET_TRAP, 0, 0),
            step(RETURN, libc::SECCOMP_RET_ALLOW, 0, 0),
        ]
    }

    fn handle_traps() -> Result<(), String> {
        // SAFETY: all zeros is a valid `sigaction`: no flags, an empty mask.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        action.sa_sigaction = on_trap as *const () as libc::sighandler_t;
        action.sa_flags = libc::SA_SIGINFO;
        // SAFETY: `action` is complete; `on_trap` has the signature SA_SIGINFO asks for.
        match unsafe { libc::sigaction(libc::SIGSYS, &raw const action, std::ptr::null_mut()) } {
            0 => Ok(()),
            _ => Err(format!("sigaction: {}", io::Error::last_os_error())),
        }
    }

    /// Notes the call and makes it.
    ///
    /// A change of the signal mask has no effect: returning from here puts the mask of the context back. That is
    /// as well, for the next trap would end the process if SIGSYS were blocked.
    extern "C" fn on_trap(_signal: c_int, _about: *mut libc::siginfo_t, context: *mut c_void) {
        let context = context.cast::<libc::ucontext_t>();
        // SAFETY: the kernel hands an SA_SIGINFO handler its own context, which nobody else touches.
        let registers = unsafe { &mut (*context).uc_mcontext.gregs };
        let number = registers[libc::REG_RAX as usize];
        super::note(number);
        let argument = |register: c_int| registers[register as usize];
        // SAFETY: the very call that the thread wanted to make, with its arguments.
        let outcome = unsafe {
            overmind_tests_gate(
                number,
                argument(libc::REG_RDI),
                argument(libc::REG_RSI),
                argument(libc::REG_RDX),
                argument(libc::REG_R10),
                argument(libc::REG_R8),
                argument(libc::REG_R9),
            )
        };
        registers[libc::REG_RAX as usize] = outcome;
    }
}
