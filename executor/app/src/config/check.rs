//! Collecting what does not fit.

use std::fmt;
use std::ops::RangeInclusive;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::Host;
use super::redact::redacted_line;

/// Characters of a value that are shown: a path of a socket and a key fit in.
const VALUE_LEN_MAX: usize = 160;
/// Characters of anything else that is shown, and of a word in it.
const TEXT_LEN_MAX: usize = 2_000;

/// One value that does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// The key, for instance `ingest.sources[0].bind`.
    pub field: String,
    /// Its value as typed.
    pub value: String,
    /// What is wrong with it.
    pub problem: String,
    /// What to write instead.
    pub fix: String,
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            field,
            value,
            problem,
            fix,
        } = self;
        let value = bounded(value, VALUE_LEN_MAX);
        write!(f, "{field} = {value}: {}; {}", shown(problem), shown(fix))
    }
}

/// Several, one a line.
pub(super) struct FieldErrors<'a>(pub(super) &'a [FieldError]);

impl fmt::Display for FieldErrors<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{error}")?;
        }
        Ok(())
    }
}

/// Collects what does not fit, so that one run of `config check` lists everything.
#[derive(Default)]
pub(super) struct Check {
    pub(super) errors: Vec<FieldError>,
    /// What can be meant so, and often is not.
    pub(super) warnings: Vec<FieldError>,
    /// Somebody looks at it by hand: what only the service manager hands over is not there, and need not be.
    pub(super) rehearsal: bool,
}

impl Check {
    pub(super) fn warn(&mut self, field: &str, value: String, problem: &str, fix: &str) {
        self.warnings.push(FieldError {
            field: field.to_owned(),
            value: redacted_line(&value),
            problem: problem.to_owned(),
            fix: fix.to_owned(),
        });
    }

    pub(super) fn refuse(&mut self, field: &str, value: String, problem: &str, fix: String) {
        self.errors.push(FieldError {
            field: field.to_owned(),
            // A URL with a key in it may be typed in any place.
            value: redacted_line(&value),
            problem: problem.to_owned(),
            fix,
        });
    }

    pub(super) fn range<T: PartialOrd + fmt::Display>(
        &mut self,
        field: &str,
        value: T,
        bounds: RangeInclusive<T>,
        unit: &str,
    ) {
        if bounds.contains(&value) {
            return;
        }
        let nearest = if value < *bounds.start() {
            bounds.start()
        } else {
            bounds.end()
        };
        let problem = format!("must be {} to {} {unit}", bounds.start(), bounds.end());
        let problem = problem.trim_end();
        self.refuse(
            field,
            value.to_string(),
            problem,
            format!("the nearest allowed value is {nearest}"),
        );
    }

    pub(super) fn at_most(
        &mut self,
        (field, value): (&str, u64),
        (bound_field, bound): (&str, u64),
    ) {
        if value > bound {
            let problem = format!("is more than {bound_field} = {bound}");
            self.refuse(
                field,
                value.to_string(),
                &problem,
                format!("lower it or raise {bound_field}"),
            );
        }
    }

    pub(super) fn at_least(
        &mut self,
        (field, value): (&str, u64),
        (bound_field, bound): (&str, u64),
    ) {
        if value < bound {
            let problem = format!("is less than {bound_field} = {bound}");
            self.refuse(
                field,
                value.to_string(),
                &problem,
                format!("raise it or lower {bound_field}"),
            );
        }
    }

    pub(super) fn power_of_two(
        &mut self,
        field: &str,
        value: u32,
        bounds: RangeInclusive<u32>,
        unit: &str,
    ) {
        let inside = bounds.contains(&value);
        self.range(field, value, bounds, unit);
        if inside && !value.is_power_of_two() {
            let fix = format!(
                "write {}",
                value.checked_next_power_of_two().unwrap_or(1 << 31)
            );
            self.refuse(field, value.to_string(), "must be a power of two", fix);
        }
    }

    pub(super) fn multiple(&mut self, field: &str, value: u32, unit: u32) {
        if !value.is_multiple_of(unit) {
            let fix = format!(
                "write {}",
                value.checked_next_multiple_of(unit).unwrap_or(unit)
            );
            self.refuse(
                field,
                value.to_string(),
                &format!("must be a multiple of {unit}"),
                fix,
            );
        }
    }

    pub(super) fn name(&mut self, field: &str, name: &str) {
        let fits = !name.is_empty()
            && name.len() <= 12
            && name
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        if !fits {
            let problem =
                "must be 1 to 12 of a-z, 0-9 and - (it names threads, metric labels and logs)";
            self.refuse(
                field,
                quoted(name),
                problem,
                "shorten or respell it".to_owned(),
            );
        }
    }

    pub(super) fn cpu(&mut self, field: &str, cpu: Option<u16>, host: &Host) {
        let Some(cpu) = cpu else { return };
        if !host.cpus.contains(&cpu) {
            let fix = format!("use one of {}, or leave the key out", cpu_list(&host.cpus));
            self.refuse(
                field,
                cpu.to_string(),
                "this process may not run on that CPU",
                fix,
            );
        }
    }

