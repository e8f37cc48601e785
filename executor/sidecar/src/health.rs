//! Whether the executor does its work, in words and as one JSON object.

use serde::Serialize;

/// What the operator allows. One writer, the admin thread; the core reads it every duty cycle.
///
/// The discriminant is the value of the control cell (an `AtomicU8`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum Control {
    /// Entries and exits.
    #[default]
    Running = 0,
    /// Exits only.
    Reducing = 1,
    /// Nothing leaves: the operator said so.
    Killed = 2,
    /// Nothing leaves: the executor stopped itself.
    Halted = 3,
}

impl Control {
    /// The control of a cell's byte; an unknown byte is [`Control::Halted`], the safe side.
    pub fn from_byte(byte: u8) -> Self {
        match byte {
            0 => Self::Running,
            1 => Self::Reducing,
            2 => Self::Killed,
            _ => Self::Halted,
        }
    }

    /// The word used in pages, metrics and answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Reducing => "reducing",
            Self::Killed => "killed",
            Self::Halted => "halted",
        }
    }
}

/// Where the process is in its life.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Memory and threads are being set up.
    #[default]
    Starting,
    /// All threads run.
    Running,
    /// Threads are being joined.
    Stopping,
    /// A thread is gone that should not be.
    Failed,
}

impl State {
    /// The word used in pages and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Stopping => "stopping",
            Self::Failed => "failed",
        }
    }
}

/// The health of the executor at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// `paper`, `demo` or `replay`.
    pub mode: &'static str,
    /// Where the process is in its life.
    pub state: State,
    /// What is allowed to leave.
    pub control: Control,
    /// Time since start, milliseconds.
    pub uptime_ms: u64,
    /// Age of the newest datagram of any source, milliseconds; `None` before the first.
    pub last_datagram_age_ms: Option<u64>,
    /// Age from which the newest datagram counts as a fault, milliseconds. Before the first
    /// datagram the uptime is compared with it.
    pub datagram_age_max_ms: u64,
    /// Faults that only the app can see, in words.
    pub faults: Vec<String>,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            mode: "paper",
            state: State::Starting,
            control: Control::Running,
            uptime_ms: 0,
            last_datagram_age_ms: None,
            datagram_age_max_ms: 5_000,
            faults: Vec::new(),
        }
    }
}

impl Health {
    /// Every reason why this is not healthy; empty when it is.
    ///
    /// A killed or halted executor is not healthy, so that no dashboard stays green over one that
    /// cannot trade; a reducing one is.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.state != State::Running {
            problems.push(format!("state is {}", self.state.as_str()));
        }
        if self.control >= Control::Killed {
            problems.push(format!("control is {}", self.control.as_str()));
        }
        let (silence_ms, since) = match self.last_datagram_age_ms {
            Some(age_ms) => (age_ms, "the last datagram"),
            None => (self.uptime_ms, "start, and none came yet"),
        };
        if silence_ms > self.datagram_age_max_ms {
            problems.push(format!("no datagram for {silence_ms} ms since {since}"));
        }
        problems.extend(self.faults.iter().cloned());
        problems
    }

    /// The body of `/health` and whether it is healthy.
    pub fn to_json(&self) -> (bool, serde_json::Value) {
        let problems = self.problems();
        let healthy = problems.is_empty();
        let body = serde_json::json!({
            "healthy": healthy,
            "mode": self.mode,
            "state": self.state.as_str(),
            "control": self.control.as_str(),
            "uptime_ms": self.uptime_ms,
            "last_datagram_age_ms": self.last_datagram_age_ms,
            "problems": problems,
        });
        (healthy, body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn well() -> Health {
        Health {
            state: State::Running,
            uptime_ms: 60_000,
            last_datagram_age_ms: Some(3),
            ..Health::default()
        }
    }

    #[test]
    fn a_running_fed_executor_is_healthy() {
        assert_eq!(well().problems(), Vec::<String>::new());
        assert!(well().to_json().0);
        let reducing = Health {
            control: Control::Reducing,
            ..well()
        };
        assert!(reducing.problems().is_empty());
    }

    #[test]
    fn each_fault_alone_is_a_problem() {
        for (sick, word) in [
            (
                Health {
                    state: State::Starting,
                    ..well()
                },
                "starting",
            ),
            (
                Health {
                    state: State::Failed,
                    ..well()
                },
                "failed",
            ),
            (
                Health {
                    control: Control::Killed,
                    ..well()
                },
                "killed",
            ),
            (
                Health {
                    control: Control::Halted,
                    ..well()
                },
                "halted",
            ),
            (
                Health {
                    last_datagram_age_ms: Some(5_001),
                    ..well()
                },
                "5001 ms",
            ),
            (
                Health {
                    last_datagram_age_ms: None,
                    ..well()
                },
                "none came",
            ),
            (
                Health {
                    faults: vec!["the bridge stopped".to_owned()],
                    ..well()
                },
                "bridge",
            ),
        ] {
            let problems = sick.problems();
            assert_eq!(problems.len(), 1, "{problems:?}");
            assert!(problems[0].contains(word), "{problems:?}");
            assert_eq!(sick.to_json().1["healthy"], false);
        }
        let young = Health {
            last_datagram_age_ms: None,
            uptime_ms: 5_000,
            ..well()
        };
        assert!(young.problems().is_empty());
    }

    #[test]
    fn control_bytes_round_trip_and_unknown_ones_halt() {
        for control in [
            Control::Running,
            Control::Reducing,
            Control::Killed,
            Control::Halted,
        ] {
            assert_eq!(Control::from_byte(control as u8), control);
        }
        assert_eq!(Control::from_byte(200), Control::Halted);
    }
}
