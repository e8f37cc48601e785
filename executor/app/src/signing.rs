//! Opening the ways of signing at start, and what is said and kept when signing halts.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

#[cfg(feature = "armed-nonces")]
use bundle::armed::{ArmError, OsEntropy};
use bundle::host::{SnapshotsExcluded, SnapshotsPossible};
use bundle::signer::KeyClass;
use bundle::{Builder, BuilderConfig, BuilderError, HaltWatch, Halted, Signer, Signing};
use serde_json::{Value, json};

use crate::clock::realtime;
use crate::config::SigningPlan;
use crate::regular::{append_regular, open_regular, sync_name};
use crate::signing_stage::SigningAhead;
use crate::stage::Seat;

/// File in the state directory that keeps why signing halted, a line each.
pub const HALTS_FILE: &str = "signing-halts.jsonl";
/// Longest such file that is read.
const HALTS_LEN_MAX: u64 = 1 << 20;

/// Why the ways of signing that are asked for cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum SigningError {
    /// The templates.
    #[error(transparent)]
    Builder(#[from] BuilderError),
    /// Nonces may not be made ahead here.
    #[error("signing.armed_nonces: {0}")]
    Snapshots(#[from] SnapshotsPossible),
    /// This build cannot make any.
    #[error(
        "signing.armed_nonces: this build leaves nonces made ahead out (cargo feature armed-nonces)"
    )]
    LeftOut,
    /// The host does not protect them.
    #[cfg(feature = "armed-nonces")]
    #[error("signing.armed_nonces: {0}")]
    Arm(#[from] ArmError),
    /// The key must not sign any more.
    #[error(
        "{}: key {key}: a nonce of it came up twice, and whoever saw both signatures has the key: it must not sign again; \
         move what it owns to another key and name that one", path.display()
    )]
    KeySpent {
        /// Where it stands.
        path: PathBuf,
        /// The public key, base58.
        key: String,
    },
    /// A line of what was kept of earlier halts cannot be read.
    #[error(
        "{}, line {line}: cannot be read ({why}): a halt of the key may be lost in it. If that line may have said \
         nonce_seen, move what the key owns to another key and name that one; then take the line out (the file, when it is all) and start again", path.display()
    )]
    Unread {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it.
        why: &'static str,
    },
    /// What was kept of earlier halts cannot be read or written.
    #[error("{}: {source}", path.display())]
    Journal {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// A builder that signs with `signer` in the ways of `plan`, and what is to be done ahead for it.
///
/// # Errors
/// [`SigningError`]: a way that is asked for and cannot be had is refused, not left out.
pub fn open<C: KeyClass>(
    config: &BuilderConfig,
    signer: Signer<C>,
    plan: &SigningPlan,
    seat: Seat,
) -> Result<(Builder, SigningAhead), SigningError> {
    let mut ahead = SigningAhead::nothing();
    ahead.seat = seat;
    ahead.ladders = plan.ladders;
    if !plan.statement.armed_nonces {
        let signing = Signing::deterministic(signer);
        return Ok((Builder::with_signing(config, signing)?, ahead));
    }
    let proof = SnapshotsExcluded::establish(plan.statement, plan.host)?;
    arm(config, signer, proof, ahead)
}

#[cfg(feature = "armed-nonces")]
fn arm<C: KeyClass>(
    config: &BuilderConfig,
    signer: Signer<C>,
    proof: SnapshotsExcluded<C>,
    ahead: SigningAhead,
) -> Result<(Builder, SigningAhead), SigningError> {
    let prefixes = config.static_prefixes(signer.public_key())?;
    let prefixes: Vec<&[u8]> = prefixes.iter().map(Vec::as_slice).collect();
    let (signing, arming) = Signing::armed(signer, proof, OsEntropy, &prefixes)?;
    let ahead = SigningAhead {
        arming: Some(arming),
        ..ahead
    };
    Ok((Builder::with_signing(config, signing)?, ahead))
}

#[cfg(not(feature = "armed-nonces"))]
fn arm<C: KeyClass>(
    _config: &BuilderConfig,
    _signer: Signer<C>,
    _proof: SnapshotsExcluded<C>,
    _ahead: SigningAhead,
) -> Result<(Builder, SigningAhead), SigningError> {
    Err(SigningError::LeftOut)
}

/// What the operator has to do about a halt.
#[must_use]
pub const fn advice(reason: Halted) -> &'static str {
    match reason {
        Halted::NonceSeen => {
            "whoever saw both signatures has the key: move what it owns to another key at once, take it out of use, and \
             start with the other"
        }
        Halted::VerificationFailed => {
            "suspect processor or memory of this host: look at its logs, rotate the key, and start elsewhere or after the \
             repair"
        }
        Halted::Forked => {
            "something forks this process: find out what and keep it from doing so, then start again"
        }
    }
}