    pub(super) fn absolute(&mut self, field: &str, path: &Path) {
        if !path.is_absolute() {
            let fix = "write the whole path, from /".to_owned();
            self.refuse(
                field,
                quoted(path.display()),
                "is not an absolute path",
                fix,
            );
        }
        self.whole(field, path);
    }

    /// No file's name holds a NUL, which TOML can write.
    pub(super) fn whole(&mut self, field: &str, path: &Path) {
        if path.as_os_str().as_bytes().contains(&0) {
            let fix = "take it out".to_owned();
            self.refuse(field, quoted(path.display()), "holds a NUL byte", fix);
        }
    }

    /// A key file as it is typed: an absolute path, or the name of a credential. `None` when it was refused. In a
    /// rehearsal a credential that was not handed over stands for itself, as typed.
    pub(super) fn key_file(&mut self, field: &str, text: &str, host: &Host) -> Option<PathBuf> {
        let refused = self.errors.len();
        let Some(name) = text.strip_prefix(CREDENTIAL) else {
            let path = PathBuf::from(text);
            if path.is_absolute() {
                self.whole(field, &path);
            } else {
                let fix = "write the whole path, or credential:NAME".to_owned();
                self.refuse(field, quoted(text), "is not an absolute path", fix);
            }
            return (self.errors.len() == refused).then_some(path);
        };
        if name.is_empty() || name.contains(['/', '\0']) || name.starts_with('.') {
            let fix = "write credential:NAME as in LoadCredential=".to_owned();
            self.refuse(field, quoted(text), "is not the name of a credential", fix);
            return None;
        }
        match &host.credentials_dir {
            Some(directory) => Some(directory.join(name)),
            None if self.rehearsal => {
                let fix = format!(
                    "to check it, too: systemd-run --pipe --wait -p User=overmind -p LoadCredential={name}:FILE \
                     overmind config check --config FILE"
                );
                self.warn(field, quoted(text), "not checked outside the unit", &fix);
                Some(PathBuf::from(text))
            }
            None => {
                let fix = "start by systemd with LoadCredential=, or name a 0600 file".to_owned();
                self.refuse(field, quoted(text), "no credentials were handed over", fix);
                None
            }
        }
    }

    /// `sun_path` holds 108 bytes with its terminating zero. Source: unix(7).
    pub(super) fn socket_path(&mut self, field: &str, path: &Path) {
        if path.as_os_str().len() > 107 {
            let fix = "use a shorter path".to_owned();
            self.refuse(
                field,
                quoted(path.display()),
                "a Unix socket's path has at most 107 bytes",
                fix,
            );
        }
    }

    pub(super) fn keys(&mut self, field: &str, texts: &[String]) -> Vec<[u8; 32]> {
        let mut keys = Vec::with_capacity(texts.len());
        for (index, text) in texts.iter().enumerate() {
            let field = format!("{field}[{index}]");
            match self.key(&field, text) {
                Some(key) if keys.contains(&key) => {
                    self.refuse(
                        &field,
                        quoted(text),
                        "is named twice",
                        "name it once".to_owned(),
                    );
                }
                key => keys.extend(key),
            }
        }
        keys
    }

    pub(super) fn key(&mut self, field: &str, text: &str) -> Option<[u8; 32]> {
        let mut key = [0; 32];
        if let Ok(32) = bs58::decode(text).onto(&mut key) {
            return Some(key);
        }
        let fix = "copy the address again".to_owned();
        self.refuse(field, quoted(text), "is not the base58 of 32 bytes", fix);
        None
    }
}

fn cpu_list(cpus: &[u16]) -> String {
    cpus.iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}

/// What stands before the name of a credential.
pub(super) const CREDENTIAL: &str = "credential:";

/// A sentence as it may be shown: bounded, and nothing in it that a terminal would act on.
pub(super) fn shown(text: &str) -> String {
    let mut out = String::new();
    for (index, line) in text.split(' ').enumerate() {
        if index > 0 {
            out.push(' ');
        }
        out.push_str(&bounded(line, 2 * VALUE_LEN_MAX));
    }
    bounded(&out, TEXT_LEN_MAX)
}

/// The beginning of `text` when it is longer than `len_max` characters.
fn bounded(text: &str, len_max: usize) -> String {
    let cut = text.char_indices().nth(len_max).map(|(at, _)| at);
    let kept = cut.map_or(text, |at| &text[..at]);
    let mut out: String = kept
        .chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect();
    if cut.is_some() {
        out.push_str(&format!("... ({} characters)", text.chars().count()));
    }
    out
}

/// A text value as it stands in the file, escaped so that a terminal shows it as it is.
pub(super) fn quoted(value: impl fmt::Display) -> String {
    format!("{:?}", value.to_string())
}
