//! How each source is: whether it brings anything, and whether anything of that can be used.
//!
//! Looked at from time to time, by whoever may lock and allocate: the counters alone tell how much came, not when.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use shred_resolve::Reject;

/// For so long nothing comes, or nothing of what comes is used, until a source is called silent or refused. The health
/// page's patience with the newest datagram is the same.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// The same for a source that the race calls dead already: all it has brought since is refused.
const PATIENCE_DEAD: Duration = Duration::from_millis(500);
/// Between two samples of the refusals.
const SAMPLE_EVERY: Duration = Duration::from_millis(500);
/// Reasons that are named in words, those with the highest counts.
const REASONS_SAID: usize = 3;

/// Refusals by [`Reject::index`], and the sets that turned out not to be their leader's after their shreds had been
/// taken.
pub(super) type Refusals = [u64; Reject::COUNT + 1];

/// The word for how a source is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SourceState {
    /// It brings shreds that are used, or that others brought before.
    Alive,
    /// It brings nothing, or has brought nothing yet.
    #[default]
    Silent,
    /// It brings datagrams, and not one of them could be used.
    Refused,
    /// It brings nothing while others bring shreds.
    Dead,
}

impl SourceState {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Alive, Self::Silent, Self::Refused, Self::Dead];

    /// The word in answers, tables and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Alive => "alive",
            Self::Silent => "silent",
            Self::Refused => "refused",
            Self::Dead => "dead",
        }
    }
}

/// What a source has brought so far.
#[derive(Debug, Clone, Copy)]
pub struct Seen {
    /// Datagrams.
    pub datagram: u64,
    /// Moves on when something of them could be used.
    pub taken: u64,
    /// The race calls it dead.
    pub dead: bool,
    /// Refusals.
    pub refused: Refusals,
}

impl Default for Seen {
    fn default() -> Self {
        Self {
            datagram: 0,
            taken: 0,
            dead: false,
            refused: [0; Reject::COUNT + 1],
        }
    }
}

/// How all sources are.
///
/// Of those that are refused there is one line of the log when it begins and one when it ends.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct States {
    /// Each, with its refusals of the last seconds.
    pub sources: Vec<(SourceState, Refused)>,
    /// All of them together.
    pub all: SourceState,
    /// Set when datagrams come and not one of any source could be used: their refusals of the last seconds.
    pub all_refused: Option<Refused>,
}

/// Refusals of the last seconds by name, the most frequent first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Refused(pub Vec<(&'static str, u64)>);

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, (name, count)) in self.0.iter().take(REASONS_SAID).enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{name} {count}")?;
        }
        Ok(())
    }
}

/// Remembers the last seconds of each source and of all together.
#[derive(Debug, Default)]
pub struct Watch {
    sources: Vec<Track>,
    all: Track,
}

impl Watch {
    /// Takes what each source and what all of them have brought by `now`. To be called at least once a second.
    pub fn look(&mut self, sources: &[Seen], all: &Seen, now: Instant) -> States {
        self.sources.resize_with(sources.len(), Track::default);
        let all_are = self.all.look(all, now);
        let tracks = self.sources.iter_mut().zip(sources);
        let sources = tracks
            .map(|(track, seen)| {
                let is = match track.look(seen, now) {
                    SourceState::Alive if all_are == SourceState::Refused => SourceState::Refused,
                    is => is,
                };
                (is, track.refused())
            })
            .collect();
        States {
            sources,
            all: all_are,
            all_refused: (all_are == SourceState::Refused).then(|| self.all.refused()),
        }
    }
}

impl States {
    /// What is to be said when not every shred is refused any more.
    #[must_use]
    pub fn refusal_ended(&self) -> &'static str {
        match self.all {
            SourceState::Silent => "every shred was refused; now none comes any more",
            _ => "every shred was refused; now shreds are used again",
        }
    }
}

#[derive(Debug, Default)]
struct Track {
    seen: Seen,
    /// When a datagram was last seen to have come.
    came_at: Option<Instant>,
    /// When something was last used, or when datagrams began to come again.
    fed_at: Option<Instant>,
    samples: VecDeque<(Instant, Refusals)>,
}

impl Track {
    fn look(&mut self, seen: &Seen, now: Instant) -> SourceState {
        if seen.datagram != self.seen.datagram {
            let began = self.came_at.is_none_or(|at| now - at >= PATIENCE);
            if began {
                self.fed_at = Some(now);
            }
            self.came_at = Some(now);
        }
        if seen.taken != self.seen.taken {
            self.fed_at = Some(now);
        }
        self.sample(now);
        self.seen = *seen;
        let patience = if seen.dead { PATIENCE_DEAD } else { PATIENCE };
        let otherwise = |is| if seen.dead { SourceState::Dead } else { is };
        match (self.came_at, self.fed_at) {
            (Some(came_at), _) if now - came_at >= PATIENCE => otherwise(SourceState::Silent),
            (Some(came_at), Some(fed_at))
                if came_at.saturating_duration_since(fed_at) >= patience =>
            {
                SourceState::Refused
            }
            (Some(_), _) => otherwise(SourceState::Alive),
            (None, _) => otherwise(SourceState::Silent),
        }
    }

