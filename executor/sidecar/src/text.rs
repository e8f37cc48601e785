//! Text of others, made fit for a terminal, a log and a page.

/// `text` with everything that does not show escaped: control characters, which move a terminal's cursor or begin a
/// line, and those that turn the direction of writing. Quotes and backslashes stay as they are.
#[must_use]
pub fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\'' | '"' | '\\' => out.push(character),
            other => out.extend(other.escape_debug()),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_show_is_escaped_and_the_rest_is_not() {
        let plain = "the epoch's \"end\" is C:\\x, é and 東";
        assert_eq!(printable(plain), plain);
        assert_eq!(
            printable("\x1b[2J\n\u{202e}\0\u{9b}"),
            r"\u{1b}[2J\n\u{202e}\0\u{9b}"
        );
    }
}
