//! A process under test, and waiting for what becomes of it.

use std::process::Child;
use std::time::{Duration, Instant};

/// On a machine with much else to do.
const PATIENCE: Duration = Duration::from_secs(90);

/// A running process; killed when dropped.
#[derive(Debug)]
pub struct Running(pub Child);

impl Running {
    /// Asks it to end, as systemd does; its exit code.
    ///
    /// # Panics
    /// When it does not end.
    #[must_use]
    pub fn terminate(mut self) -> Option<i32> {
        // SAFETY: the number is that of a child that has not been waited for.
        let sent = unsafe { libc::kill(self.0.id() as libc::pid_t, libc::SIGTERM) };
        assert_eq!(sent, 0);
        let mut code = None;
        until("it ends", || {
            let status = self.0.try_wait().expect("a child can be waited for");
            code = status.and_then(|status| status.code());
            status.is_some()
        });
        code
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits for what should become true.
///
/// # Panics
/// When it does not.
#[track_caller]
pub fn until(what: &str, mut is_true: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_true() {
        assert!(started.elapsed() < PATIENCE, "never: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