    /// Keeps what was known before this look, back to one that is as old as is spoken of.
    fn sample(&mut self, now: Instant) {
        let is_due = |(at, _): &(Instant, Refusals)| now - *at >= SAMPLE_EVERY;
        if self.samples.back().is_none_or(is_due) {
            self.samples.push_back((now, self.seen.refused));
        }
        while self
            .samples
            .get(1)
            .is_some_and(|(at, _)| now - *at >= PATIENCE)
        {
            self.samples.pop_front();
        }
    }

    fn refused(&self) -> Refused {
        let before = self.samples.front().map(|(_, refused)| refused);
        let mut named: Vec<_> = (self.seen.refused.iter().enumerate())
            .map(|(index, count)| {
                let before = before.map_or(0, |before| before[index]);
                (name_at(index), count.saturating_sub(before))
            })
            .filter(|(_, count)| *count > 0)
            .collect();
        named.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        Refused(named)
    }
}

fn name_at(index: usize) -> &'static str {
    if index < Reject::COUNT {
        Reject::name_at(index)
    } else {
        "set_discarded"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sources that bring so many datagrams of which so many are used, looked at ten times a second.
    struct Stream {
        watch: Watch,
        seen: Vec<Seen>,
        now: Instant,
    }

    impl Stream {
        fn of(sources: usize) -> Self {
            Self {
                watch: Watch::default(),
                seen: vec![Seen::default(); sources],
                now: Instant::now(),
            }
        }

        /// Each look, source `n` brings `brings[n]`: datagrams, and shreds among them.
        fn pass(
            &mut self,
            looks: u32,
            brings: &[(u64, u64)],
        ) -> (Vec<&'static str>, Option<String>) {
            let mut states = States::default();
            for _ in 0..looks {
                self.now += Duration::from_millis(100);
                for (seen, (datagrams, shreds)) in self.seen.iter_mut().zip(brings) {
                    seen.datagram += datagrams;
                    seen.taken += shreds;
                    seen.refused[Reject::NoLeader.index()] += datagrams - shreds;
                }
                let mut all = Seen::default();
                for seen in &self.seen {
                    all.datagram += seen.datagram;
                    all.taken += seen.taken;
                    all.refused[Reject::NoLeader.index()] += seen.refused[Reject::NoLeader.index()];
                }
                states = self.watch.look(&self.seen, &all, self.now);
            }
            let words = states.sources.iter().map(|(is, _)| is.as_str()).collect();
            (words, states.all_refused.map(|refused| refused.to_string()))
        }
    }

    #[test]
    fn what_is_refused_for_seconds_is_not_alive() {
        let mut stream = Stream::of(1);
        assert_eq!(stream.pass(1, &[(0, 0)]), (vec!["silent"], None));
        assert_eq!(stream.pass(49, &[(3, 0)]), (vec!["alive"], None), "not yet");
        let (words, all) = stream.pass(10, &[(3, 0)]);
        assert_eq!(words, ["refused"]);
        let count: u64 = all
            .as_deref()
            .and_then(|all| all.strip_prefix("no_leader "))
            .and_then(|n| n.parse().ok())
            .expect("named");
        assert!(
            (140..=170).contains(&count),
            "of the last seconds only: {count}"
        );
        assert_eq!(stream.pass(1, &[(3, 1)]), (vec!["alive"], None));
        assert_eq!(stream.pass(49, &[(0, 0)]), (vec!["alive"], None));
        assert_eq!(stream.pass(1, &[(0, 0)]), (vec!["silent"], None));
    }

    #[test]
    fn junk_beside_good_shreds_is_refused_and_silence_is_dead() {
        let mut stream = Stream::of(2);
        assert_eq!(stream.pass(60, &[(5, 5), (5, 1)]).0, ["alive", "alive"]);
        // It goes quiet after a refused straggler.
        stream.pass(1, &[(5, 5), (1, 0)]);
        assert_eq!(stream.pass(8, &[(5, 5), (0, 0)]).0, ["alive", "alive"]);
        stream.seen[1].dead = true;
        assert_eq!(stream.pass(1, &[(5, 5), (0, 0)]).0, ["alive", "dead"]);
        assert_eq!(stream.pass(60, &[(5, 5), (0, 0)]).0, ["alive", "dead"]);
        let (words, all) = stream.pass(10, &[(5, 5), (9, 0)]);
        assert_eq!((words, all), (vec!["alive", "refused"], None));
    }
}
