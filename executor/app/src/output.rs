//! Printing that survives a reader who has gone: a closed pipe or a full disk ends no executor.

use std::fmt::Arguments;
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// As `println!`, and what cannot be written is dropped.
macro_rules! outln {
    ($($part:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stdout(), $($part)*);
    }};
}

/// As `print!`, and what cannot be written is dropped.
macro_rules! out {
    ($($part:tt)*) => {{
        use std::io::Write as _;
        let _ = write!(std::io::stdout(), $($part)*);
    }};
}

/// As `eprintln!`, and what cannot be written is dropped. A JSON object where the log is asked for as JSON.
macro_rules! errln {
    () => {
        $crate::output::log(::std::format_args!(""))
    };
    ($($part:tt)+) => {
        $crate::output::log(::std::format_args!($($part)+))
    };
}

/// As `eprint!`, and what cannot be written is dropped.
macro_rules! err {
    ($($part:tt)*) => {{
        use std::io::Write as _;
        let _ = write!(std::io::stderr(), $($part)*);
    }};
}

static LINES_AS_JSON: AtomicBool = AtomicBool::new(false);

/// From here on, if `wanted`, each line of the log is one JSON object: `at`, nanoseconds of the UNIX epoch, and `line`.
pub fn lines_as_json(wanted: bool) {
    LINES_AS_JSON.store(wanted, Relaxed);
}

/// Writes a line of the log to stderr; what cannot be written is dropped.
pub fn log(line: Arguments<'_>) {
    let mut text = if LINES_AS_JSON.load(Relaxed) {
        as_json(crate::clock::realtime().0, &line.to_string())
    } else {
        line.to_string()
    };
    text.push('\n');
    let _ = std::io::stderr().write_all(text.as_bytes());
}

fn as_json(at: u64, line: &str) -> String {
    serde_json::json!({ "at": at, "line": line }).to_string()
}

/// `1 failure`, `2 failures`.
pub(crate) fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_line_of_the_log_is_one_object_however_many_lines_it_has() {
        let said = super::as_json(7, "\"a\"\nb");
        assert_eq!(said, r#"{"at":7,"line":"\"a\"\nb"}"#);
    }

    #[test]
    fn one_is_singular_and_nothing_is_many() {
        let said = [0, 1, 2].map(|count| super::counted(count, "failure", "failures"));
        assert_eq!(said, ["0 failures", "1 failure", "2 failures"]);
    }
}
