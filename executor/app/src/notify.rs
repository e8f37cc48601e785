//! Telling systemd how the service is: `sd_notify` without its library.
//!
//! Protocol: `NAME=value` lines in one datagram to the socket named by `NOTIFY_SOCKET`; a leading
//! `@` means the abstract namespace. Source: sd_notify(3), systemd 252.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// The service manager's socket.
#[derive(Debug)]
pub struct Notifier {
    socket: UnixDatagram,
    manager: SocketAddr,
    watchdog_interval: Option<Duration>,
}

impl Notifier {
    /// The notifier of this process, or `None` when no service manager wants to be told.
    ///
    /// # Errors
    /// When `NOTIFY_SOCKET` is set but is no usable address, or no socket can be made.
    pub fn from_env() -> io::Result<Option<Self>> {
        let Some(address) = std::env::var_os("NOTIFY_SOCKET") else {
            return Ok(None);
        };
        let text = |name: &str| std::env::var(name).ok();
        let interval = watchdog_interval(
            text("WATCHDOG_USEC"),
            text("WATCHDOG_PID"),
            std::process::id(),
        );
        Self::to(&address, interval).map(Some)
    }

    /// A notifier that sends to `address`: an absolute path, or `@` and an abstract name.
    ///
    /// # Errors
    /// When `address` is neither, or no socket can be made.
    pub fn to(address: &OsStr, watchdog_interval: Option<Duration>) -> io::Result<Self> {
        let manager = match address.as_bytes() {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
            [b'/', ..] => SocketAddr::from_pathname(address)?,
            _ => {
                let message =
                    format!("NOTIFY_SOCKET = {address:?}: neither a path nor an abstract name");
                return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
            }
        };
        Ok(Self {
            socket: UnixDatagram::unbound()?,
            manager,
            watchdog_interval,
        })
    }

    /// How often [`Notifier::alive`] should be called: half of what the unit's `WatchdogSec=`
    /// allows. `None` when the unit has no watchdog.
    pub fn watchdog_interval(&self) -> Option<Duration> {
        self.watchdog_interval
    }

    /// Everything runs; `status` is shown by `systemctl status`.
    ///
    /// # Errors
    /// When the manager's socket is gone.
    pub fn ready(&self, status: &str) -> io::Result<()> {
        self.send(&format!("READY=1\nSTATUS={}\n", one_line(status)))
    }

    /// Feeds the watchdog. Call it only after seeing the hot threads make progress.
    ///
    /// # Errors
    /// When the manager's socket is gone.
    pub fn alive(&self) -> io::Result<()> {
        self.send("WATCHDOG=1\n")
    }

    /// The stop has begun.
    ///
    /// # Errors
    /// When the manager's socket is gone.
    pub fn stopping(&self) -> io::Result<()> {
        self.send("STOPPING=1\n")
    }

    fn send(&self, message: &str) -> io::Result<()> {
        self.socket
            .send_to_addr(message.as_bytes(), &self.manager)
            .map(|_| ())
    }
}

/// A status must not smuggle in another assignment.
fn one_line(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}

/// Half of `WATCHDOG_USEC`, when it is meant for this process.
fn watchdog_interval(
    microseconds: Option<String>,
    pid: Option<String>,
    own_pid: u32,
) -> Option<Duration> {
    if pid.is_some_and(|pid| pid.parse() != Ok(own_pid)) {
        return None;
    }
    let microseconds: u64 = microseconds?.parse().ok()?;
    (microseconds > 1).then(|| Duration::from_micros(microseconds / 2))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[track_caller]
    fn received(manager: &UnixDatagram) -> String {
        manager
            .set_read_timeout(Some(Duration::from_secs(5)))
            .unwrap();
        let mut buffer = [0; 256];
        let len = manager.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..len].to_vec()).unwrap()
    }

    #[test]
    fn the_three_messages_arrive_at_an_abstract_socket() {
        let name = format!("overmind-notify-test-{}", std::process::id());
        let manager =
            UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        let notifier = Notifier::to(OsStr::new(&format!("@{name}")), None).unwrap();
        notifier.ready("paper\nMAINPID=1").unwrap();
        assert_eq!(received(&manager), "READY=1\nSTATUS=paper MAINPID=1\n");
        notifier.alive().unwrap();
        assert_eq!(received(&manager), "WATCHDOG=1\n");
        notifier.stopping().unwrap();
        assert_eq!(received(&manager), "STOPPING=1\n");
    }

    #[test]
    fn a_path_works_as_well_and_anything_else_is_refused() {
        let path =
            std::env::temp_dir().join(format!("overmind-notify-{}.sock", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let manager = UnixDatagram::bind(&path).unwrap();
        Notifier::to(path.as_os_str(), None)
            .unwrap()
            .alive()
            .unwrap();
        assert_eq!(received(&manager), "WATCHDOG=1\n");
        std::fs::remove_file(&path).unwrap();
        assert!(Notifier::to(OsStr::new("relative"), None).is_err());
        assert!(Notifier::to(OsStr::new(""), None).is_err());
    }

    #[test]
    fn the_watchdog_is_fed_twice_per_period_by_the_right_process() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            watchdog_interval(some("10000000"), some("7"), 7),
            Some(Duration::from_secs(5))
        );
        assert_eq!(
            watchdog_interval(some("10000000"), None, 7),
            Some(Duration::from_secs(5))
        );
        assert_eq!(watchdog_interval(some("10000000"), some("8"), 7), None);
        assert_eq!(watchdog_interval(some("x"), None, 7), None);
        assert_eq!(watchdog_interval(some("0"), None, 7), None);
        assert_eq!(watchdog_interval(None, None, 7), None);
    }
}
