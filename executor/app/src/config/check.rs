//! Collecting what does not fit.

use std::fmt;
use std::ops::RangeInclusive;
use std::path::Path;

use super::Host;

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
        write!(
            f,
            "{} = {}: {}; {}",
            self.field, self.value, self.problem, self.fix
        )
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
}

impl Check {
    pub(super) fn refuse(&mut self, field: &str, value: String, problem: &str, fix: String) {
        self.errors.push(FieldError {
            field: field.to_owned(),
            value,
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
            let mut key = [0; 32];
            let field = format!("{field}[{index}]");
            match bs58::decode(text).onto(&mut key) {
                Ok(32) if keys.contains(&key) => {
                    self.refuse(
                        &field,
                        quoted(text),
                        "is named twice",
                        "name it once".to_owned(),
                    );
                }
                Ok(32) => keys.push(key),
                _ => {
                    let fix = "copy the address again".to_owned();
                    self.refuse(&field, quoted(text), "is not the base58 of 32 bytes", fix);
                }
            }
        }
        keys
    }
}

fn cpu_list(cpus: &[u16]) -> String {
    cpus.iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}

/// A text value as it stands in the file, escaped so that a terminal shows it as it is.
pub(super) fn quoted(value: impl fmt::Display) -> String {
    format!("{:?}", value.to_string())
}