/// A halt in one line, for logs, alarms and health.
#[must_use]
pub fn sentence(reason: Halted) -> String {
    format!(
        "signing has halted, nothing is sent any more: {reason}; {}",
        advice(reason)
    )
}

/// Keeps halts in the state directory and says each once.
#[derive(Debug)]
pub struct SigningAlarm {
    watch: HaltWatch,
    key: String,
    path: PathBuf,
    said: Option<Halted>,
    kept: Option<Halted>,
}

impl SigningAlarm {
    /// For the key of `builder`, unless `state_dir` says that it must not sign again.
    ///
    /// # Errors
    /// [`SigningError::KeySpent`], [`SigningError::Unread`], [`SigningError::Journal`].
    pub fn new(builder: &Builder, state_dir: &Path) -> Result<Self, SigningError> {
        let alarm = Self {
            watch: builder.halt_watch(),
            key: bs58::encode(builder.public_key()).into_string(),
            path: state_dir.join(HALTS_FILE),
            said: None,
            kept: None,
        };
        let spent = alarm.is_spent()?;
        if spent {
            let Self { path, key, .. } = alarm;
            return Err(SigningError::KeySpent { path, key });
        }
        Ok(alarm)
    }

    /// What is worth saying now: a halt, once, and again when its reason becomes one that costs the key. Keeps it, at every
    /// call until it is written.
    pub fn change(&mut self) -> Option<String> {
        self.watch.reason().and_then(|reason| self.note(reason))
    }

    fn note(&mut self, reason: Halted) -> Option<String> {
        let is_news = self.said.replace(reason) != Some(reason);
        let mut kept = String::new();
        if self.kept != Some(reason) {
            match self.keep(reason) {
                Ok(()) => self.kept = Some(reason),
                Err(error) => {
                    kept = format!(" ({} is not written yet: {error})", self.path.display());
                }
            }
        }
        is_news.then(|| format!("key {}: {}{kept}", self.key, sentence(reason)))
    }

    fn keep(&self, reason: Halted) -> io::Result<()> {
        let line = json!({"at": realtime().0, "key": self.key, "reason": reason.name()});
        let mut file = append_regular(&self.path)?;
        // What a fault of the power or a full disk has cut off must not take this line along.
        let fresh = if ends_whole(&mut file)? { "" } else { "\n" };
        file.write_all(format!("{fresh}{line}\n").as_bytes())?;
        file.sync_all()?;
        sync_name(&self.path)
    }

    /// Whether a line says that a nonce of our key came up twice.
    fn is_spent(&self) -> Result<bool, SigningError> {
        let path = || self.path.clone();
        let mut bytes = Vec::new();
        let read = open_regular(&self.path, HALTS_LEN_MAX)
            .and_then(|mut file| file.read_to_end(&mut bytes));
        match read {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(source) => {
                return Err(SigningError::Journal {
                    path: path(),
                    source,
                });
            }
            Ok(_) => {}
        }
        // A file of nothing is read as an empty line: it was made to keep a halt in.
        let whole = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        let mut spent = false;
        for (index, line) in whole.split(|byte| *byte == b'\n').enumerate() {
            let (key, reason) = read_halt(line).map_err(|why| SigningError::Unread {
                path: path(),
                line: index + 1,
                why,
            })?;
            spent |= key == self.key && reason == Halted::NonceSeen;
        }
        Ok(spent)
    }
}

/// Whether the file is empty or its last line has its end.
fn ends_whole(file: &mut File) -> io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(true);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

