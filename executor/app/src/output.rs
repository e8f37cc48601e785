//! Printing that survives a reader who has gone: a closed pipe or a full disk ends no executor.

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

/// As `eprintln!`, and what cannot be written is dropped.
macro_rules! errln {
    ($($part:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), $($part)*);
    }};
}

/// As `eprint!`, and what cannot be written is dropped.
macro_rules! err {
    ($($part:tt)*) => {{
        use std::io::Write as _;
        let _ = write!(std::io::stderr(), $($part)*);
    }};
}

/// `1 failure`, `2 failures`.
pub(crate) fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    #[test]
    fn one_is_singular_and_nothing_is_many() {
        let said = [0, 1, 2].map(|count| super::counted(count, "failure", "failures"));
        assert_eq!(said, ["0 failures", "1 failure", "2 failures"]);
    }
}