/// The key and the reason of a line that [`SigningAlarm::keep`] wrote; what is wrong with any other.
fn read_halt(line: &[u8]) -> Result<(String, Halted), &'static str> {
    let line: Value = serde_json::from_slice(line).map_err(|_| "it is no JSON")?;
    let key = line["key"].as_str().ok_or("it names no key")?;
    let is_key = matches!(bs58::decode(key).onto(&mut [0; 32]), Ok(32));
    let reason = line["reason"].as_str();
    let reason = Halted::ALL
        .into_iter()
        .find(|known| reason == Some(known.name()))
        .ok_or("it gives no reason that this version knows")?;
    match is_key {
        true => Ok((key.to_owned(), reason)),
        false => Err("its key is not the base58 of 32 bytes"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use bundle::ThrowAway;

    use super::*;

    fn builder(seed: u8) -> Builder {
        let signer = Signer::<ThrowAway>::from_seed(&[seed; 32]).unwrap();
        Builder::new(&BuilderConfig::default(), signer).unwrap()
    }

    /// A folder of one test, removed when dropped.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let name = format!("overmind-halts-{name}-{}", std::process::id());
            let path = std::env::temp_dir().join(name);
            std::fs::create_dir(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    /// Goal: a key of which a nonce came up twice does not sign after a restart either; any other halt is over with its
    /// process, and other keys go on.
    #[test]
    fn a_key_that_is_spent_stays_so_over_restarts() {
        let folder = Folder::new("spent");
        let (ours, other) = (builder(240), builder(241));
        let alarm = SigningAlarm::new(&ours, &folder.0).unwrap();
        alarm.keep(Halted::VerificationFailed).unwrap();
        SigningAlarm::new(&ours, &folder.0).unwrap();
        alarm.keep(Halted::NonceSeen).unwrap();
        SigningAlarm::new(&other, &folder.0).unwrap();
        let said = SigningAlarm::new(&ours, &folder.0).unwrap_err().to_string();
        let key = bs58::encode(ours.public_key()).into_string();
        assert!(said.contains(&key) && said.contains(HALTS_FILE), "{said}");
        assert!(said.contains("must not sign again"), "{said}");
    }

    /// Goal: nothing that may hide a halt is passed over: a start names the file, the line and what is to be done.
    #[test]
    fn a_line_that_cannot_be_read_refuses_the_start() {
        let folder = Folder::new("odd");
        let path = folder.0.join(HALTS_FILE);
        let ours = builder(242);
        let key = bs58::encode(ours.public_key()).into_string();
        let good = format!("{{\"at\":1,\"key\":\"{key}\",\"reason\":\"forked\"}}");
        for text in [
            good.clone(),
            format!("{good}\n"),
            format!("{good}\n{good}\n"),
        ] {
            std::fs::write(&path, &text).unwrap();
            SigningAlarm::new(&ours, &folder.0).unwrap();
        }
        let torn = &good[..good.len() - 9];
        for bad in [
            torn,
            "{",
            "[]",
            "null",
            "",
            "\0\0\0",
            "{\"key\":1,\"reason\":\"forked\"}",
            "{\"key\":\"1\",\"reason\":\"forked\"}",
            &good.replace("forked", "nonce_seem"),
        ] {
            for end in ["", "\n"] {
                std::fs::write(&path, format!("{good}\n{bad}{end}")).unwrap();
                if bad.is_empty() && end.is_empty() {
                    continue;
                }
                let said = SigningAlarm::new(&ours, &folder.0).unwrap_err().to_string();
                let place = format!("{}, line 2: cannot be read", path.display());
                assert!(said.starts_with(&place), "{bad:?}: {said}");
                assert!(said.contains("then take the line out"), "{said}");
            }
        }
        // A disk that was full when the file was made.
        for nothing in ["", "\n"] {
            std::fs::write(&path, nothing).unwrap();
            let said = SigningAlarm::new(&ours, &folder.0).unwrap_err();
            assert!(
                matches!(said, SigningError::Unread { line: 1, .. }),
                "{said}"
            );
        }
        std::fs::write(&path, [0xff, b'\n']).unwrap();
        let said = SigningAlarm::new(&ours, &folder.0).unwrap_err();
        assert!(
            matches!(said, SigningError::Unread { line: 1, .. }),
            "{said}"
        );
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        let refused = SigningAlarm::new(&ours, &folder.0).unwrap_err();
        assert!(matches!(refused, SigningError::Journal { .. }), "{refused}");
    }

    /// Goal: a halt that could not be written is written as soon as it can be, and said once.
    #[test]
    fn a_halt_is_kept_as_soon_as_the_disk_takes_it() {
        let folder = Folder::new("late");
        let path = folder.0.join(HALTS_FILE);
        let ours = builder(246);
        let mut alarm = SigningAlarm::new(&ours, &folder.0).unwrap();
        std::fs::create_dir(&path).unwrap();
        let mut note = || alarm.note(Halted::NonceSeen);
        let said = note().unwrap();
        assert!(said.contains("is not written yet"), "{said}");
        assert_eq!(note(), None);
        std::fs::remove_dir(&path).unwrap();
        assert_eq!(note(), None);
        let kept = std::fs::read_to_string(&path).unwrap();
        assert_eq!(kept.lines().count(), 1, "{kept}");
        assert_eq!(note(), None);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), kept);
        let said = SigningAlarm::new(&ours, &folder.0).unwrap_err();
        assert!(matches!(said, SigningError::KeySpent { .. }), "{said}");
    }

    /// Goal: a halt that is kept after a torn line stands on a line of its own, so that taking out the torn one shows it.
    #[test]
    fn a_torn_line_does_not_take_the_next_along() {
        let folder = Folder::new("torn");
        let path = folder.0.join(HALTS_FILE);
        let ours = builder(244);
        let alarm = SigningAlarm::new(&ours, &folder.0).unwrap();
        std::fs::write(&path, "{\"at\":17,\"ke").unwrap();
        alarm.keep(Halted::NonceSeen).unwrap();
        alarm.keep(Halted::Forked).unwrap();
        let said = SigningAlarm::new(&ours, &folder.0).unwrap_err();
        assert!(
            matches!(said, SigningError::Unread { line: 1, .. }),
            "{said}"
        );
        let text = std::fs::read_to_string(&path).unwrap();
        let (_torn, mended) = text.split_once('\n').unwrap();
        assert_eq!(mended.lines().count(), 2, "{text}");
        std::fs::write(&path, mended).unwrap();
        let said = SigningAlarm::new(&ours, &folder.0).unwrap_err();
        assert!(matches!(said, SigningError::KeySpent { .. }), "{said}");
    }

    #[test]
    fn every_halt_says_what_to_do() {
        for reason in Halted::ALL {
            let said = sentence(reason);
            assert!(
                said.starts_with("signing has halted") && said.len() > 80,
                "{said}"
            );
        }
        assert!(sentence(Halted::NonceSeen).contains("to another key at once"));
    }

    /// Goal: a way that is asked for and cannot be had is refused, whatever the configuration let through.
    #[test]
    fn nonces_are_not_made_ahead_without_leave() {
        use bundle::host::{HostKind, SnapshotStatement};
        let open_on = |host, statement| {
            let plan = SigningPlan {
                ladders: None,
                statement,
                host,
            };
            let signer = Signer::<ThrowAway>::from_seed(&[243; 32]).unwrap();
            let seat = SigningAhead::nothing().seat;
            open(&BuilderConfig::default(), signer, &plan, seat)
        };
        let asked = SnapshotStatement {
            armed_nonces: true,
            snapshots_excluded: false,
        };
        let said = open_on(HostKind::Unknown, asked).map(|_| ()).unwrap_err();
        assert!(matches!(said, SigningError::Snapshots(_)), "{said}");
        let opened = open_on(HostKind::BareMetal, asked).map(|_| ());
        let left_out = matches!(opened, Err(SigningError::LeftOut));
        assert_eq!(left_out, cfg!(not(feature = "armed-nonces")));
        #[cfg(feature = "armed-nonces")]
        match opened {
            Err(SigningError::Arm(error)) => eprintln!("this host locks no memory: {error}"),
            opened => opened.unwrap(),
        }
        open_on(HostKind::Unknown, SnapshotStatement::default()).unwrap();
    }
}
